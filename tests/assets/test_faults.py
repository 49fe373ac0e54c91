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
from pathlib import Path

import duckdb
import pytest
import yaml

from din_assets import paths
from din_core import artifacts
from tests.assets.conftest import SMALL_RUN

KILLS = int(os.environ.get("DIN_FAULT_KILLS", "5"))

READER = """
import sys, time, duckdb
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


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A Dagster home with the project's instance and a run configuration of a few seconds."""
    shutil.copy(paths.project_root() / "dagster.yaml", tmp_path)
    config = {**SMALL_RUN, "loggers": {"console": {"config": {"log_level": "WARNING"}}}}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    return tmp_path


def start_run(place: Path) -> subprocess.Popen[str]:
    command = [
        str(Path(sys.executable).parent / "dagster"), "asset", "materialize", "--select", "*",
        "-m", "din_assets.definitions", "-c", "run.yaml",
    ]  # fmt: skip
    return subprocess.Popen(
        command,
        cwd=place,
        env={**os.environ, "DIN_HOME": str(place / "data"), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(run: subprocess.Popen[str]) -> str:
    output, _ = run.communicate(timeout=400)
    assert run.returncode == 0, output[-3000:]
    return output


def leftovers(home: Path) -> list[Path]:
    temporary = [p for p in home.rglob("*") if ".staging-" in p.name or p.name.endswith(".wal")]
    beside = {p.name for p in home.iterdir()}
    known = {
        "artifacts", "checkpoints", "pipeline.duckdb", "pipeline.lock", "synthetic",
        "warehouse.duckdb", "pipeline.tmp",
    }  # fmt: skip
    return temporary + [home / name for name in beside - known]


def test_runs_queue_and_readers_never_notice(place):
    finish(start_run(place))
    published, stop = place / "data" / "warehouse.duckdb", place / "stop"
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", READER, str(published), str(stop), str(n)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for n in range(10)
    ]
    outputs = [finish(run) for run in [start_run(place) for _ in range(3)]]
    stop.touch()
    for reader in readers:
        output, _ = reader.communicate(timeout=60)
        assert reader.returncode == 0, output
        assert int(output) > 0
    waited = [output for output in outputs if "Dagster run" in output and "wait" in output]
    assert len(waited) == 2, "two of three runs say for whom they wait"


def test_killed_runs_leave_nothing_behind_and_the_next_one_succeeds(place):
    finish(start_run(place))
    home = place / "data"
    moments = random.Random(0)
    for _ in range(KILLS):
        run = start_run(place)
        time.sleep(moments.uniform(1.0, 12.0))
        os.killpg(run.pid, signal.SIGKILL)
        run.communicate()
        with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as con:
            assert con.execute("select count(*) from samples").fetchone()[0] > 0
    finish(start_run(place))
    assert leftovers(home) == []
    assert artifacts.sweep(home / "artifacts") == []
