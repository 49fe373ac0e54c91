"""The assets ``test_predictions`` and ``test_auc``: what the model answers, how good that is."""

from collections.abc import Iterator

import dagster as dg
import duckdb

from din_assets import versions
from din_assets.checks import check_specs
from din_assets.materialization import (
    OWNERS,
    Built,
    clear_failures,
    current_artifact,
    materialize_tables,
    record,
)
from din_assets.resources import WarehouseResource
from din_assets.training import TRAINING_DATA
from din_core import evaluation, ledger

Results = Iterator[dg.MaterializeResult | dg.AssetCheckResult]


@dg.asset(
    group_name="evaluation",
    deps=["din_model", *TRAINING_DATA],
    kinds={"pytorch", "duckdb"},
    owners=OWNERS,
    code_version=versions.of_sql("test_predictions")
    + versions.of_modules("prediction", "checkpoint", "training_data", "evaluation"),
    check_specs=check_specs("test_predictions"),
    description="The model's probability of a click for each test sample.",
)
def test_predictions(context: dg.AssetExecutionContext, warehouse: WarehouseResource) -> Results:
    """Score the split 'test' with the current model."""

    def build(con: duckdb.DuckDBPyConnection) -> Built:
        from din_core import checkpoint, training_data
        from din_core.prediction import predict

        model = checkpoint.load_model(current_artifact(con, warehouse, "din_model")).model
        scores = predict(model, training_data.load(con), split="test")
        evaluation.write_test_predictions(con, scores)
        return Built()

    yield from materialize_tables(
        context, warehouse, ("test_predictions",), options={}, build=build
    )


@dg.asset(
    group_name="evaluation",
    deps=["test_predictions", "users", "items", "din_model"],
    kinds={"duckdb", "sklearn"},
    owners=OWNERS,
    code_version=versions.of_sql("metrics", "scored_test_samples")
    + versions.of_modules("evaluation"),
    description="AUC, GAUC and logloss on the test split, beside popularity's AUC and, on the "
    "synthetic log, the oracle's. The numbers are kept in the table `metrics`.",
)
def test_auc(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource
) -> dg.MaterializeResult:
    """Compute the figures of the current predictions and add them to the table ``metrics``."""
    with clear_failures(), warehouse.transaction() as con:
        result = evaluation.evaluate_test(con)
        model_version = ledger.entry(con, "din_model").data_version
        evaluation.write_metrics(con, model_version, "test", result)
        version = result.content_version()
        record(context, con, "test_auc", version)
    context.log.info(result.sentence())
    for warning in result.warnings():
        context.log.warning(warning)
    return dg.MaterializeResult(data_version=dg.DataVersion(version), metadata=result.figures())
