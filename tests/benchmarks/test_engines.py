"""The cases of other engines: their logs, what is measured, and what the page says of it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchmarks import engine_cases, engine_sides, page, process_tree
from benchmarks.clock import Clock
from benchmarks.process_tree import ProcessTree
from benchmarks.processes import Run
from din_core import store


def share_of_the_first(con, column):
    [[share]] = con.execute(
        f"select max(n) / sum(n) from (select count(*) as n from interactions group by {column})"
    ).fetchall()
    return share


@pytest.mark.parametrize(
    ("shape", "of_users", "of_items"), [("even", 0, 0), ("user", 5 / 6, 0), ("item", 0, 1 / 2)]
)
def test_a_skewed_log_has_one_user_or_one_item_of_most_rows(shape, of_users, of_items):
    with store.connect(":memory:") as con:
        engine_sides._write_interactions(con, shape, 20_000)
        assert store.row_count(con, "interactions") == 20_000
        assert share_of_the_first(con, "user_id") == pytest.approx(of_users, abs=0.02)
        assert share_of_the_first(con, "item_id") == pytest.approx(of_items, abs=0.02)


def test_sides_are_each_engine_on_one_core_and_on_all():
    sides = engine_cases.sides_of("engines_user_10m", 2, quick=False)
    assert [*sides] == [f"{name} {n}" for name in ("duckdb", "sail", "spark") for n in (1, 2)]
    assert sides["sail 2"][1] == {
        "engine": "sail", "cores": 2, "shape": "user", "rows": 11_900_000,
    }  # fmt: skip
    assert len(engine_cases.sides_of("engines_1m", 1, quick=True)) == 3


def run(outcome="ok", **report):
    return Run(
        outcome=outcome, process_seconds=9.0, cpu_seconds=1.0, peak_mb=1.0, report=report,
        message="" if report else "first\nno room",
    )  # fmt: skip


def figures(seconds):
    return {
        "work_seconds": seconds, "tree_cpu_seconds": 3.25, "tree_peak_mb": 1234.0, "disk_mb": 5.0,
        "stages": {"users": 0.25, "events": 1.5, "items": 0.5, "negatives": 2.0},
    }  # fmt: skip


def test_page_has_a_line_for_each_side_and_says_why_there_are_no_figures():
    runs = {
        "duckdb 1": [run(**figures(9.0)), run(**figures(4.0))],
        "sail 1": [run("out_of_memory")],
        "spark 1": [run(work_seconds=0.0, missing="Java is not installed")],
    }
    entry = engine_cases.entry_of("engines_user_1m", runs, quick=False)
    shown = page.render({"cases": [entry]})
    log = "| 1,200,000 rows, one user has five sixths |"
    assert (
        f"{log} DuckDB | 1 | 4.0 s | 3.2 s | 1,234 MB | 5 MB | "
        "negatives 2.0 s, events 1.5 s, items 0.5 s |"
    ) in shown
    assert f"{log} Sail | 1 | out_of_memory: no room | - | - | - | - |" in shown
    assert f"{log} Apache Spark | 1 | missing: Java is not installed | - | - | - | - |" in shown


def test_machine_without_java_is_told_so(monkeypatch, tmp_path):
    monkeypatch.setattr("shutil.which", lambda name: None)
    report = engine_sides.engine_tables(Clock(), "spark", 1, "even", 1000, str(tmp_path))
    assert report == {"missing": "Java is not installed"}


def test_memory_and_time_are_those_of_what_a_process_started_as_well():
    alone = ProcessTree()
    alone.stop()
    tree = ProcessTree()
    fill = "block = bytearray(200 * 2**20); [sum(range(1000)) for _ in range(20_000)]; input()"
    with subprocess.Popen([sys.executable, "-c", fill], stdin=subprocess.PIPE) as child:
        while tree.peak_mb < alone.peak_mb + 190 or _seconds_of(child.pid) < 0.1:
            assert child.poll() is None
        tree.stop()
        child.communicate(b"\n")
    assert tree.cpu_seconds >= 0.1


def _seconds_of(pid):
    return dict(process_tree._processes())[pid][1] / os.sysconf("SC_CLK_TCK")
