"""Runs that meet each other, readers that never stop, and processes that are killed half-way.

``DIN_FAULT_KILLS=20 pytest tests/assets/test_faults.py`` kills as often as the issue of trust asks
for; the default keeps the whole suite short.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pytest
import yaml

from din_assets import paths
from din_core import artifacts
from tests.assets.conftest import SMALL_RUN, Pipeline

KILLS = int(os.environ.get("DIN_FAULT_KILLS", "5"))
READERS = 10
PATIENCE = 1200  # seconds for a run that waits for two others on a busy machine

READER = """
import os, sys, time, duckdb
os.nice(19)  # ten that never rest would leave the runs no processor
path, stop, name = sys.argv[1:]
from pathlib import Path
n = 0
while not Path(stop).exists():
    with duckdb.connect(path, read_only=True) as con:
        # The ledger and the tables it tells of must be of one run.
        tables = {row[0] for row in con.execute("show tables").fetchall()}
        assert {"samples", "events", "ledger", "metrics"} <= tables, tables
        events, sequences = con.execute(
            "select (select count(*) from events), (select sum(len(items)) from user_sequences)"
        ).fetchone()
        assert events == sequences > 0, (events, sequences)
    n += 1
    time.sleep(0.05)
print(n)
"""


@dataclass
class Place:
    """A Dagster home with the project's instance, and the processes that a test starts in it."""

    home: Path
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def data(self) -> Path:
        return self.home / "data"

    def start(self, *command: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command,
            cwd=self.home,
            env={**os.environ, "DIN_HOME": str(self.data), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def start_run(self, log_level: str = "WARNING") -> subprocess.Popen[str]:
        """Start a run; at ``DEBUG`` it tells each step, and its pipe must be read meanwhile."""
        config = {**SMALL_RUN, "loggers": {"console": {"config": {"log_level": log_level}}}}
        (self.home / f"{log_level}.yaml").write_text(yaml.safe_dump(config))
        return self.start(
            str(Path(sys.executable).parent / "dagster"), "asset", "materialize",
            "--select", "*", "-m", "din_assets.definitions", "-c", f"{log_level}.yaml",
        )  # fmt: skip


@pytest.fixture
def place(tmp_path: Path, finished: Pipeline) -> Iterator[Place]:
    """A place with the results of one run; no process outlives a test.

    Readers and runs that a failed test left running would slow every test after it.
    """
    shutil.copy(paths.project_root() / "dagster.yaml", tmp_path)
    place = Place(tmp_path)
    shutil.copytree(finished.home, place.data)
    try:
        yield place
    finally:
        for process in place.processes:
            kill(process)


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output[-3000:]
    return output


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a process with all that it started, where it still runs, and close its pipe."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    with process:  # closes the pipe and waits
        pass


def leftovers(home: Path) -> list[Path]:
    temporary = [p for p in home.rglob("*") if ".staging-" in p.name or p.name.endswith(".wal")]
    beside = {p.name for p in home.iterdir()}
    known = {
        "artifacts", "checkpoints", "pipeline.duckdb", "pipeline.lock", "synthetic",
        "warehouse.duckdb", "warehouse.duckdb.sha256", "pipeline.tmp",
    }  # fmt: skip
    return temporary + [home / name for name in beside - known]


@pytest.mark.timeout(2 * PATIENCE)
def test_runs_queue_and_readers_never_notice(place):
    published, stop = place.data / "warehouse.duckdb", place.home / "stop"
    readers = [
        place.start(sys.executable, "-c", READER, str(published), str(stop), str(n))
        for n in range(READERS)
    ]
    outputs = [finish(run) for run in [place.start_run() for _ in range(3)]]
    stop.touch()
    for reader in readers:
        assert int(finish(reader)) > 0
    waited = [output for output in outputs if "Dagster run" in output and "wait" in output]
    assert len(waited) == 2, "two of three runs say for whom they wait"


@pytest.mark.timeout(2 * PATIENCE)
def test_killed_runs_leave_nothing_behind_and_the_next_one_succeeds(place, finished):
    started = [e for e in finished.result.all_events if e.event_type_value == "STEP_START"]
    beginnings = ["RUN_START", *sorted(f"{event.step_key} - STEP_START" for event in started)]
    moments = random.Random(0)
    for _ in range(KILLS):
        run = place.start_run(log_level="DEBUG")
        begun = moments.choice(beginnings)
        assert any(f" - {begun} - " in line for line in run.stdout), begun
        time.sleep(moments.uniform(0.0, 0.5))
        kill(run)
        with duckdb.connect(str(place.data / "warehouse.duckdb"), read_only=True) as con:
            assert con.execute("select count(*) from samples").fetchone()[0] > 0
    finish(place.start_run())
    assert leftovers(place.data) == []
    assert artifacts.sweep(place.data / "artifacts") == []
