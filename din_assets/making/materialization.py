"""How a table is made: build, check, commit, record; or roll back and say what was wrong.

Every table goes through here, so that the order (the checks before the commit), the versions and
the metadata are the same for all of them. Artifacts go through :mod:`artifact_assets`.
"""

import contextlib
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import duckdb
from dagster._core.definitions.data_version import DATA_VERSION_TAG

from din_assets.making import checks, facts, versions
from din_assets.names import name_of, step_of
from din_assets.runs.failures import IO_RETRIES, as_dagster_failures
from din_assets.runs.resources import StoreResource
from din_core import store
from din_core.engines.engine import DUCKDB, Engine
from din_core.store import ledger, sql_files
from din_core.tables import column_lineage, recorded_choices
from din_core.tables.checks import CheckResult
from din_core.tables.lineage import Sources, lineage
from din_core.tables.template_context import TemplateContext

OWNERS = ["team:recommendations"]


@dataclass(frozen=True, kw_only=True)
class Built:
    """What came out of building tables, besides the tables.

    Attributes:
        metadata: What the UI shows of each table, beyond its rows and columns.
        check_context: What the checks are rendered with; None where they take nothing.
        inputs: Data versions of inputs from outside the pipeline, such as the source file.
        tags: What Dagster is told of all the tables beside their versions.
        before_commit: Called when every blocking check has passed.
        beside_findings: What the page of each failed check shows as well, such as a picture.
    """

    metadata: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    check_context: TemplateContext | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    before_commit: Callable[[], object] = lambda: None
    beside_findings: Mapping[str, Any] = field(default_factory=dict)


Build = Callable[[duckdb.DuckDBPyConnection], Built]


def materialize_tables(
    context: dg.AssetExecutionContext,
    resource: StoreResource,
    names: tuple[str, ...],
    *,
    options: Mapping[str, Any],
    build: Build,
    is_io: bool = False,
    engine: Engine = DUCKDB,
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Build tables in one transaction and commit them if their blocking checks pass.

    Args:
        context: The step's context.
        resource: The store.
        names: The tables, each an asset of this step. All of them are made, also where the run
            names some.
        options: The choices they are made with; kept in the ledger and shown as metadata.
        build: Makes the tables on the given connection.
        is_io: Whether it reads from outside, so that it is tried again where a disk fails in a way
            that may pass.
        engine: What makes the tables and runs their checks.

    Yields:
        What was materialized, with its checks; where a blocking check failed only the checks.

    Raises:
        dg.Failure: A blocking check failed (nothing was committed), or the input is unusable.
    """
    outputs: list[dg.MaterializeResult] = []
    results: list[CheckResult] = []
    shown: list[dg.AssetCheckResult] = []
    step = step_of(context.assets_def.op.name)
    retries = IO_RETRIES - context.retry_number if is_io else 0
    with as_dagster_failures(io_retries_left=retries), resource.settled.unless_refused(step):
        try:
            with engine.transaction(), resource.transaction(reads_source=is_io) as con:
                with inputs_named(con, names):
                    built = build(con)
                for name in names:
                    found = checks.run_checks(
                        con, name, built.check_context, warn=context.log.warning, engine=engine
                    )
                    key = key_of(context.assets_def, name)
                    of_table = [
                        checks.as_dagster(each, built.beside_findings, key=key) for each in found
                    ]
                    results += found
                    shown += of_table
                    outputs.append(_result(context, con, name, of_table, options, built))
                _refuse_if_blocked(results)
                built.before_commit()
        except _BlockedError as blocked:
            yield from _selected(context, shown)
            raise dg.Failure(
                description=f"Nothing was committed. {blocked}",
                metadata={each.name: each.failing_rows for each in blocked.failed},
                allow_retries=False,
            ) from blocked
    yield from _named(context, outputs)


def _named(
    context: dg.AssetExecutionContext, outputs: list[dg.MaterializeResult]
) -> Iterator[dg.MaterializeResult]:
    """Yield what the run names, and record what was made with it."""
    for output in outputs:
        if output.asset_key in context.selected_asset_keys:
            checked = _selected(context, list(output.check_results))
            yield output._replace(  # pyright: ignore[reportPrivateUsage]
                check_results=checked
            )
        elif output.asset_key is not None and output.data_version is not None:
            context.log.info(f"{name_of(output.asset_key)} was made with it")
            context.log_event(
                dg.AssetMaterialization(
                    output.asset_key,
                    metadata=output.metadata,
                    tags={DATA_VERSION_TAG: output.data_version.value},
                )
            )


def _selected(
    context: dg.AssetExecutionContext, results: list[dg.AssetCheckResult]
) -> list[dg.AssetCheckResult]:
    """Return the results of the checks that the run has: Dagster takes no others."""
    has = {(key.asset_key, key.name) for key in context.selected_asset_check_keys}
    return [each for each in results if (each.asset_key, each.check_name) in has]


@contextlib.contextmanager
def inputs_named(con: duckdb.DuckDBPyConnection, names: tuple[str, ...]) -> Generator[None]:
    """Name the assets that have to be made first, where DuckDB names a table and no way out.

    Which of its inputs a table reads depends on the log, so that none is asked for beforehand.
    """
    made = {*ledger.entries(con), *names}
    try:
        yield
    except duckdb.CatalogException as error:
        for name in names:
            if missing := [asset for asset in lineage().inputs_of(name) if asset not in made]:
                raise ledger.NotMaterializedError(
                    f"'{name}' is made from {', '.join(missing)}, not materialized yet; `din run` "
                    "makes them all in their order"
                ) from error
        raise


def _refuse_if_blocked(results: list[CheckResult]) -> None:
    if failed := [result for result in results if checks.blocks(result)]:
        raise _BlockedError(failed)


class _BlockedError(Exception):
    """A blocking check failed: leave the transaction, and with it everything that was built."""

    def __init__(self, failed: list[CheckResult]) -> None:
        self.failed = failed
        super().__init__(" ".join(each.finding() for each in failed))


def code_version(context: dg.AssetExecutionContext, key: dg.AssetKey) -> str:
    """Return the code version of an asset of the step."""
    return context.assets_def.code_versions_by_key[key] or ""


def key_of(definition: dg.AssetsDefinition, asset: str) -> dg.AssetKey:
    """Return the key of an asset of a step.

    Args:
        definition: The step's definition; a run may have a part of its assets only.
        asset: The asset, by name.
    """
    (key,) = (key for key in definition.asset_deps if name_of(key) == asset)
    return key


def inputs_of(definition: dg.AssetsDefinition, asset: str) -> set[str]:
    """Return the assets that an asset is made from, by name; arguments as of :func:`key_of`."""
    return {name_of(dep) for dep in definition.asset_deps[key_of(definition, asset)]}


def model_of(
    asset: str, options: Mapping[str, Any], made: Mapping[str, ledger.Entry]
) -> str | None:
    """Return the model that an asset is made of: `din_model`'s own choice, or the one it made.

    Args:
        asset: The asset.
        options: Its options.
        made: The ledger.
    """
    if asset == "din_model":
        return options.get("model")
    return made["din_model"].options.get("model") if "din_model" in made else None


def record(
    context: dg.AssetExecutionContext,
    con: duckdb.DuckDBPyConnection,
    asset: str,
    version: str,
    *,
    options: Mapping[str, Any] | None = None,
    inputs: Mapping[str, str] | None = None,
    artifact: str | None = None,
) -> None:
    """Write an asset's row of the ledger: its version and those of its code and its inputs."""
    known = ledger.entries(con)
    upstream = sorted(inputs_of(context.assets_def, asset))
    ledger.record(
        con,
        ledger.Entry(
            asset=asset,
            data_version=version,
            code_version=versions.with_model(asset, model_of(asset, options or {}, known)),
            options=options or {},
            inputs={
                **{name: known[name].data_version for name in upstream if name in known},
                **facts.of(con, asset),
                **(inputs or {}),
            },
            artifact=artifact,
        ),
    )


def _result(
    context: dg.AssetExecutionContext,
    con: duckdb.DuckDBPyConnection,
    name: str,
    check_results: list[dg.AssetCheckResult],
    options: Mapping[str, Any],
    built: Built,
) -> dg.MaterializeResult:
    version = store.content_version(con, name)
    record(context, con, name, version, options=options, inputs=built.inputs)
    return dg.MaterializeResult(
        asset_key=key_of(context.assets_def, name),
        data_version=dg.DataVersion(version),
        check_results=check_results,
        tags=built.tags,
        metadata={
            **shown_of_table(context, con, name, built.check_context),
            **built.metadata.get(name, {}),
            **({"options": dg.MetadataValue.json(dict(options))} if options else {}),
        },
    )


def shown_of_table(
    context: dg.AssetExecutionContext,
    con: duckdb.DuckDBPyConnection,
    name: str,
    rendered_with: TemplateContext | None = None,
) -> dict[str, Any]:
    """Return the metadata that every table has: its rows, and of each column what it is.

    Of a column that is its type, what it means and where it comes from.

    Args:
        context: Context of the step that made it.
        con: Connection, in the transaction that made it.
        name: The table, an asset of the step.
        rendered_with: What its SQL is rendered with; None where that takes nothing.
    """
    described = sql_files.schema(name)
    sources = column_lineage.sources_of(
        con, name, rendered_with, recorded_choices.source_config(con)
    )
    columns = [
        dg.TableColumn(
            name=column,
            type=kind,
            description=f"{described.column(column)} {_in_words(sources[column])}".strip(),
        )
        for column, kind in store.column_types(con, name).items()
    ]
    return {
        "dagster/row_count": store.row_count(con, name),
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "dagster/column_lineage": _lineage(context, sources),
    }


def _in_words(sources: Sources) -> str:
    """Where a column comes from: open-source Dagster shows the lineage of columns nowhere else."""
    if not sources:
        return "Constant or generated."
    return f"From {', '.join(sorted('.'.join(filter(None, each)) for each in sources))}."


def _lineage(
    context: dg.AssetExecutionContext, sources: Mapping[str, Sources]
) -> dg.TableColumnLineage:
    """The same for programs. What an asset makes beside its own table is named with its columns."""
    deps = (dep for of_asset in context.assets_def.asset_deps.values() for dep in of_asset)
    keys = {name_of(dep): dep for dep in deps}
    owners = {name: file.head.assets for name, file in lineage().files.items()}

    def named(relation: str, column: str) -> Iterator[dg.TableColumnDep]:
        for asset in owners.get(relation, (relation,)):
            if asset in keys:
                own = asset == relation
                yield dg.TableColumnDep(keys[asset], column if own else f"{relation}.{column}")

    return dg.TableColumnLineage(
        {
            column: [
                dep
                for relation, source in sorted(of_column, key=str)
                if source is not None
                for dep in named(relation, source)
            ]
            for column, of_column in sources.items()
        }
    )
