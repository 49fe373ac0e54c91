"""The source with nothing lost: ``interactions``, ``rejected_rows`` and ``source_files``."""

import dataclasses
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
from pydantic import Field

from din_assets.making import acceptance, source_observations, versions
from din_assets.making.checks import check_specs
from din_assets.making.materialization import OWNERS, Built, as_dagster_failures, materialize_tables
from din_assets.making.place_of_options import saying_the_place, with_place
from din_assets.making.run_config import mirror
from din_assets.runs import paths, progress
from din_assets.runs.last_run import Source
from din_assets.runs.resources import StoreResource
from din_core import sources
from din_core.config import GrowthConfig, SourceConfig, SyntheticConfig, config_from_mapping
from din_core.datasets import named_logs
from din_core.datasets.amazon import reviews as amazon_reviews
from din_core.engines.engine import Engine
from din_core.store import ledger, sql_files
from din_core.tables import known_ids, loads
from din_core.tables.column_names import refuse_clashing_names

Results = Iterator[dg.MaterializeResult | dg.AssetCheckResult]

_SyntheticShape = mirror("_SyntheticShape", SyntheticConfig, doc="The shape of the synthetic log.")
_SourceColumns = mirror(
    "_SourceColumns",
    SourceConfig,
    GrowthConfig,
    only=tuple(
        field.name
        for config in (SourceConfig, GrowthConfig)
        for field in dataclasses.fields(config)
        if field.name != "path"
    ),
    doc="What the columns of the source are called, and what becomes of known ids.",
)


class SyntheticLogConfig(_SyntheticShape):
    """The shape of the synthetic log."""


class InteractionsConfig(_SourceColumns):
    """The source, what its columns are called, and what becomes of known ids."""

    path: str | None = Field(
        default=None,
        description="A file, a URL or a glob of delimited text (also gzip, zstd, bz2, xz, lz4) or "
        "Parquet, relative to the project's root; 'synthetic' is the synthetic log. By default "
        "what DIN_CSV names, then the source of the last run; the synthetic log where there was "
        "none.",
    )
    amazon_category: str | None = Field(
        default=None,
        description="A category of Amazon Reviews 2014, such as 'Electronics' (the data of the DIN "
        "paper): its files are fetched, once, and read instead of a path.",
    )
    amazon_base_url: str = Field(
        default=amazon_reviews.BASE_URL,
        description="Where the files of Amazon Reviews 2014 are fetched from.",
    )
    synthetic: SyntheticLogConfig = Field(
        default_factory=SyntheticLogConfig,
        description="The shape of the synthetic log, where that is the source.",
    )


_STEP = "interactions"
_OPTIONS = tuple(InteractionsConfig.model_fields)

#: What is made of the source, together.
_TABLES = ("interactions", "rejected_rows", "source_files")

#: The file itself, an asset that is made elsewhere (:mod:`din_assets.assets.source`).
SOURCE = "interactions_csv"


def _interactions(
    context: dg.AssetExecutionContext, store: StoreResource, config: InteractionsConfig
) -> Results:
    """Read the source once: usable rows to one table, the others with their reason to the other."""
    with as_dagster_failures():
        chosen, log = chosen_source(context, store)
        config = InteractionsConfig(**chosen.options)
        recorded = ledger_options(config)
        # Here, since a later step would find it when the log has been read and replaced.
        refuse_clashing_names(config_from_mapping(SourceConfig, {**recorded, "path": ""}))
        file = named_logs.provide(log, store.folder, on_progress=_DownloadLog(context))
        look = source_observations.before_reading(log, file)
    source = config_from_mapping(SourceConfig, {**recorded, "path": file})
    report_progress = _ReadingLog(context)
    engine = store.engine

    def build(con: duckdb.DuckDBPyConnection) -> Built:
        with saying_the_place(_STEP, _OPTIONS):
            report = sources.ingest(con, source, engine=engine, on_progress=report_progress)
        load = _take_load(con, store, config, report, engine)
        _tell(context, report, load)
        seen = source_observations.of_reading(chosen, log, look, report)
        return Built(
            metadata=_metadata(report, seen.metadata, load),
            tags=source_observations.show(context, SOURCE, seen),
            inputs={SOURCE: report.source.sha256, known_ids.LOAD: str(load.number)},
            before_commit=lambda: acceptance.accept(con, store.settled, context.log.warning),
        )

    yield from materialize_tables(
        context, store, _TABLES, options=recorded, build=build, is_io=True, engine=engine
    )


interactions = dg.multi_asset(
    name=_STEP,
    can_subset=True,  # by name only: each of them is made with the other
    specs=[
        dg.AssetSpec(
            name,
            deps=[SOURCE],
            group_name="ingest",
            kinds={"duckdb", "sql"},
            owners=OWNERS,
            code_version=versions.of_asset(name, _interactions),
            description=sql_files.schema(name).description,
        )
        for name in _TABLES
    ],
    check_specs=[spec for name in _TABLES for spec in check_specs(name)],
)(_interactions)


def ledger_options(config: InteractionsConfig) -> dict[str, Any]:
    """Return what the ledger keeps of a configuration: nothing that names the machine.

    Args:
        config: The step's configuration, its source decided (see :class:`last_run.Source`).
    """
    places = {"path", "amazon_base_url"}
    synthetic = config.path == paths.SYNTHETIC
    return config.model_dump(exclude=places if synthetic else {*places, "synthetic"})


def source_fingerprint(config: InteractionsConfig, folder: Path) -> str | None:
    """Return the hash of the source's content, or None where it follows from the options.

    Args:
        config: The step's configuration, its source decided.
        folder: Folder of all results, where a fetched source lies.

    Raises:
        named_logs.NotFetchedError: The source has to be fetched first, which is a run's business.
        SourceError: There is no such file, or it cannot be read.
    """
    return named_logs.fingerprint(named_log(config), folder)


def named_log(config: InteractionsConfig) -> named_logs.NamedLog:
    """Return the log that a configuration names, its source decided."""
    return config_from_mapping(
        named_logs.NamedLog,
        {
            **config.model_dump(include={"path", "amazon_category", "amazon_base_url"}),
            "synthetic": config_from_mapping(SyntheticConfig, config.synthetic.model_dump()),
        },
    )


def chosen_source(
    context: dg.AssetExecutionContext, store: StoreResource
) -> tuple[Source, named_logs.NamedLog]:
    """Say what is read, and whose choice that was; return it, and the log that it names."""
    source = store.settled.source
    if source is None:
        raise RuntimeError("the run settled that it reads nothing")
    context.log.info(f"source: {source.name} ({source.origin})")
    for warning in source.warnings:
        context.log.warning(warning)
    return source, named_log(InteractionsConfig(**source.options))


def _take_load(
    con: duckdb.DuckDBPyConnection,
    store: StoreResource,
    config: InteractionsConfig,
    report: sources.IngestReport,
    engine: Engine,
) -> loads.Load:
    """Count the load, and say whether it goes on with the log that was read before."""
    before = ledger.entries(con).get("interactions")
    named_before = store.settled.before.get("interactions", {})
    recorded = {} if before is None else before.options
    now = config.model_dump(include={"user_col", "item_col"})
    return loads.take(
        con,
        report.source.read_files,
        content=report.source.sha256,
        content_before=before and before.inputs.get(SOURCE),
        same_source=_identity(InteractionsConfig(**named_before)) == _identity(config),
        vocabularies=config.vocabularies,
        renamed={
            option: (recorded[option], column)
            for option, column in now.items()
            if recorded.get(option, column) != column
        },
        engine=engine,
    )


def _identity(config: InteractionsConfig) -> object:
    """What makes a source the same one as before, whatever its files hold by now."""
    shape = config.synthetic.model_dump() if config.path == paths.SYNTHETIC else None
    return config.path, config.amazon_category, shape


def _tell(
    context: dg.AssetExecutionContext, report: sources.IngestReport, load: loads.Load
) -> None:
    context.log.info(", ".join(f"{name} {rows:,}" for name, rows in report.account.items()))
    for sentence in report.source.warnings:
        context.log.warning(with_place(sentence, _STEP, _OPTIONS))
    for sentence in (*report.source.recognised, *load.notes, load.sentence):
        context.log.info(sentence)
    for sentence in load.warnings:
        context.log.warning(sentence)


def _metadata(
    report: sources.IngestReport, seen: Mapping[str, Any], load: loads.Load
) -> dict[str, dict[str, Any]]:
    source = report.source
    return {
        "interactions": {
            "source": seen["source"],
            "source_sha256": source.sha256,
            **report.account,
            "dialect": source.dialect,
            "time_unit": source.summary.codings.unit_name,
            **({"remarks": list(source.remarks)} if source.remarks else {}),
            "load": load.number,
            "vocabularies": load.sentence,
            **({"files": [*load.warnings, *load.notes]} if load.warnings or load.notes else {}),
        },
        "rejected_rows": {rejection.reason: rejection.rows for rejection in source.rejections},
    }


class _Periodically:
    """Lets a message through every few seconds."""

    def __init__(self, context: dg.AssetExecutionContext, *, seconds: float = 5.0) -> None:
        self._log = context.log
        self._seconds = seconds
        self._said = time.monotonic()

    def say(self, message: str, share: float | None) -> None:
        if time.monotonic() - self._said < self._seconds:
            return
        self._said = time.monotonic()
        if share is None:
            self._log.info(message)
        else:
            progress.tell(self._log, message, progress.Progress(share))


class _ReadingLog(_Periodically):
    """Says how far the reading of the source is."""

    def __call__(self, read: sources.Progress) -> None:
        share = read.bytes_read / max(1, read.bytes_total)
        self.say(f"read {read.rows:,} rows, {share:.0%} of the source", share)


class _DownloadLog(_Periodically):
    """Says how far a download is."""

    def __call__(self, name: str, done: int, total: int | None) -> None:
        of = f" of {total / 1e6:,.0f}" if total else ""
        self.say(f"{name}: {done / 1e6:,.0f}{of} MB", done / total if total else None)
