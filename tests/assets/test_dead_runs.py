"""A run whose process is gone takes no place in the queue; a living one is never taken for dead."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import EngineEventData

from din_assets import dead_runs
from din_assets.resources import WarehouseResource
from din_core import artifacts
from tests.assets.conftest import SMALL_RUN
from tests.assets.places import PATIENCE, Place, kill, wait_until

INGESTION = ("interactions", "rejected_rows")
CONFIG = {"ops": {"interactions": SMALL_RUN["ops"]["interactions"]}}


@dg.job
def nothing_to_do():
    """A job whose runs tests record as they like."""


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


@pytest.fixture
def gone() -> int:
    """Number of a process that was there a moment ago."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def begun(instance: dg.DagsterInstance, *events: dg.DagsterEvent, at: float | None = None) -> str:
    """Record a run with its events, by default of now; return its id."""
    run = instance.create_run_for_job(nothing_to_do)
    for event in events:
        instance.report_dagster_event(event, run.run_id, timestamp=at)
    return run.run_id


def event(kind: str, pid: int | None = None) -> dg.DagsterEvent:
    return dg.DagsterEvent(event_type_value=kind, job_name="nothing_to_do", pid=pid)


def status(instance: dg.DagsterInstance, run_id: str) -> str:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status.value


def test_run_of_a_process_that_is_gone_is_marked_as_failed_and_says_why(instance, gone):
    run_id = begun(instance, event("PIPELINE_START", gone))
    assert dead_runs.mark_failed(instance) == [run_id]
    assert status(instance, run_id) == "FAILURE"
    said = [entry.message for entry in instance.all_logs(run_id)]
    assert any("process of this run is gone" in message for message in said)
    assert dead_runs.mark_failed(instance) == []


def test_cancelled_run_of_a_process_that_is_gone_is_cancelled(instance, gone):
    run_id = begun(instance, event("PIPELINE_START", gone), event("PIPELINE_CANCELING"))
    assert dead_runs.mark_failed(instance) == [run_id]
    assert status(instance, run_id) == "CANCELED"


def test_run_whose_launched_process_died_before_it_spoke_is_dead(instance, gone):
    run = instance.create_run_for_job(nothing_to_do)
    instance.report_dagster_event(event("PIPELINE_STARTING"), run.run_id)
    assert dead_runs.mark_failed(instance) == []  # nobody knows its process
    instance.report_engine_event(
        "Started process for run", run, EngineEventData(metadata={"pid": str(gone)})
    )
    assert dead_runs.mark_failed(instance) == [run.run_id]


def test_number_of_a_process_that_is_used_again_is_not_taken_for_the_run(instance):
    a_year_ago = time.time() - 365 * 86400
    run_id = begun(instance, event("PIPELINE_START", os.getpid()), at=a_year_ago)
    assert dead_runs.mark_failed(instance) == [run_id]


@pytest.mark.parametrize(
    "events",
    [
        (),
        (event("PIPELINE_STARTING"),),
        (event("PIPELINE_START", os.getpid()),),
        (event("PIPELINE_START", 1),),
    ],
    ids=["created", "starting", "of this process", "of another user's process"],
)
def test_run_that_may_be_alive_is_left_alone(instance, events):
    run_id = begun(instance, *events)
    before = status(instance, run_id)
    assert dead_runs.mark_failed(instance) == []
    assert status(instance, run_id) == before


@pytest.mark.parametrize("last", ["PIPELINE_SUCCESS", "PIPELINE_CANCELED"])
def test_run_that_has_ended_is_left_alone(instance, gone, last):
    run_id = begun(instance, event("PIPELINE_START", gone), event(last))
    before = status(instance, run_id)
    assert dead_runs.mark_failed(instance) == []
    assert status(instance, run_id) == before


def test_sign_of_life_counts_where_the_process_cannot_be_seen(instance, gone):
    # As from another container, where the numbers of processes mean something else.
    run_id = begun(instance, event("PIPELINE_START", gone))
    with dead_runs.announced(instance, run_id):
        assert dead_runs.mark_failed(instance) == []
    assert list((Path(instance.root_directory) / "living_runs").iterdir()) == []
    assert dead_runs.mark_failed(instance) == [run_id]


def test_run_that_starts_marks_the_dead_and_shows_a_sign_of_life_itself(
    pipeline, gone, monkeypatch
):
    dead = begun(pipeline.instance, event("PIPELINE_START", gone))
    signs: list[int] = []
    folder = Path(pipeline.instance.root_directory) / "living_runs"
    real = artifacts.sweep

    def look(root: Path) -> list[Path]:
        signs.append(len(list(folder.iterdir())))
        return real(root)

    monkeypatch.setattr(artifacts, "sweep", look)
    assert pipeline.run(*INGESTION).success
    assert status(pipeline.instance, dead) == "FAILURE"
    assert signs == [1]
    assert list(folder.iterdir()) == []


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    try:
        yield place
    finally:
        place.stop_everything()


@pytest.mark.timeout(2 * PATIENCE)
def test_ui_runs_what_was_queued_although_a_terminal_and_the_ui_were_killed(place):
    def is_now(run_id: str, wanted: str) -> None:
        assert place.statuses()[run_id] == wanted, place.statuses()

    def becomes(run_id: str, wanted: str) -> None:
        wait_until(lambda: place.statuses()[run_id] == wanted, place.statuses)

    # Whoever holds the lock decides when a run goes on, and what the kill meets.
    with WarehouseResource(home=str(place.data)).locked("a test"):
        terminal = place.start_run(",".join(INGESTION), config=CONFIG)
        assert any("waiting for a test" in line for line in terminal.stdout)
        kill(terminal)
        [of_terminal] = place.statuses()
        is_now(of_terminal, "STARTED")
        ui = place.start_ui()
        first = ui.launch(*INGESTION, config=CONFIG)
        is_now(of_terminal, "FAILURE")
        becomes(first, "STARTED")
        second = ui.launch(*INGESTION, config=CONFIG)
        ui.wait_for_monitoring()
        is_now(first, "STARTED")  # it waits for the lock, which is no death
        is_now(second, "QUEUED")
        kill(ui.process)
        is_now(first, "STARTED")
    place.start_ui()
    becomes(second, "SUCCESS")
    is_now(first, "FAILURE")
