"""Which columns of text are integers throughout, and what staging makes of them."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from din_core.config import SourceConfig
from din_core.sources import csv_blocks, ingest, staging
from din_core.sources.integers import canonical_integers

HEADER = "user_id,item_id,time,cate_id\n"


def is_canonical(text: str) -> bool:
    """The rule, said slowly."""
    try:
        return str(int(text)) == text and abs(int(text)) < 2**63
    except ValueError:
        return False


integers = st.integers(-(2**63) + 1, 2**63 - 1).map(str)
slips = st.sampled_from([str(2**63), str(-(2**63))]) | st.sampled_from(
    [
        "",
        "-",
        "+7",
        "-0",
        "007",
        "7.0",
        "1e3",
        " 7",
        "0x1F",
        "0xFFFFFFFFFFFFFFF",
        "0x8000000000000001",
        "٣",
        "1_000",
        "a",
    ]
)


@given(st.lists(integers | slips, max_size=6))
def test_a_column_becomes_integers_just_where_every_value_is_one(values):
    found = canonical_integers(pa.array(values, pa.string()))
    if all(map(is_canonical, values)):
        assert found is not None
        assert found.to_pylist() == [int(value) for value in values]
    else:
        assert found is None


def test_a_short_hexadecimal_does_not_make_up_for_leading_zeros():
    longer, shorter = "0007", "0xFFFFFFFFFFFFFFF"
    assert len(longer) + len(shorter) == len("7") + len(str(0xFFFFFFFFFFFFFFF)) + 1
    assert canonical_integers(pa.array([longer, shorter, "00"], pa.string())) is None


def test_a_hexadecimal_above_63_bits_is_no_negative_number():
    # Read as -(2**63) + 1: its x must not pass for a sign, nor the zeros for its missing digits.
    assert canonical_integers(pa.array(["0x8000000000000001", "007"], pa.string())) is None


def test_a_slice_and_a_chunked_column_are_read_where_they_lie():
    text = pa.array(["x", "12", "-3", "y"], pa.string())
    assert canonical_integers(text.slice(1, 2)).to_pylist() == [12, -3]
    chunked = pa.chunked_array([text.slice(1, 1), text.slice(2, 1)])
    assert canonical_integers(chunked).to_pylist() == [12, -3]


@pytest.mark.parametrize(("late", "kind"), [("x", "VARCHAR"), ("007", "VARCHAR"), ("7", "BIGINT")])
def test_a_late_value_that_is_no_integer_makes_text_of_the_whole_column(
    tmp_path, monkeypatch, late, kind
):
    monkeypatch.setattr(staging, "BLOCK_BYTES", 64)
    monkeypatch.setitem(csv_blocks.read_rows.__kwdefaults__, "block_bytes", 64)
    rows = [f"{n},{n % 7},{1000 + n},{n % 3}\n" for n in range(100)]
    log = tmp_path / "log.csv"
    log.write_text(HEADER + "".join(rows) + f"{late},5,2000,1\n1,,3,4\n")
    con = duckdb.connect()
    report = ingest(con, SourceConfig(path=str(log)))
    assert (report.lines_read, report.interactions, report.rejected) == (102, 101, 1)
    assert con.execute(
        "select distinct typeof(user_id), typeof(item_id) from interactions"
    ).fetchall() == [(kind, "BIGINT")]
    assert con.execute("select user_id from interactions order by line").fetchall() == [
        (int(value) if kind == "BIGINT" else value,)
        for value in [*(str(n) for n in range(100)), late]
    ]
    assert con.execute("select line, reason, raw from rejected_rows").fetchall() == [
        (103, "empty item_id", "1,,3,4")
    ]
