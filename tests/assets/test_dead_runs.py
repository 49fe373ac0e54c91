"""A run whose process is gone takes no place in the queue; a living one is never taken for dead."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.launcher import WorkerStatus

from din_assets.runs import dead_runs
from din_core.store import artifacts
from tests import forks
from tests.assets.places import Place
from tests.assets.small_pipeline import Pipeline

INGESTION = ("interactions", "rejected_rows", "source_files")


@dg.job
def nothing_to_do():
    """A job whose runs tests record as they like."""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    try:
        yield place
    finally:
        place.stop_everything()


@pytest.fixture
def instance(place) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(place.home)) as instance:
        yield instance


RECORD = """
import os
import dagster as dg
instance = dg.DagsterInstance.from_config(home)
start = dg.DagsterEvent("PIPELINE_START", job_name="nothing_to_do", pid=os.getpid())
instance.report_dagster_event(start, run_id)
pipe.send("started")
pipe.recv()
"""
#: The same of a run whose start is recorded already.
SHOW = """
import fcntl, sys
sign = open(sys.argv[1], "w")
fcntl.flock(sign, fcntl.LOCK_EX)
"""
LIVE_OR_DIE = """
import os, signal, sys
print("started", flush=True)
if sys.argv[-1] == "is killed":
    os.kill(os.getpid(), signal.SIGKILL)
sys.stdin.read()
"""


def begun(instance: dg.DagsterInstance, *events: dg.DagsterEvent) -> str:
    """Record a run with its events; return its id."""
    run = instance.create_run_for_job(nothing_to_do)
    for event in events:
        instance.report_dagster_event(event, run.run_id)
    return run.run_id


def event(kind: str, pid: int | None = None) -> dg.DagsterEvent:
    return dg.DagsterEvent(event_type_value=kind, job_name="nothing_to_do", pid=pid)


@contextlib.contextmanager
def recorded_elsewhere(place: Place, run_id: str) -> Iterator[None]:
    """Let a run begin in a process that records it itself, and kill that at the end."""
    context = forks.context()
    ours, theirs = context.Pipe()
    names = {"home": str(place.home), "run_id": run_id, "pipe": theirs}
    process = context.Process(target=forks.execute, args=(RECORD, names))
    process.start()
    theirs.close()
    try:
        assert ours.recv() == "started"
        yield
    finally:
        process.kill()
        process.join()
        ours.close()


def elsewhere(
    place: Place, instance: dg.DagsterInstance, run_id: str, ending: str
) -> subprocess.Popen[str]:
    """Let a run begin in a process of its own, which is killed or lives until its input ends."""
    instance.report_dagster_event(event("PIPELINE_START"), run_id)
    folder = Path(instance.root_directory) / "living_runs"
    folder.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-c", SHOW + LIVE_OR_DIE, str(folder / f"{run_id}.lock"), ending],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    place.processes.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    if ending == "is killed":
        process.wait()
    return process


def status(instance: dg.DagsterInstance, run_id: str) -> str:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status.value


def signs(instance: dg.DagsterInstance) -> list[str]:
    folder = Path(instance.root_directory) / "living_runs"
    return sorted(path.name.removesuffix(".lock") for path in folder.glob("*"))


def test_run_of_a_process_that_is_gone_is_marked_as_failed_and_says_why(place, instance):
    run_id = begun(instance)
    with recorded_elsewhere(place, run_id):
        assert signs(instance) == [run_id]
        assert dead_runs.mark_failed(instance) == []
    assert dead_runs.mark_failed(instance) == [run_id]
    assert status(instance, run_id) == "FAILURE"
    said = [entry.message for entry in instance.all_logs(run_id)]
    assert any("process of this run is gone" in message for message in said)
    assert signs(instance) == []
    assert dead_runs.mark_failed(instance) == []


def test_cancelled_run_of_a_process_that_is_gone_is_cancelled(place, instance):
    run_id = begun(instance)
    elsewhere(place, instance, run_id, "is killed")
    instance.report_dagster_event(event("PIPELINE_CANCELING"), run_id)
    assert dead_runs.mark_failed(instance) == [run_id]
    assert status(instance, run_id) == "CANCELED"


def test_run_of_another_process_is_alive_as_long_as_that_is(place, instance):
    run_id = begun(instance)
    process = elsewhere(place, instance, run_id, "lives on")
    assert dead_runs.mark_failed(instance) == []
    assert signs(instance) == [run_id]
    assert process.stdin is not None
    process.stdin.close()
    process.wait()
    assert dead_runs.mark_failed(instance) == [run_id]


def test_run_whose_launcher_died_before_it_spoke_is_dead_at_once(instance):
    run_id = begun(instance, event("PIPELINE_STARTING"))
    dead_runs.show_sign(instance, run_id)  # as the launcher does
    assert dead_runs.mark_failed(instance) == []
    dead_runs._shown.pop(run_id).close()  # as the kernel does with a process that is killed
    assert dead_runs.mark_failed(instance) == [run_id]
    assert status(instance, run_id) == "FAILURE"


def test_run_takes_over_from_its_launcher(place, instance):
    run_id = begun(instance, event("PIPELINE_STARTING"))
    dead_runs.show_sign(instance, run_id)
    with recorded_elsewhere(place, run_id):
        dead_runs.take_over(instance)
        assert run_id not in dead_runs._shown
        assert signs(instance) == [run_id]
        assert dead_runs.mark_failed(instance) == []


@pytest.mark.parametrize("pid", [None, 1, 2**22 + 1], ids=["unknown", "here", "not here"])
def test_number_of_a_process_is_no_evidence(instance, pid):
    # As of a run on another machine, or in another container: here the number means nothing.
    run_id = begun(instance, event("PIPELINE_START", pid))
    assert dead_runs.mark_failed(instance) == []
    assert status(instance, run_id) == "STARTED"


@pytest.mark.parametrize("last", ["PIPELINE_SUCCESS", "PIPELINE_FAILURE", "PIPELINE_CANCELED"])
def test_run_that_has_ended_shows_no_sign(instance, last):
    run_id = begun(instance, event("PIPELINE_START", os.getpid()))
    assert signs(instance) == [run_id]
    instance.report_dagster_event(event(last), run_id)
    before = status(instance, run_id)
    assert signs(instance) == []
    assert dead_runs.mark_failed(instance) == []
    assert status(instance, run_id) == before


def test_sign_of_a_dead_run_goes_whoever_marks_it(place, instance):
    run_id = begun(instance)
    elsewhere(place, instance, run_id, "is killed")
    instance.report_run_failed(instance.get_run_by_id(run_id))  # as Dagster's run monitoring does
    dead_runs.mark_failed(instance)
    assert signs(instance) == []


def test_queue_and_monitoring_see_the_dead(place, instance):
    killed, alive = begun(instance), begun(instance)
    elsewhere(place, instance, killed, "is killed")
    elsewhere(place, instance, alive, "lives on")

    def health(run_id):
        return instance.run_launcher.check_run_worker_health(instance.get_run_by_id(run_id)).status

    assert (health(killed), health(alive)) == (WorkerStatus.FAILED, WorkerStatus.RUNNING)
    instance.get_concurrency_config()  # as the daemon does whenever it looks at the queue
    assert (status(instance, killed), status(instance, alive)) == ("FAILURE", "STARTED")
    assert signs(instance) == [alive]


def test_run_shows_its_sign_from_its_start_to_its_end(place, instance):
    killed = begun(instance)
    elsewhere(place, instance, killed, "is killed")
    seen: list[tuple[list[str], str]] = []
    pipeline = Pipeline(place.data, instance)

    def look(root: Path) -> list[Path]:
        seen.append((signs(instance), status(instance, killed)))
        return []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artifacts, "sweep", look)
        result = pipeline.run(*INGESTION)
    assert result.success
    assert seen == [([result.run_id], "FAILURE")]
    assert signs(instance) == []
