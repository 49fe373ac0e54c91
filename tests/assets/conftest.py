"""A small pipeline that runs in a few seconds: its source, its configuration, its runs."""

from __future__ import annotations

import contextlib
import copy
import functools
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from din_assets.definitions import alone, build_defs
from din_assets.making import versions
from din_assets.runs import engines
from din_assets.starting.run_start import RunStore
from din_core import store
from din_core.machine import limits
from din_core.store import ledger, sql_files
from din_core.store.kept_instance import kept_instance
from din_core.tables import column_lineage
from din_core.tables.lineage import tables

SMALL_RUN: dict[str, Any] = {
    "ops": {
        "interactions": {
            "config": {"synthetic": {"n_users": 60, "n_items": 80, "n_cates": 6, "seed": 7}}
        },
        "din_model": {
            "config": {
                "embed_dim": 4,
                "mlp_dims": [8],
                "attention_dims": [8],
                "n_epoch": 2,
                "batch_size": 256,
                "num_threads": 1,
            }
        },
    },
    "loggers": {"console": {"config": {"log_level": "ERROR"}}},
}


@dataclass
class Pipeline:
    """A pipeline in a folder of its own."""

    home: Path
    instance: dg.DagsterInstance
    config: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(SMALL_RUN))
    result: dg.ExecuteInProcessResult | None = None
    engine: str = "duckdb"
    #: Into how many folders Spark spreads users; None for as many as a run does by itself.
    buckets: int | None = None

    def run(
        self, *selection: str, config: Mapping[str, Any] | None = None
    ) -> dg.ExecuteInProcessResult:
        """Materialize the selection, or everything, with what of the configuration is for it."""
        run_config = dict(config or self.config)
        ops = run_config["ops"]
        run_config["ops"] = {k: v for k, v in ops.items() if not selection or k in selection}
        return self.start(*selection, config=run_config)

    def start(self, *selection: str, config: Mapping[str, Any]) -> dg.ExecuteInProcessResult:
        """Materialize the selection, or everything, with the whole configuration."""
        job = _job_of_all(self.engine, self.buckets, engines.remote(), engines.tables())
        of_store = config.get("resources", {}).get("store", {}).get("config", {})
        self.result = job.execute_in_process(
            asset_selection=[dg.AssetKey(name) for name in selection] or None,
            run_config={
                **config,
                "resources": {"store": {"config": {"home": str(self.home), **of_store}}},
            },
            instance=self.instance,
            raise_on_error=False,
        )
        return self.result

    def versions(self) -> dict[str, str]:
        """Data version of each asset, by the ledger."""
        with self._database() as con:
            return {name: entry.data_version for name, entry in ledger.entries(con).items()}

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the pipeline's own database."""
        with self._database() as con:
            return con.execute(sql).fetchall()

    def _database(self) -> contextlib.AbstractContextManager[duckdb.DuckDBPyConnection]:
        return store.connect(self.home / "pipeline.duckdb", read_only=True)


@functools.cache
def _job_of_all(
    engine: str, buckets: int | None, remote: str | None, tables: str | None
) -> dg.JobDefinition:
    """The job of all assets; it and the job of each selection are built once.

    Dagster would build them anew for each run, and describe them for the history, which takes a
    quarter of the time of a run that only reads a log.
    """
    run_store = RunStore(engine_name=engine, buckets=buckets, spark_remote=remote, tables=tables)
    definitions = alone(build_defs(resource_overrides={"store": run_store}))
    job: Any = definitions.resolve_implicit_global_asset_job_def()
    build, built = job.as_ephemeral_job, {}

    def build_once(asset_selection: list[dg.AssetKey], **others: Any) -> dg.JobDefinition:
        selected = frozenset(asset_selection)
        if selected not in built:
            built[selected] = build(asset_selection=asset_selection, **others)
        return built[selected]

    job.as_ephemeral_job = build_once
    return job


def up_to(*assets: str) -> list[str]:
    """Return the names of assets and of all that they are made from."""
    above = dg.AssetSelection.assets(*assets).upstream().required_multi_asset_neighbors()
    return [key.to_user_string() for key in above.resolve(_graph())]


@functools.cache
def _graph() -> Any:
    return build_defs().resolve_asset_graph()


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("DIN_CSV", "DIN_HOME", "DIN_ENGINE", "DIN_TABLES", "SPARK_REMOTE"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(scope="session", autouse=True)
def _code_that_nobody_edits() -> Iterator[None]:
    """Look once for the files of the code: a run looks for them with each of its steps."""
    look, sql = versions.stamps, sql_files.SQL_ROOT
    looked = functools.cache(look)
    with pytest.MonkeyPatch.context() as patch:
        for where in (versions, tables):
            # Tests that edit SQL do so in a copy.
            patch.setattr(where, "stamps", lambda *of: (looked if sql in of else look)(*of))
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_core() -> Iterator[None]:
    """Have one core, as each worker has, and look once for how much memory there is.

    A query of a few rows takes a fifth less processor time on one thread than where two share it,
    and each connection looks for both.
    """
    with pytest.MonkeyPatch.context() as patch:
        have_one_core(patch)
        yield


def have_one_core(patch: pytest.MonkeyPatch) -> None:
    """Do so; whoever says where to look is told what is there."""
    cores, memory = limits.cores, functools.cache(limits.memory)
    patch.setattr(limits, "cores", lambda **where: cores(**where) if where else 1)
    patch.setattr(limits, "memory", memory)


@pytest.fixture(scope="session", autouse=True)
def _queries_that_are_read_once() -> Iterator[None]:
    """Read once where the columns of a query come from: runs ask it for every table and view."""
    read, known = column_lineage.column_sources, {}

    def read_once(
        con: duckdb.DuckDBPyConnection, query: str, columns_of: Mapping[str, list[str]]
    ) -> Mapping[str, Any]:
        asked = query, tuple(sorted((name, *columns) for name, columns in columns_of.items()))
        if asked not in known:
            known[asked] = read(con, query, columns_of)
        return known[asked]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(column_lineage, "column_sources", read_once)
        yield


@pytest.fixture(scope="package", autouse=True)
def _graphs_that_are_made_once() -> Iterator[None]:
    """Make each exported graph once, and not once more to see whether it comes out the same.

    It does, and others are refused: tests/core/serving/graphs/test_writing.py.
    """
    from din_core.serving.graphs import writing

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "_same_twice", lambda _, make: make())
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_instance_of_duckdb() -> Iterator[None]:
    """Open files in one instance of DuckDB, as a run does, from the first run to the last."""
    with kept_instance():
        yield


@pytest.fixture(scope="session", autouse=True)
def _history_that_nobody_migrates() -> Iterator[None]:
    """Note no revision of the schema in a history in memory: that reads all migrations."""
    from dagster._core.storage.event_log import in_memory as events_in_memory
    from dagster._core.storage.runs import in_memory as runs_in_memory

    with pytest.MonkeyPatch.context() as patch:
        for storage in (events_in_memory, runs_in_memory):
            patch.setattr(storage, "stamp_alembic_rev", lambda *_: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _history_that_stays_connected() -> Iterator[None]:
    """Record events in memory on the connection that holds them, not on a new one for each.

    A new one also asks for a journal, which is on no disk, each time. Another thread than the one
    that made the history may not use its connection, and has new ones. Which tables there are, of
    all histories the same, is asked with most events.
    """
    from dagster._core.storage.event_log.in_memory import InMemoryEventLogStorage as Events

    make, connect = Events.__init__, Events._connect

    def making(self: Any, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        self._made_in = threading.get_ident()

    @contextlib.contextmanager
    def connected(self: Any) -> Iterator[Any]:
        if threading.get_ident() != self._made_in:
            with connect(self) as connection:
                yield connection
            return
        with self._db_lock, self._held_conn.begin():
            yield self._held_conn

    tables: dict[str, bool] = {}

    def has_table(self: Any, name: str) -> bool:
        if name not in tables:
            tables[name] = look(self, name)
        return tables[name]

    look = Events.has_table
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Events, "__init__", making)
        patch.setattr(Events, "_connect", connected)
        patch.setattr(Events, "has_table", has_table)
        yield


@pytest.fixture(scope="session", autouse=True)
def _history_that_packs_nothing() -> Iterator[None]:
    """Keep the descriptions of jobs and their steps in a history in memory as they are.

    To write them down and compress them, as for a disk, takes a tenth of the time of a small run.
    """
    from dagster._core.storage.runs.in_memory import InMemoryRunStorage as Runs
    from dagster._core.storage.runs.schema import SnapshotsTable

    def add(self: Any, snapshot_id: str, snapshot_obj: Any, snapshot_type: Any) -> str:
        vars(self).setdefault("_described", {})[snapshot_id] = snapshot_obj
        row = {
            "snapshot_id": snapshot_id,
            "snapshot_body": b"",
            "snapshot_type": snapshot_type.value,
        }
        with self.connect() as connection:
            connection.execute(SnapshotsTable.insert().values(**row))
        return snapshot_id

    def get(self: Any, snapshot_id: str) -> Any:
        return vars(self).get("_described", {}).get(snapshot_id)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Runs, "_add_snapshot", add)
        patch.setattr(Runs, "_get_snapshot", get)
        patch.setattr(Runs, "_has_snapshot_id", lambda *asked: get(*asked) is not None)
        yield


@contextlib.contextmanager
def run_history() -> Iterator[dg.DagsterInstance]:
    """An instance in memory: on disk, recording a run takes longer than a run of this size."""
    with (
        tempfile.TemporaryDirectory() as folder,
        dg.DagsterInstance.ephemeral(tempdir=folder) as instance,
    ):
        yield instance


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    with run_history() as instance:
        yield Pipeline(tmp_path / "data", instance)


@contextlib.contextmanager
def complete_run(folder: Path) -> Iterator[Pipeline]:
    """A pipeline after one complete run in a folder."""
    with run_history() as instance:
        pipeline = Pipeline(folder, instance)
        assert pipeline.run().success
        yield pipeline


# One of each for all workers. Its makers import this module.
@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A pipeline after one complete run; read it, do not change it."""
    from tests.assets.shared_runs import shared_run

    with shared_run(tmp_path_factory, "finished", complete_run) as pipeline:
        yield pipeline


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A pipeline after a run on labelled rows with ids of text; read it, do not change it."""
    from tests.assets.served_logs import run_on_labels
    from tests.assets.shared_runs import shared_run

    with shared_run(tmp_path_factory, "labelled", run_on_labels) as pipeline:
        yield pipeline


@pytest.fixture(params=["finished", "labelled"])
def made(request: pytest.FixtureRequest) -> Pipeline:
    """Either of them."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which `DIN_HOME` names."""
    home = tmp_path / "data"
    home.mkdir()
    monkeypatch.setenv("DIN_HOME", str(home))
    return home


@pytest.fixture
def without_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what takes seconds and decides nothing, where nobody looks at it."""
    stand_in_for_delivery(monkeypatch)


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without all that is drawn, where nobody looks at it and the log is one like others."""
    stand_in_for_pictures(monkeypatch)


@pytest.fixture
def without_drawn_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the drawings of the network, which look the same whatever the log is."""
    stand_in_for_the_drawn_network(monkeypatch)


def stand_in_for_delivery(patch: pytest.MonkeyPatch) -> None:
    """Stand-ins for the pictures and the export: they depend on the same, and take no time."""
    from din_core.serving.bundle.contents import BundleError
    from din_core.serving.publication import comparison

    def cannot_be_asked(*_: Any) -> None:
        raise BundleError("a stand-in has no graphs")

    stand_in_for_pictures(patch)
    stand_in_for_the_index_graph(patch)
    stand_in_for_the_graphs(patch)
    patch.setattr(comparison, "with_latest", cannot_be_asked)


def stand_in_for_pictures(patch: pytest.MonkeyPatch) -> None:
    """Stand-ins for all that is drawn; the export is real."""
    from din_core.evaluation import attention_pictures, drift_picture
    from din_core.evaluation import pictures as pictures_of_figures
    from din_core.serving import pictures

    def draw(con: duckdb.DuckDBPyConnection, folder: Path) -> dict[str, Path]:
        rows = con.execute("from attention_weights order by all").fetchall()
        files = folder / "weights.png", folder / "weights.svg"
        for file in files:
            file.write_text(str(rows))
        return {"weights": files[0]}

    stand_in_for_the_drawn_network(patch)
    patch.setattr(attention_pictures, "draw", draw)
    for drawing in (drift_picture, pictures_of_figures):
        patch.setattr(drawing, "figure_png", lambda figure: b"")
    patch.setattr(pictures, "training_curve", lambda history: b"")
    patch.setattr(drift_picture, "draw", lambda con: None)


def _write_hash(model: Any, target: Path) -> None:
    from din_core.serving import saved_models

    target.write_text(saved_models.tensors_hash(model.state_dict()))


def stand_in_for_the_drawn_network(patch: pytest.MonkeyPatch) -> None:
    """Files that depend on the model, in the place of its drawings; nothing is made smaller."""
    from din_core.serving import images, pictures, saved_models
    from din_core.serving.architecture import overview

    def source(model: Any) -> str:
        return saved_models.tensors_hash(model.state_dict())

    def draw(source: str, stem: Path, *_: Any) -> images.DrawnGraph:
        files = stem.with_suffix(".png"), stem.with_suffix(".svg")
        for file in files:
            file.write_text(source)
        return images.DrawnGraph(*files, preview=b"")

    patch.setattr(pictures, "graph_source", source)
    patch.setattr(pictures, "canonical_graph", lambda svg: svg)
    patch.setattr(overview, "overview_source", source)
    patch.setattr(images, "draw", draw)
    patch.setattr(images, "thumbnail", lambda png, *size, **options: b"")


def stand_in_for_the_index_graph(patch: pytest.MonkeyPatch) -> None:
    """A file that depends on the model, in the place of the graph that takes indices."""
    from din_core.serving.graphs import index_graph, parity

    patch.setattr(index_graph, "export_onnx", _write_hash)
    patch.setattr(parity, "require_parity", lambda model, file: 0.0)


def stand_in_for_the_graphs(patch: pytest.MonkeyPatch) -> None:
    """A bundle without graphs, which nobody asks: other bundles may be asked."""
    from din_core.serving import agreement, graphs

    def write_all(saved: Any, *_: Any, max_history: int, **__: Any) -> graphs.GraphReport:
        return graphs.GraphReport(
            sizes={},
            differences={},
            left_out={"rank.onnx": saved.tensors_hash},
            padding={"item_id": -1},
            id_types={"item_id": "int64"},
            max_history=max_history,
        )

    patch.setattr(graphs, "write_all", write_all)
    patch.setattr(agreement, "require_agreement", lambda *_: (0.0, 0))


def write_rows(path: Path, *lines: str, header: str = "user_id,item_id,time,cate_id") -> Path:
    """Write lines to a CSV file, with the tutorial's header."""
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def write_csv(tmp_path: Path) -> Callable[..., Path]:
    """Write lines to a CSV file in the test's folder."""
    return functools.partial(write_rows, tmp_path / "log.csv")


@pytest.fixture
def other_sql(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., contextlib.AbstractContextManager[None]]:
    """Change the text of one SQL file for the length of a block."""

    @contextlib.contextmanager
    def changed(file: str, old: str, new: str) -> Iterator[None]:
        root = tmp_path / "sql"
        shutil.copytree(sql_files.SQL_ROOT, root)
        text = (root / file).read_text(encoding="utf-8")
        assert old in text
        (root / file).write_text(text.replace(old, new), encoding="utf-8")
        try:
            with monkeypatch.context() as patch:
                patch.setattr(sql_files, "SQL_ROOT", root)
                sql_files._environment.cache_clear()
                yield
        finally:
            sql_files._environment.cache_clear()

    return changed


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    """The description of the failure that ended a run."""
    assert not result.success
    events = {event.event_type_value: event for event in reversed(result.all_events)}
    if "STEP_FAILURE" not in events:  # it failed before its first step
        error = events["RESOURCE_INIT_FAILURE"].engine_event_data.error
        while error.cause is not None:
            error = error.cause
        return error.message
    data = events["STEP_FAILURE"].step_failure_data
    return data.user_failure_data.description if data.user_failure_data else str(data.error)
