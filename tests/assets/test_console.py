"""What a terminal shows of a run: a line an asset, warnings, a failure as its last line."""

from __future__ import annotations

import errno
import os

import dagster as dg
import pytest

from tests.assets.places import Place
from tests.assets.small_pipeline import Pipeline

INGESTION = ("interactions", "rejected_rows", "source_files")
UNTIL_EVENTS = (*INGESTION, "known_ids", "cates", "attributes", "users", "items", "events")


def read(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Let the next run read a file, not the synthetic log."""
    monkeypatch.setenv("DIN_CSV", path)
    pipeline.config["ops"]["interactions"] = {"config": {}}


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.strip().splitlines()


def test_missing_file_is_said_once_in_the_last_line(pipeline, monkeypatch, capsys):
    read(pipeline, monkeypatch, "/nowhere/log.csv")
    assert not pipeline.run(*INGESTION, "cates", "users").success
    shown = lines(capsys)
    assert "/nowhere/log.csv" in shown[-1]
    assert sum("/nowhere/log.csv" in line for line in shown) == 1
    assert len(shown) == 1, shown


def test_each_asset_is_a_line_with_its_main_figure_and_its_time(
    pipeline, write_csv, monkeypatch, capsys
):
    rows = [f"{user},{item},{10 * user + item},{item % 2}" for user in (1, 2) for item in range(4)]
    read(pipeline, monkeypatch, str(write_csv(*rows, ",3,9,1")))
    pipeline.config["loggers"] = {"console": {"config": {"log_level": "INFO"}}}
    assert pipeline.run(*INGESTION, "known_ids", "attributes", "users").success
    figures = {line[:24].strip(): line[24:] for line in lines(capsys) if line.endswith(" s")}
    assert {asset: line.split("  ")[0].strip() for asset, line in figures.items()} == {
        "interactions": "8 rows",
        "rejected_rows": "1 row",
        "source_files": "1 row",
        "known_ids": "8 rows",  # two users, four items, two categories
        "attributes": "2 rows",
        "users": "2 rows",
    }


def test_run_that_names_no_logger_writes_the_same_short_log(pipeline, monkeypatch, capsys):
    quiet = {"ops": {}}
    assert pipeline.run(*INGESTION, config=quiet).success
    shown = lines(capsys)
    assert any("source: the synthetic log" in line for line in shown)
    assert not [line for line in shown if "DEBUG" in line or "STEP_" in line]
    monkeypatch.setenv("DIN_CSV", "/nowhere/log.csv")
    assert not pipeline.run(*INGESTION, config=quiet).success
    shown = [line for line in lines(capsys) if not line.startswith("WARNING ")]
    assert shown == ["/nowhere/log.csv: there is no such file (DIN_CSV names it)"]


def test_level_that_a_run_names_is_its_level(pipeline, capsys):
    loud = {"ops": {}, "loggers": {"console": {"config": {"log_level": "DEBUG"}}}}
    assert pipeline.run(*INGESTION, config=loud).success
    assert [line for line in lines(capsys) if line.startswith("DEBUG ") and "STEP_SUCCESS" in line]


def test_every_failed_step_says_why(pipeline, capsys):
    # Nothing was ever made: each of these lacks its input.
    assert not pipeline.run("events", "attributes").success
    shown = lines(capsys)
    assert {line.partition(":")[0] for line in shown[-2:]} == {"events", "attributes"}
    assert all("'interactions' has not been materialized" in line for line in shown[-2:])
    assert "Stack Trace" not in "\n".join(shown)


def test_next_run_does_not_repeat_what_the_last_one_said(pipeline, monkeypatch, capsys):
    read(pipeline, monkeypatch, "/nowhere/log.csv")
    assert not pipeline.run(*INGESTION).success
    read(pipeline, monkeypatch, "/nowhere/other.csv")
    lines(capsys)
    assert not pipeline.run(*INGESTION).success
    assert "log.csv" not in "\n".join(lines(capsys))


def test_folder_of_results_that_is_a_file_is_said_in_the_last_line(pipeline, capsys):
    pipeline.home.write_text("")
    assert not pipeline.run(*INGESTION).success
    shown = lines(capsys)
    assert shown[-1].endswith(
        f"{pipeline.home} is not a folder; choose a writable home with DIN_HOME"
    )
    assert "Stack Trace" not in "\n".join(shown)


def test_full_disk_is_said_in_the_last_line(pipeline, monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/disk/log.csv")

    monkeypatch.setattr("din_core.datasets.synthetic.write_csv", full)
    assert not pipeline.run(*INGESTION).success
    shown = lines(capsys)
    assert shown[-1].startswith("interactions: /disk/log.csv: No space left on device; ")
    assert "Stack Trace" not in "\n".join(shown)


@pytest.mark.parametrize("error", [ZeroDivisionError, FileNotFoundError])
def test_failure_that_nobody_foresaw_keeps_its_stack(pipeline, monkeypatch, capsys, error):
    def broken(*_, **__):
        raise error("what a surprise")

    monkeypatch.setattr("din_core.datasets.synthetic.write_csv", broken)
    assert not pipeline.run(*INGESTION).success
    shown = "\n".join(lines(capsys))
    assert f"{error.__name__}: what a surprise" in shown
    assert "in broken" in shown


def test_failed_check_that_only_warns_is_a_warning_line_with_what_it_found(
    pipeline, write_csv, monkeypatch, capsys
):
    # Two users, each with four events in one second: 3 + 3 events tie with the one before them.
    rows = [f"{user},{item},7,{item % 2}" for user in (1, 2) for item in range(user, user + 4)]
    read(pipeline, monkeypatch, str(write_csv(*rows)))
    pipeline.config["loggers"] = {"console": {"config": {"log_level": "WARNING"}}}
    assert pipeline.run(*UNTIL_EVENTS).success
    warnings = [line for line in lines(capsys) if "events_ties_in_time" in line]
    assert len(warnings) == 1
    assert warnings[0].startswith("WARNING events: events_ties_in_time: ")
    assert "1 finding, for example n_ties=6, n_events=6, percent=100. " in warnings[0]
    assert "a leave-one-out test measures the file's order" in warnings[0]
    assert "What to do: Give the log exact times" in warnings[0]


def test_checks_that_pass_say_nothing(pipeline, write_csv, monkeypatch, capsys):
    rows = [f"{user},{item},{10 * user + item},{item % 2}" for user in (1, 2) for item in range(4)]
    read(pipeline, monkeypatch, str(write_csv(*rows)))
    pipeline.config["loggers"] = {"console": {"config": {"log_level": "WARNING"}}}
    place = Place(pipeline.home.parent)  # its instance is on disk: one in memory is warned about
    with dg.DagsterInstance.from_config(str(place.home)) as pipeline.instance:
        assert pipeline.run(*UNTIL_EVENTS).success
    assert lines(capsys) == []
