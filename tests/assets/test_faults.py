"""Runs that meet each other, readers that never stop, and processes that are killed half-way.

``make test`` kills once in each way, in runs that neither draw nor export. ``make test-faults``
kills at twenty random moments of whole runs (``DIN_FAULT_KILLS=20``); in ``make test-thorough``
three whole runs meet ten readers.
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest

from din_assets.assets.catalogue import STEPS
from din_assets.command import cli
from din_assets.command.refresh import refresh
from din_core import store
from din_core.store import artifacts, ledger
from tests.assets.places import PATIENCE, Place, finish, kill
from tests.assets.small_pipeline import SMALL_RUN, Pipeline, run_history
from tests.assets.stand_ins import stand_in_for_delivery, stand_in_for_time

KILLS = int(os.environ.get("DIN_FAULT_KILLS", "1"))
DRAWS = KILLS > 1
#: Many runs one after another end in the same minute or not.
STANDS_IN = stand_in_for_time if DRAWS else stand_in_for_delivery
#: What the readers look at, and what publishes it.
TABLES = "interactions,rejected_rows,events,user_sequences,warehouse"

READER = """
import os, sys, time, duckdb
os.nice(19)  # those that never rest would leave the runs no processor
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
    time.sleep(0.2)  # opening the file takes as long as some of the steps
print(n)
"""


@pytest.fixture
def place(tmp_path: Path, finished: Pipeline) -> Iterator[Place]:
    """A place with the results of one run; no process outlives a test.

    Readers and runs that a failed test left running would slow every test after it.
    """
    place = Place(tmp_path, stands_in=STANDS_IN.__name__)
    shutil.copytree(finished.home, place.data, symlinks=True)
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
@pytest.mark.parametrize(
    ("n_readers", "n_runs", "select"),
    [(2, 2, TABLES), pytest.param(10, 3, "*", marks=pytest.mark.thorough)],
)
def test_runs_queue_and_readers_never_notice(place, n_readers, n_runs, select):
    published, stop = place.data / "warehouse.duckdb", place.home / "stop"
    readers = [
        place.start(sys.executable, "-c", READER, str(published), str(stop), str(n))
        for n in range(n_readers)
    ]
    outputs = [finish(run) for run in [place.start_run(select) for _ in range(n_runs)]]
    stop.touch()
    for reader in readers:
        assert int(finish(reader)) > 0
    waited = [output for output in outputs if "Dagster run" in output and "wait" in output]
    assert len(waited) == n_runs - 1, "all but one say for whom they wait"


@dataclass(frozen=True)
class Content:
    """All that a run leaves for others, in a form that can be compared.

    Attributes:
        tables: Content version of each published table.
        ledger: What the published file says of each asset: its version, code, options, inputs.
        histories: The rows of the tables that are added to and tell times, but for the times.
        files: SHA-256 of the files for serving; of pictures and training curves only the names.
        served: The bundle that is served. It is led to before the tables' copy is swapped in, so a
            kill in between may leave the one and not the other.
    """

    tables: dict[str, str]
    ledger: dict[str, ledger.Entry]
    histories: dict[str, list[tuple[object, ...]]]
    files: dict[str, str]
    served: str | None = field(compare=False)


#: Tables that earlier runs have their rows in, and when these were made.
HISTORIES = {
    "metrics": "evaluated_at",
    "comparisons": "evaluated_at",
    "model_versions": "judged_at",
    "publications": "decided_at",
}


def published(home: Path) -> Content:
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as con:
        named = [
            name
            for (name,) in con.execute("select table_name from duckdb_tables()").fetchall()
            if name not in {"ledger", *HISTORIES}
        ]
        made = ledger.entries(con)
        return Content(
            {name: store.content_version(con, name) for name in named},
            made,
            {
                name: con.execute(f"select * exclude ({time}) from {name} order by all").fetchall()
                for name, time in HISTORIES.items()
            },
            {
                f"{entry.artifact}/{path.name}": artifacts.digest(path.read_bytes())
                if path.suffix in {".safetensors", ".onnx", ".html"}
                else "there"
                for entry in made.values()
                if entry.artifact
                for path in (home / "artifacts" / entry.artifact).iterdir()
                if "tfevents" not in path.name
            },
            artifacts.pointed_to(home / "artifacts", "bundle"),
        )


#: Of another log: no table, no model and no figure of the one run is that of the other.
OTHER_RUN = copy.deepcopy(SMALL_RUN)
OTHER_RUN["ops"]["interactions"]["config"]["synthetic"]["seed"] = 8


@dataclass
class Undisturbed:
    """A store in which the two configurations take turns, as in the place, and nobody kills.

    Known ids, models and drift tell of the runs before, so it has had the same ones.

    Attributes:
        pipeline: The store, and the instance that its runs are recorded in.
        contents: What each run left, the one that was there first.
    """

    pipeline: Pipeline
    contents: list[Content]

    def turn(self, number: int) -> tuple[Content, dict[str, Any], Content]:
        """Return what is there before a turn, its configuration, and what it leaves."""
        config = OTHER_RUN if number % 2 == 0 else SMALL_RUN
        while len(self.contents) < number + 2:
            assert len(self.contents) == number + 1
            with pytest.MonkeyPatch.context() as patch:
                STANDS_IN(patch)
                list(refresh(self.pipeline.instance, run_config=self._in_its_folder(config)))
            self.contents.append(published(self.pipeline.home))
        return self.contents[number], config, self.contents[number + 1]

    def _in_its_folder(self, config: dict[str, Any]) -> dict[str, Any]:
        return {**config, "resources": {"store": {"config": {"home": str(self.pipeline.home)}}}}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, finished) -> Iterator[Undisturbed]:
    home = tmp_path_factory.mktemp("undisturbed") / "data"
    shutil.copytree(finished.home, home, symlinks=True)
    with run_history() as instance:
        found = Undisturbed(Pipeline(home, instance), [published(home)])
        before, _, after = found.turn(0)
        for table in ("interactions", "events", "negatives", "test_predictions"):
            assert before.tables[table] != after.tables[table], table
        yield found


def assert_as_undisturbed(place: Place, expected: Content) -> None:
    """What was made after a kill is what a run makes that nobody disturbed."""
    found = published(place.data)
    assert found == expected
    assert found.served == expected.served
    assert leftovers(place.data) == []
    assert artifacts.sweep(place.data / "artifacts") == []
    assert "STARTED" not in place.statuses().values()


@pytest.mark.timeout((KILLS + 1) * PATIENCE)
@pytest.mark.parametrize(
    # One moment is in the test after this one, in the middle of a table.
    "kills",
    [KILLS if DRAWS else pytest.param(KILLS, marks=pytest.mark.thorough)],
)
def test_run_killed_at_any_moment_changes_nothing_or_all(place, finished, undisturbed, kills):
    started = [e for e in finished.result.all_events if e.event_type_value == "STEP_START"]
    # A source is observed in the job of the UI; this run only makes assets.
    steps = sorted(event.step_key for event in started if event.step_key in STEPS)
    beginnings = ["RUN_START", *(f"{step} - STEP_START" for step in steps)]
    moments = random.Random(0)
    for kill_number in range(kills):
        before, config, after = undisturbed.turn(kill_number)
        run = place.start_run(log_level="DEBUG", config=config)
        begun = moments.choice(beginnings)
        assert any(f" - {begun} - " in line for line in run.stdout), begun
        time.sleep(moments.uniform(0.0, 0.5))
        kill(run)
        assert published(place.data) in (before, after), begun
        finish(place.start_warm("din", "refresh", "-c", place.write(config)))
        assert_as_undisturbed(place, after)


#: Where a run is killed, and whether what it has made is published by then.
RECORDS = [
    ("din_assets.assets.sequences:build_table", "after", False),  # made but not committed
    ("din_core.store.artifacts:commit", "after", False),  # model kept but not recorded
    ("din_core.store.publishing:_swap_in", "before", False),  # copied but not swapped in
    ("din_core.store.publishing:_swap_in", "after", True),  # swapped in but not finished
]


@pytest.mark.timeout(4 * PATIENCE)
@pytest.mark.parametrize(
    "kills",
    [
        RECORDS,  # each run goes on from what the killed one before it has left
        *(pytest.param([each], marks=pytest.mark.thorough) for each in RECORDS),
    ],
    ids=["one after another", "table made", "model kept", "copied", "swapped in"],
)
def test_run_killed_in_a_table_or_between_two_of_its_records(
    place, undisturbed, monkeypatch, kills
):
    before, config, after = undisturbed.turn(0)
    arguments = ("refresh", "-c", place.write(config))
    for where, when, is_swapped in kills:
        finish(place.start_warm("din", *arguments, killed_at=(where, when)), -signal.SIGKILL)
        assert published(place.data) == (after if is_swapped else before), (where, when)
    for name, value in place.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(place.home)
    STANDS_IN(monkeypatch)
    assert cli.main(arguments) == 0
    assert_as_undisturbed(place, after)
