"""The growth case: how a log is cut into days, and what the page says of them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks import growth_cases, growth_sides, page
from benchmarks.bench import QUICK
from benchmarks.cases import Settings, run_case
from benchmarks.clock import Clock
from benchmarks.logs import write_shaped_log
from benchmarks.processes import Run


def test_a_day_has_all_rows_before_it_in_the_order_of_time(tmp_path):
    log = tmp_path / "log.csv"
    rows = [f"{n % 3},{n},{100 - n}.5" for n in range(20)]  # latest first
    log.write_text("\n".join(["user_id,item_id,time", *rows]) + "\n")
    days = list(growth_sides._days(log, tmp_path, n_days=2, days_in_all=3))
    # 14 of 20 rows are there before the first day, and each of three days brings two.
    assert [since for _, since in days] == [81.5, 95.5, 97.5]
    assert [len(Path(file).read_text().splitlines()) for file, _ in days] == [15, 17, 19]
    assert days[1][0].read_text().splitlines()[-1] == "1,4,96.5"


def figures(day, side, auc, seconds, share=None):
    return {
        "day": day, "side": side, "test_auc": auc, "test_auc_new": None, "cpu_seconds": seconds,
        "items_taken_over": share,
    }  # fmt: skip


def test_page_has_both_sides_of_a_day_in_a_line_and_their_means():
    entry = {
        "case": "growth", "preset": "best", "warm": {"warm": {"warm_start_epochs": 2}},
        "days": [
            figures(0, "cold", 0.7, 99.0),
            figures(1, "cold", 0.7, 30.0), figures(1, "warm", 0.71, 10.0, 0.9),
            figures(2, "cold", 0.8, 40.0), figures(2, "warm", 0.83, 10.0, 0.8),
        ],
    }  # fmt: skip
    shown = page.render({"cases": [entry]})
    assert (
        "| 1 | 90.0% | 0.7000 | 0.7100 | undefined | undefined | 30.0 s | 10.0 s | **3.0 x** |"
    ) in shown
    assert (
        "| mean | 85.0% | 0.7500 | 0.7700 | undefined | undefined | 35.0 s | 10.0 s | **3.5 x** |"
    ) in shown
    assert "warm is the same with `warm_start_epochs: 2`" in shown


def assert_days_go_on_from_the_one_before(entry):
    assert {(each["day"], each["side"]) for each in entry["days"]} == {
        (0, "cold"), (1, "cold"), (1, "warm"), (2, "cold"), (2, "warm"),
    }  # fmt: skip
    warm = [each for each in entry["days"] if each["side"] == "warm"]
    # Days bring new items in this log, but few: it has 200 on 2,100 rows before the first.
    assert all(0.9 < each["items_taken_over"] <= 1.0 for each in warm)
    assert [each["epochs"] for each in warm] == [1, 1]
    assert all(0 < each["test_rows_new"] < each["test_rows"] for each in warm)
    assert len(growth_cases.rows_of(entry)) == 3


def test_a_log_grows_and_each_day_goes_on_from_the_one_before(tmp_path):
    log = tmp_path / "log.csv"
    write_shaped_log(log, **asdict(QUICK), seed=2022)
    _, options = growth_cases.sides_of(str(log), quick=True)["ours"]
    report = growth_sides.growth(Clock(), **options)
    done = Run(outcome="ok", process_seconds=1, cpu_seconds=1, peak_mb=1, report=report)
    assert_days_go_on_from_the_one_before(growth_cases.entry_of({}, {"ours": [done]}))


# The same days, by two processes of their own; that sides report from theirs: test_benchmarks.py.
@pytest.mark.thorough
@pytest.mark.timeout(600)
def test_quick_case_grows_a_log_and_goes_on_from_the_day_before():
    [entry] = run_case("growth", Settings(quick=True, threads=1), lambda _: None)
    assert_days_go_on_from_the_one_before(entry)
