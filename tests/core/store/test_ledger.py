"""What the ledger says of each result: its last row, and which of its inputs are others by now."""

import pytest

from din_core.store import ledger


def entry(asset, version, **values):
    values = {"code_version": "c", "options": {}, "inputs": {}, **values}
    return ledger.Entry(asset=asset, data_version=version, **values)


def test_an_asset_has_the_row_of_the_last_time_and_no_other(con):
    assert ledger.entries(con) == {}
    first = entry("samples", "v1", options={"max_history": 50, "shape": {"n": [1, 2]}})
    second = entry("samples", "v2", inputs={"events": "e1"}, artifact="samples/v2")
    for made in (first, entry("events", "e1"), second):
        ledger.record(con, made)
        assert ledger.entry(con, made.asset) == made
    assert con.execute("select asset, data_version from ledger order by all").fetchall() == [
        ("events", "e1"),
        ("samples", "v2"),
    ]


def test_what_is_taken_out_counts_as_never_made(con):
    ledger.remove(con, "samples")
    ledger.record(con, entry("samples", "v1"))
    ledger.record(con, entry("events", "e1"))
    ledger.remove(con, "samples")
    assert list(ledger.entries(con)) == ["events"]
    with pytest.raises(ledger.NotMaterializedError, match="'samples' has not been materialized"):
        ledger.entry(con, "samples")


def test_inputs_that_have_other_content_by_now_are_named(con):
    made = {
        "events": entry("events", "e2"),
        "items": entry("items", "i1"),
        "negatives": entry("negatives", "n2"),
        # Of what has no row, such as the source, nothing can be told.
        "samples": entry(
            "samples", "s1",
            inputs={"negatives": "n1", "events": "e1", "items": "i1", "source": "x"},
        ),
    }  # fmt: skip
    assert ledger.changed_inputs(made, "samples") == ["events", "negatives"]
    assert ledger.changed_inputs(made, "events") == []
    assert ledger.changed_inputs(made, "never made") == []
