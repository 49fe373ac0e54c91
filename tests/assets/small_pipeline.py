"""A small pipeline that runs in a few seconds: its source, its configuration, its runs."""

from __future__ import annotations

import contextlib
import copy
import functools
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb

from din_assets.definitions import alone, build_defs
from din_assets.runs import engines
from din_assets.starting.run_start import RunStore
from din_core import store
from din_core.store import ledger

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


@contextlib.contextmanager
def run_history() -> Iterator[dg.DagsterInstance]:
    """An instance in memory: on disk, recording a run takes longer than a run of this size."""
    with (
        tempfile.TemporaryDirectory() as folder,
        dg.DagsterInstance.ephemeral(tempdir=folder) as instance,
    ):
        yield instance


@contextlib.contextmanager
def complete_run(folder: Path) -> Iterator[Pipeline]:
    """A pipeline after one complete run in a folder."""
    with run_history() as instance:
        pipeline = Pipeline(folder, instance)
        assert pipeline.run().success
        yield pipeline


def write_rows(path: Path, *lines: str, header: str = "user_id,item_id,time,cate_id") -> Path:
    """Write lines to a CSV file, with the tutorial's header."""
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


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
