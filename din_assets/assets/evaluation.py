"""The assets ``test_predictions`` and ``test_auc``: what the model answers, how good that is."""

from collections.abc import Iterator

import dagster as dg
import duckdb

from din_assets.making import versions
from din_assets.making.artifact_assets import current_artifact
from din_assets.making.checks import check_specs
from din_assets.making.materialization import (
    OWNERS,
    Built,
    as_dagster_failures,
    materialize_tables,
    record,
)
from din_assets.runs.resources import StoreResource
from din_core.evaluation import metrics_table
from din_core.inputs import training_data
from din_core.store import ledger
from din_core.tables.lineage import lineage

Results = Iterator[dg.MaterializeResult | dg.AssetCheckResult]


def _test_predictions(context: dg.AssetExecutionContext, store: StoreResource) -> Results:
    """Score the split 'test' with the current model."""

    def build(con: duckdb.DuckDBPyConnection) -> Built:
        from din_core.serving import saved_models
        from din_core.training.prediction import predict

        model = saved_models.load_model(current_artifact(con, store, "din_model")).model
        scores = predict(model, training_data.load(con), split="test")
        metrics_table.write_test_predictions(con, scores)
        return Built()

    yield from materialize_tables(context, store, ("test_predictions",), options={}, build=build)


test_predictions = dg.asset(
    name="test_predictions",
    group_name="evaluation",
    deps=sorted(
        {
            "din_model",
            *lineage().owners_of(training_data.READS),
            *lineage().inputs_of("test_predictions"),
        }
    ),
    kinds={"pytorch", "duckdb"},
    owners=OWNERS,
    code_version=versions.of_asset("test_predictions", _test_predictions, one_model=True),
    check_specs=check_specs("test_predictions"),
    description="The model's probability of a click for each test sample.",
)(_test_predictions)


def _test_auc(context: dg.AssetExecutionContext, store: StoreResource) -> dg.MaterializeResult:
    """Compute the figures of the current predictions and add them to the table ``metrics``."""
    with as_dagster_failures(), store.transaction() as con:
        result = metrics_table.evaluate_test(con)
        model_version = ledger.entry(con, "din_model").data_version
        metrics_table.write_metrics(con, model_version, "test", result)
        version = result.content_version()
        record(context, con, "test_auc", version)
    context.log.info(result.summary())
    for warning in result.warnings():
        context.log.warning(warning)
    return dg.MaterializeResult(data_version=dg.DataVersion(version), metadata=result.metrics())


test_auc = dg.asset(
    name="test_auc",
    group_name="evaluation",
    deps=["din_model", *lineage().inputs_of("test_auc")],
    kinds={"duckdb"},
    owners=OWNERS,
    code_version=versions.of_asset("test_auc", _test_auc),
    description="AUC, GAUC and logloss on the test split, beside popularity's AUC and, on the "
    "synthetic log, the oracle's. The numbers are kept in the table `metrics`.",
)(_test_auc)
