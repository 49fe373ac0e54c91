"""Runs that meet each other, readers that never stop, and processes that are killed half-way.

``DIN_FAULT_KILLS=20 pytest tests/assets/test_faults.py`` kills as often as the issue of trust asks
for; the default keeps the whole suite short.
"""

from __future__ import annotations

import copy
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from din_core import artifacts, ledger, warehouse
from tests.assets.conftest import SMALL_RUN, Pipeline
from tests.assets.places import PATIENCE, Place, finish, kill, program

KILLS = int(os.environ.get("DIN_FAULT_KILLS", "2"))
READERS = 10

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


@pytest.fixture
def place(tmp_path: Path, finished: Pipeline) -> Iterator[Place]:
    """A place with the results of one run; no process outlives a test.

    Readers and runs that a failed test left running would slow every test after it.
    """
    place = Place(tmp_path)
    shutil.copytree(finished.home, place.data)
    try:
        yield place
    finally:
        place.stop_everything()


def leftovers(home: Path) -> list[Path]:
    temporary = [p for p in home.rglob("*") if ".staging-" in p.name or p.name.endswith(".wal")]
    beside = {p.name for p in home.iterdir()}
    known = {
        "artifacts", "checkpoints", "pipeline.duckdb", "pipeline.lock", "synthetic",
        "warehouse.duckdb", "warehouse.duckdb.sha256", "pipeline.tmp", "last_run.yaml",
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


@dataclass(frozen=True)
class Content:
    """All that a run leaves for others, in a form that can be compared.

    Attributes:
        tables: Content version of each published table.
        ledger: What the published file says of each asset: its version, code, options, inputs.
        figures: The figures of the published model.
        files: SHA-256 of the files for serving; of pictures and training curves only the names.
    """

    tables: dict[str, str]
    ledger: dict[str, ledger.Entry]
    figures: list[tuple[object, ...]]
    files: dict[str, str]


def published(home: Path) -> Content:
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as con:
        named = (
            "select table_name from duckdb_tables() where table_name not in ('ledger', 'metrics')"
        )
        made = ledger.entries(con)
        figures = "select split, metric, value from metrics where model_version = ? order by all"
        return Content(
            {
                name: warehouse.content_version(con, name)
                for (name,) in con.execute(named).fetchall()
            },
            made,
            con.execute(figures, [made["din_model"].data_version]).fetchall(),
            {
                f"{entry.artifact}/{path.name}": artifacts.digest(path.read_bytes())
                if path.suffix in {".safetensors", ".onnx"}
                else "there"
                for entry in made.values()
                if entry.artifact
                for path in (home / "artifacts" / entry.artifact).iterdir()
                if "tfevents" not in path.name
            },
        )


#: Of another log: no table, no model and no figure of the one run is that of the other.
OTHER_RUN = copy.deepcopy(SMALL_RUN)
OTHER_RUN["ops"]["interactions"]["config"]["synthetic"]["seed"] = 8


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, finished) -> list[tuple[dict[str, Any], Content]]:
    """The configuration and the content of two runs that nobody disturbed; the first is there."""
    with dg.instance_for_test() as instance:
        other = Pipeline(tmp_path_factory.mktemp("other"), instance, config=OTHER_RUN)
        assert other.run().success
    contents = [published(finished.home), published(other.home)]
    for table in ("interactions", "events", "negatives", "test_predictions"):
        assert contents[0].tables[table] != contents[1].tables[table], table
    return list(zip([SMALL_RUN, OTHER_RUN], contents, strict=True))


def finish_and_compare(place: Place, config: dict[str, Any], expected: Content) -> None:
    """Make what the kill left undone; the results are those of a run that nobody disturbed."""
    finish(place.start(program("din"), "refresh", "-c", place.write(config)))
    assert published(place.data) == expected
    assert leftovers(place.data) == []
    assert artifacts.sweep(place.data / "artifacts") == []
    assert "STARTED" not in place.statuses().values()


@pytest.mark.timeout((KILLS + 1) * PATIENCE)
def test_run_killed_at_any_moment_changes_nothing_or_all(place, finished, undisturbed):
    started = [e for e in finished.result.all_events if e.event_type_value == "STEP_START"]
    beginnings = ["RUN_START", *sorted(f"{event.step_key} - STEP_START" for event in started)]
    moments = random.Random(0)
    for kill_number in range(KILLS):
        (_, before), (config, after) = undisturbed[:: 1 if kill_number % 2 == 0 else -1]
        run = place.start_run(log_level="DEBUG", config=config)
        begun = moments.choice(beginnings)
        assert any(f" - {begun} - " in line for line in run.stdout), begun
        time.sleep(moments.uniform(0.0, 0.5))
        kill(run)
        assert published(place.data) in (before, after), begun
        finish_and_compare(place, config, after)


KILL_AT = """
import importlib, os, signal, sys
where, when, *arguments = sys.argv[1:]
module, name = where.split(":")
module = importlib.import_module(module)
real = getattr(module, name)

def killing(*args, **kwargs):
    if when == "after":
        real(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(module, name, killing)
from din_assets import cli
cli.main(arguments)
"""


@pytest.mark.timeout(2 * PATIENCE)
@pytest.mark.parametrize(
    ("where", "when", "is_swapped"),
    [
        ("din_core.artifacts:commit", "after", False),
        ("din_core.warehouse.publishing:_swap_in", "before", False),
        ("din_core.warehouse.publishing:_swap_in", "after", True),
    ],
    ids=["model kept but not recorded", "copied but not swapped in",
         "swapped in but not finished"],
)  # fmt: skip
def test_run_killed_between_two_of_its_records(place, undisturbed, where, when, is_swapped):
    (_, before), (config, after) = undisturbed
    arguments = ("refresh", "-c", place.write(config))
    run = place.start(sys.executable, "-c", KILL_AT, where, when, *arguments)
    run.communicate(timeout=PATIENCE)
    assert run.returncode == -signal.SIGKILL
    assert published(place.data) == (after if is_swapped else before)
    finish_and_compare(place, config, after)
