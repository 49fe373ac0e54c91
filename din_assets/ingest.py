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
from din_assets.materialization import OWNERS, Built, clear_failures, materialize_tables
from din_assets.resources import WarehouseResource
from din_assets.run_config import mirror
from din_core import sources, sql_files
from din_core.amazon import reviews as amazon_reviews
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
        description="A file or a glob of delimited text (also gzip, zstd, bz2, xz, lz4) or "
        "Parquet; relative paths start at the project's root. By default DIN_CSV, and without it "
        "the synthetic log.",
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
            code_version=versions.of_sql(name, "source_summary")
            + versions.of_modules("sources", "synthetic", "amazon"),
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
    with clear_failures():
        source, recorded = _source(context, warehouse.folder, config)
    report_progress = _ReadingLog(context)

    def build(con: duckdb.DuckDBPyConnection) -> Built:
        report = sources.ingest(con, source, on_progress=report_progress)
        account = {
            "lines_read": report.lines_read,
            "lines_inside_quotes": report.source.continued,
            "interactions": report.interactions,
            "rejected": report.rejected,
            "duplicates_dropped": report.duplicates,
        }
        context.log.info(", ".join(f"{name} {rows:,}" for name, rows in account.items()))
        for note in report.source.notes:
            context.log.warning(note)
        for rejection in report.source.rejections:
            context.log.warning(
                f"{rejection.rows:,} rows rejected: {rejection.reason}, for example "
                f"{rejection.examples[0]}"
            )
        for sentence in report.source.recognised:
            context.log.info(sentence)
        said = [*report.source.notes, *report.source.recognised]
        return Built(
            metadata={
                "interactions": {
                    **account,
                    "dialect": report.source.dialect,
                    "time_unit": report.source.summary.codings.unit_name,
                    **({"remarks": said} if said else {}),
                },
                "rejected_rows": {r.reason: r.rows for r in report.source.rejections},
            },
            inputs={SOURCE: report.source.sha256},
        )

    yield from materialize_tables(
        context, warehouse, ("interactions", "rejected_rows"), options=recorded, build=build
    )


def recorded_options(config: InteractionsConfig) -> dict[str, Any]:
    """Return what the ledger keeps of a configuration: nothing that names the machine.

    Raises:
        SourceError: Options that belong to different sources are named together.
    """
    _refuse_unused(config)
    places = {"path", "amazon_base_url"}
    synthetic = config.amazon_category is None and _named_file(config) is None
    return config.model_dump(exclude=places if synthetic else {*places, "synthetic"})


def source_fingerprint(config: InteractionsConfig, folder: Path) -> str | None:
    """Return the hash of the source's content, or None where it follows from the options.

    Args:
        config: The step's configuration.
        folder: Folder of all results, where a fetched source lies.
    """
    if config.amazon_category is not None:
        return sources.fingerprint(str(_fetched(folder, config.amazon_category)))
    file = _named_file(config)
    return None if file is None else sources.fingerprint(str(file))


def _named_file(config: InteractionsConfig) -> Path | None:
    path = config.path or paths.source_csv()
    return paths.resolve(path) if path else None


def _fetched(folder: Path, category: str) -> Path:
    return folder / "downloads" / f"amazon_{category}.csv"


def _source(
    context: dg.AssetExecutionContext, folder: Path, config: InteractionsConfig
) -> tuple[SourceConfig, dict[str, Any]]:
    """Decide what is read; fetch it or generate it where it is not there yet."""
    recorded = recorded_options(config)
    if _synthetic_is_unused(config):
        context.log.warning("the options 'synthetic' have no effect: a file is read (see DIN_CSV)")
    file = _named_file(config)
    if config.amazon_category is not None:
        file = amazon_reviews.prepare(
            config.amazon_category,
            folder / "downloads",
            base_url=config.amazon_base_url,
            on_progress=_DownloadLog(context),
        )
    elif file is None:
        from din_core import synthetic

        file = folder / "synthetic" / "interactions.csv"
        context.log.info("no source is named (DIN_CSV): generating the synthetic log")
        file.parent.mkdir(parents=True, exist_ok=True)
        shape = from_options(SyntheticConfig, recorded["synthetic"])
        synthetic.write_csv(synthetic.generate(shape), file)
    return from_options(SourceConfig, {**recorded, "path": str(file)}), recorded


def _refuse_unused(config: InteractionsConfig) -> None:
    """Refuse what was chosen and would have no effect, lest it passes for done.

    Raises:
        SourceError: Options that belong to different sources are named together.
    """
    defaults = InteractionsConfig()
    if config.amazon_category is not None and config.path is not None:
        raise sources.SourceError(
            f"both path ({config.path}) and amazon_category ({config.amazon_category}) are named, "
            "and one log is read: leave one of them out"
        )
    if config.amazon_category is None and config.amazon_base_url != defaults.amazon_base_url:
        raise sources.SourceError(
            f"amazon_base_url ({config.amazon_base_url}) has no effect without amazon_category: "
            "name the category, or leave the address out"
        )


def _synthetic_is_unused(config: InteractionsConfig) -> bool:
    """Whether the shape of the synthetic log was chosen and another log is read.

    It is said and not refused: a configuration for the synthetic log serves with DIN_CSV as well.
    """
    named = config.amazon_category is not None or _named_file(config) is not None
    return named and config.synthetic != InteractionsConfig().synthetic


class _Periodically:
    """Lets a message through every few seconds."""

    def __init__(self, context: dg.AssetExecutionContext, *, seconds: float = 5.0) -> None:
        self._log = context.log
        self._seconds = seconds
        self._said = time.monotonic()

    def say(self, message: str) -> None:
        if time.monotonic() - self._said >= self._seconds:
            self._said = time.monotonic()
            self._log.info(message)


class _ReadingLog(_Periodically):
    """Says how far the reading of the source is."""

    def __call__(self, progress: sources.Progress) -> None:
        share = progress.bytes_read / max(1, progress.bytes_total)
        self.say(f"read {progress.rows:,} rows, {share:.0%} of the source")


class _DownloadLog(_Periodically):
    """Says how far a download is."""

    def __call__(self, name: str, done: int, total: int | None) -> None:
        of = f" of {total / 1e6:,.0f}" if total else ""
        self.say(f"{name}: {done / 1e6:,.0f}{of} MB")
