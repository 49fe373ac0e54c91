"""The case of embeddings: its arithmetic, its page, and that both kinds make the same step."""

from __future__ import annotations

import json

import pytest

from benchmarks import embedding_cases, embedding_sides, page
from benchmarks.cases import Settings, run_case
from tests import forks


def test_bytes_of_a_row_are_its_weight_moments_copies_and_marks():
    # 16 floats: weight, two moments, best copy are 64 floats or 256 bytes; step and mark 8 bytes.
    assert embedding_cases.bytes_a_row(16, averaged=False) == 264
    # The average is 16 floats more, and the step it is of.
    assert embedding_cases.bytes_a_row(16, averaged=True) == 264 + 64 + 4


def test_shared_rows_are_as_many_times_more_as_there_are_processes():
    alone = embedding_cases.rows_that_fit(2_640, 16, averaged=False)
    assert (alone, embedding_cases.rows_that_fit(2_640, 16, averaged=False, processes=8)) == (
        10,
        80,
    )


def test_page_shows_both_kinds_beside_each_other():
    figures = {"distinct": 5, "table_mb": 300.0, "peak_mb": 500.0, "step_ms": 12.0}
    replicated = {"sent_bytes": 2_500_000.0, **figures}
    entry = {
        "case": "embeddings",
        "sizes": [
            {
                "rows": 100_000,
                "width": 16,
                "replicated": replicated,
                "sharded": {"outcome": "timeout", "message": ""},
            }
        ],
    }
    shown = page.render({"cases": [entry]})
    assert "| 100,000 | 16 | 2.50 MB | 300 MB | 12 ms | timeout | - | - |" in shown


def figures_of(kind, folder):
    """What two forks say that make the quick case's steps; larger figures of the two."""
    folder.mkdir()
    wish = (str(folder), kind, 2_000, 4, 500, 3)
    each = [
        forks.context().Process(target=embedding_sides._work, args=(rank, *wish))
        for rank in range(embedding_sides.PROCESSES)
    ]
    for process in each:
        process.start()
    for process in each:
        process.join()
    found = [json.loads((folder / str(rank)).read_text()) for rank in range(len(each))]
    return {name: max(one[name] for one in found) for name in found[0]}


def assert_both_send_what_is_counted(replicated, sharded):
    distinct = replicated["distinct"]
    assert sharded["distinct"] == distinct > 1
    # 500 ids of 8 bytes to the other process, and a row of 4 floats for each id of either.
    assert 4_000 + distinct * 16 <= replicated["sent_bytes"] <= 4_000 + 2 * distinct * 16
    # To the other process at most its ids, the rows it asked for and their gradients.
    assert 0 < sharded["sent_bytes"] <= distinct * (8 + 16 + 16) + 8


def test_both_kinds_send_what_is_counted(tmp_path):
    of = {kind: figures_of(kind, tmp_path / kind) for kind in embedding_cases.KINDS}
    assert_both_send_what_is_counted(**of)


# The steps are those of the test before this one; that sides run in processes of their own and
# report shows test_benchmarks.py.
@pytest.mark.thorough
@pytest.mark.timeout(600)
def test_quick_case_counts_what_both_kinds_send():
    [entry] = run_case("embeddings", Settings(quick=True, threads=1), lambda _: None)
    [size] = entry["sizes"]
    assert_both_send_what_is_counted(size["replicated"], size["sharded"])
