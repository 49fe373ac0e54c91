"""The assets ``interactions`` and ``rejected_rows``: the source, row by row, with nothing lost."""

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
from pydantic import Field

from din_assets import paths, versions
from din_assets.checks import check_specs
from din_assets.materialization import OWNERS, Built, materialize_tables
from din_assets.resources import WarehouseResource
from din_assets.run_config import mirror
from din_core import sources, sql_files
from din_core.config import SourceConfig, SyntheticConfig, from_options

Results = Iterator[dg.MaterializeResult | dg.AssetCheckResult]

SyntheticLogConfig = mirror(
    "SyntheticLogConfig", SyntheticConfig, doc="The shape of the synthetic log."
)
_SourceColumns = mirror(
    "_SourceColumns",
    SourceConfig,
    only=tuple(field.name for field in dataclasses.fields(SourceConfig) if field.name != "path"),
    doc="What the columns of the source are called.",
)


class InteractionsConfig(_SourceColumns):
    """The source, and what its columns are called."""

    path: str | None = Field(
        default=None,
        description="A file or a glob (.csv, .tsv, .csv.gz, .csv.zst, .parquet); relative paths "
        "start at the project's root. By default DIN_CSV, and without it the synthetic log.",
    )
    synthetic: SyntheticLogConfig = Field(
        default_factory=SyntheticLogConfig, description="The synthetic log, where no path is given."
    )


#: The file itself, an asset that is made elsewhere.
SOURCE = "interactions_csv"
interactions_csv = dg.AssetSpec(
    SOURCE,
    group_name="ingest",
    kinds={"csv"},
    owners=OWNERS,
    description="The raw log of interactions: the file that DIN_CSV or the run config names.",
)


@dg.multi_asset(
    name="interactions",
    specs=[
        dg.AssetSpec(
            name,
            deps=[interactions_csv],
            group_name="ingest",
            kinds={"duckdb", "sql"},
            owners=OWNERS,
            code_version=versions.of_sql(name) + versions.of_modules("sources"),
            description=sql_files.schema(name).description,
        )
        for name in ("interactions", "rejected_rows")
    ],
    check_specs=[*check_specs("interactions"), *check_specs("rejected_rows")],
)
def interactions(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource, config: InteractionsConfig
) -> Results:
    """Read the source once: usable rows to one table, the others with their reason to the other."""
    source, recorded = _source(context, warehouse.folder, config)
    report_progress = _ProgressLog(context)

    def build(con: duckdb.DuckDBPyConnection) -> Built:
        report = sources.ingest(con, source, on_progress=report_progress)
        account = {
            "lines_read": report.lines_read,
            "interactions": report.interactions,
            "rejected": report.rejected,
            "duplicates_dropped": report.duplicates,
        }
        context.log.info(", ".join(f"{name} {rows:,}" for name, rows in account.items()))
        for rejection in report.source.rejections:
            context.log.warning(
                f"{rejection.rows:,} rows rejected: {rejection.reason}, for example "
                f"{rejection.examples[0]}"
            )
        return Built(
            metadata={
                "interactions": {**account, "dialect": report.source.dialect},
                "rejected_rows": {r.reason: r.rows for r in report.source.rejections},
            },
            inputs={SOURCE: report.source.sha256},
        )

    yield from materialize_tables(
        context, warehouse, ("interactions", "rejected_rows"), options=recorded, build=build
    )


def recorded_options(config: InteractionsConfig) -> dict[str, Any]:
    """Return what the ledger keeps of a configuration: nothing that names the machine."""
    synthetic = not (config.path or paths.source_csv())
    return config.model_dump(exclude={"path"} if synthetic else {"path", "synthetic"})


def source_fingerprint(config: InteractionsConfig) -> str | None:
    """Return the hash of the source's content, or None for the synthetic log."""
    if path := config.path or paths.source_csv():
        return sources.fingerprint(str(paths.resolve(path)))
    return None


def _source(
    context: dg.AssetExecutionContext, folder: Path, config: InteractionsConfig
) -> tuple[SourceConfig, dict[str, Any]]:
    """Decide what is read, generating it where it is the synthetic log."""
    recorded = recorded_options(config)
    if path := config.path or paths.source_csv():
        return from_options(SourceConfig, {**recorded, "path": str(paths.resolve(path))}), recorded
    from din_core import synthetic

    file = folder / "synthetic" / "interactions.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    context.log.info("no source is named (DIN_CSV): generating the synthetic log")
    shape = from_options(SyntheticConfig, recorded["synthetic"])
    synthetic.write_csv(synthetic.generate(shape), file)
    return from_options(SourceConfig, {**recorded, "path": str(file)}), recorded


class _ProgressLog:
    """Says every few seconds how far the reading is."""

    def __init__(self, context: dg.AssetExecutionContext, *, seconds: float = 5.0) -> None:
        self._log = context.log
        self._seconds = seconds
        self._said = time.monotonic()

    def __call__(self, progress: sources.Progress) -> None:
        if time.monotonic() - self._said >= self._seconds:
            self._said = time.monotonic()
            self._log.info(progress.sentence())
