"""The assets of the test split: what the model answers, how good that is, beside its rivals."""

from collections.abc import Iterator

import dagster as dg
import duckdb

from din_assets.making import versions
from din_assets.making.artifact_assets import latest_artifact, shown_of_evaluation
from din_assets.making.checks import as_dagster, check_specs
from din_assets.making.figure_checks import BEATS_POPULARITY, beats_popularity
from din_assets.making.materialization import (
    OWNERS,
    Built,
    as_dagster_failures,
    code_version,
    inputs_named,
    materialize_tables,
    record,
)
from din_assets.making.run_config import mirror
from din_assets.runs import choices
from din_assets.runs.progress import tell_epoch
from din_assets.runs.resources import StoreResource
from din_core.config import (
    BaseModelEvidenceConfig,
    EvaluationConfig,
    RankingConfig,
    config_from_mapping,
)
from din_core.evaluation import judgement, metrics_table, rival_models
from din_core.evaluation.verdict import LEAST_USERS, WIDEST
from din_core.inputs import times, training_data
from din_core.store import ledger, sql_files
from din_core.tables.lineage import lineage

Results = Iterator[dg.MaterializeResult | dg.AssetCheckResult]

_LOADED = lineage().owners_of(training_data.READS)


class TestAucConfig(mirror("_TestAuc", EvaluationConfig, doc="How a model is judged.")):
    """What the figures of the test split are held against."""


class TestRankingsConfig(mirror("_TestRankings", RankingConfig, doc="What is ranked.")):
    """How many test positives are ranked, and among what."""


class BaseModelPredictionsConfig(
    mirror("_BaseModelPredictions", BaseModelEvidenceConfig, doc="Whether it is trained.")
):
    """Whether the model is compared with the paper's BaseModel."""


#: What can be chosen about each asset of this module.
CONFIG_CLASSES: dict[str, type[dg.Config]] = {
    "test_auc": TestAucConfig,
    "test_rankings": TestRankingsConfig,
    "base_model_predictions": BaseModelPredictionsConfig,
}


def _test_predictions(context: dg.AssetExecutionContext, store: StoreResource) -> Results:
    """Score the split 'test' with the latest model; the answers of the one before are kept."""

    def build(con: duckdb.DuckDBPyConnection) -> Built:
        from din_core.serving import own_ids, saved_models

        folder = latest_artifact(con, store, "din_model")
        scores = own_ids.predict_by_id(con, saved_models.load_model(folder), folder)
        rival_models.keep_previous(con)
        metrics_table.write_test_predictions(con, scores)
        return Built()

    yield from materialize_tables(context, store, ("test_predictions",), options={}, build=build)


test_predictions = dg.asset(
    name="test_predictions",
    group_name="evaluation",
    deps=sorted({"din_model", *_LOADED, *lineage().inputs_of("test_predictions")}),
    kinds={"pytorch", "duckdb"},
    owners=OWNERS,
    code_version=versions.of_asset("test_predictions", _test_predictions, one_model=True),
    check_specs=check_specs("test_predictions"),
    description=sql_files.schema("test_predictions").description,
)(_test_predictions)


def _test_rankings(
    context: dg.AssetExecutionContext, store: StoreResource, config: TestRankingsConfig
) -> Results:
    """Rank test positives among drawn candidates and among all items."""
    chosen = choices.chosen(context, store.settled, config).model_dump()

    def build(con: duckdb.DuckDBPyConnection) -> Built:
        from din_core.evaluation import rankings
        from din_core.serving import own_ids, saved_models

        folder = latest_artifact(con, store, "din_model")
        saved = saved_models.load_model(folder)
        own_ids.require_own_ids(con, folder, saved.vocabulary)
        model = saved.model
        wanted = config_from_mapping(RankingConfig, chosen)
        ranks = rankings.rank_test_positives(model, times.load_for(con, model.log_numbers), wanted)
        metrics_table.write_test_rankings(con, ranks)
        return Built()

    yield from materialize_tables(context, store, ("test_rankings",), options=chosen, build=build)


test_rankings = dg.asset(
    name="test_rankings",
    group_name="evaluation",
    deps=sorted({"din_model", *_LOADED, *lineage().inputs_of("test_rankings")}),
    kinds={"pytorch", "duckdb"},
    owners=OWNERS,
    code_version=versions.of_asset("test_rankings", _test_rankings, one_model=True),
    description=sql_files.schema("test_rankings").description,
)(_test_rankings)


def _base_model_predictions(
    context: dg.AssetExecutionContext, store: StoreResource, config: BaseModelPredictionsConfig
) -> Results:
    """Train the paper's BaseModel beside the latest model, where that is asked for."""
    chosen = choices.chosen(context, store.settled, config).model_dump()
    checkpoints = store.checkpoints_root / "base_model"

    def build(con: duckdb.DuckDBPyConnection) -> Built:
        if not chosen["train"]:
            rival_models.write_no_base_model(con)
            return Built()
        from din_core.training.checkpoints import clear_checkpoint

        trained = rival_models.write_base_model(
            con,
            on_epoch=lambda report: tell_epoch(context.log, report, of="BaseModel, "),
            on_warning=context.log.warning,
            checkpoint_dir=checkpoints,
            program_version=code_version(context, context.asset_key),
        )
        return Built(
            metadata={"base_model_predictions": trained.metrics()},
            before_commit=lambda: clear_checkpoint(checkpoints),
        )

    yield from materialize_tables(
        context, store, ("base_model_predictions",), options=chosen, build=build
    )


base_model_predictions = dg.asset(
    name="base_model_predictions",
    group_name="evaluation",
    deps=sorted({"din_model", *_LOADED, *lineage().inputs_of("base_model_predictions")}),
    kinds={"pytorch", "duckdb"},
    owners=OWNERS,
    code_version=versions.of_asset("base_model_predictions", _base_model_predictions),
    description=sql_files.schema("base_model_predictions").description,
)(_base_model_predictions)


def _test_auc(
    context: dg.AssetExecutionContext, store: StoreResource, config: TestAucConfig
) -> Results:
    """Compute the figures of the latest predictions and add them to the table ``metrics``."""
    chosen = choices.chosen(context, store.settled, config).model_dump()
    judged_by = config_from_mapping(EvaluationConfig, chosen)
    with as_dagster_failures(), store.transaction() as con:
        with inputs_named(con, ("test_auc",)):
            result = judgement.evaluate_test(con, judged_by)
        version = result.content_version()
        blocked = (
            result.verdict.outcome == "no better" and not judged_by.allow_no_better_than_popularity
        )
        if not blocked:
            # Of the model that answered, which the latest one need not be.
            model_version = ledger.entry(con, "test_predictions").inputs["din_model"]
            source = choices.source_name(store.settled)
            metrics_table.write_metrics(con, model_version, "test", result, source=source)
            record(context, con, "test_auc", version, options=chosen)
    context.log.info(result.summary())
    found = beats_popularity(result, blocked=blocked)
    if blocked:
        yield as_dagster(found)
        raise dg.Failure(f"Nothing was committed. {found.finding()}", allow_retries=False)
    for warning in result.warnings():
        if warning != result.verdict.sentence:  # which the check says, and what to do
            context.log.warning(warning)
    if not found.passed:
        context.log.warning(found.finding())
    yield dg.MaterializeResult(
        data_version=dg.DataVersion(version),
        check_results=[as_dagster(found)],
        metadata={**result.followed(), **shown_of_evaluation(result), "options": chosen},
    )


test_auc = dg.asset(
    name="test_auc",
    group_name="evaluation",
    deps=["din_model", *lineage().inputs_of("test_auc")],
    kinds={"duckdb"},
    owners=OWNERS,
    code_version=versions.of_asset("test_auc", _test_auc),
    check_specs=[
        dg.AssetCheckSpec(
            name=BEATS_POPULARITY,
            asset="test_auc",
            blocking=True,
            description="The model's AUC is above popularity's by more than the interval of the "
            f"difference. It stops the run on a log with {LEAST_USERS:,} test users or more and an "
            f"interval of at most ±{WIDEST}; on a smaller one it warns.",
        )
    ],
    description="AUC, GAUC, logloss, calibration and ranks on the test split, each with its "
    "interval, by slice, and beside popularity, item co-occurrence and other models; on the "
    "synthetic log also the oracle's AUC. The numbers are kept in `metrics` and `comparisons`.",
)(_test_auc)
