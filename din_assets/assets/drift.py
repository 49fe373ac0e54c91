"""The asset ``drift``: how far the log has moved from the one that was read before it."""

from collections.abc import Iterator

import dagster as dg
import duckdb

from din_assets.making import versions
from din_assets.making.artifact_assets import picture
from din_assets.making.checks import check_specs
from din_assets.making.materialization import OWNERS, Built, materialize_tables
from din_assets.runs.resources import StoreResource
from din_core.store import sql_files
from din_core.tables import drift as log_drift
from din_core.tables.lineage import lineage

Results = Iterator[dg.MaterializeResult | dg.AssetCheckResult]


def _drift(context: dg.AssetExecutionContext, store: StoreResource) -> Results:
    """Compare the log with the one before, and keep a profile of it for the next."""

    def build(con: duckdb.DuckDBPyConnection) -> Built:
        rendered_with = log_drift.write(con)
        outcomes = log_drift.outcomes(con)
        if "no log before" in outcomes:
            context.log.info("the first log: there is none to compare it with")
            return Built(
                metadata={"drift": {"compared_with": "nothing: no other log was read before"}},
                check_context=rendered_with,
            )
        from din_core.evaluation import drift_picture

        drawn = drift_picture.draw(con)
        shown = {} if drawn is None else {"drift": picture(drawn, "drift of the log")}
        counted = {outcome.replace(" ", "_"): figures for outcome, figures in outcomes.items()}
        return Built(
            metadata={"drift": {**counted, **shown}},
            check_context=rendered_with,
            beside_findings=shown,
        )

    yield from materialize_tables(context, store, ("drift",), options={}, build=build)


drift = dg.asset(
    name="drift",
    group_name="ingest",
    deps=lineage().inputs_of("drift"),
    kinds={"duckdb", "sql"},
    owners=OWNERS,
    code_version=versions.of_asset("drift", _drift),
    check_specs=check_specs("drift"),
    description=sql_files.schema("drift").description,
)(_drift)
