"""The asset of the models that were judged: it decides which of them is served."""

from collections.abc import Iterator, Mapping

import dagster as dg

from din_assets.making import versions
from din_assets.making.checks import as_dagster
from din_assets.making.figure_checks import IS_SERVED, is_served
from din_assets.making.materialization import OWNERS, as_dagster_failures, record, shown_of_table
from din_assets.making.run_config import mirror
from din_assets.runs import choices, mlflow_tracking
from din_assets.runs.resources import StoreResource
from din_core.config import PublishingConfig
from din_core.store import ledger, sql_files
from din_core.tables.lineage import lineage

NAME = "model_versions"


class ModelVersionsConfig(mirror("_ModelVersions", PublishingConfig, doc="What is published.")):
    """When a model takes the place of the one that is served."""


#: What can be chosen about each asset of this module.
CONFIG_CLASSES: dict[str, type[dg.Config]] = {NAME: ModelVersionsConfig}


def _model_versions(
    context: dg.AssetExecutionContext, store: StoreResource, config: ModelVersionsConfig
) -> Iterator[dg.MaterializeResult]:
    """Judge the latest bundle, and let ``current`` lead to the one that is served."""
    from din_core.serving.publication import history, judgement

    chosen = choices.chosen(context, store.settled, config).model_dump()
    with as_dagster_failures(), store.settled.unless_refused(NAME):
        with store.transaction() as con:
            history.take_over(con, store.published_path)
            before = ledger.entries(con).get(NAME)
            judged = judgement.judge(
                con,
                store.artifacts_root,
                chosen["publish"],
                options_before=before and before.options,
            )
            # Without MLflow until it has it: what was not recorded, the next `din run` takes up.
            record(context, con, NAME, judged.version, options={**chosen, "mlflow": False})
            of_table = shown_of_table(context, con, NAME)
        # After the commit: the tables say what is served. What a kill leaves in between, the next
        # run puts right.
        judgement.point_to_served(store.artifacts_root, judged.served)
        in_mlflow = _record_in_mlflow(context, store) if chosen["mlflow"] else None
        if in_mlflow is not None:
            with store.transaction() as con:
                record(context, con, NAME, judged.version, options=chosen)
    say = context.log.info if judged.is_served else context.log.warning
    say(judged.sentence())
    yield dg.MaterializeResult(
        data_version=dg.DataVersion(judged.version),
        metadata={
            **judged.metadata(),
            **of_table,
            **({"mlflow_run": in_mlflow[judged.row.model_version]} if in_mlflow else {}),
            "options": chosen,
        },
        check_results=[as_dagster(is_served(judged))],
    )


def _record_in_mlflow(
    context: dg.AssetExecutionContext, store: StoreResource
) -> Mapping[str, str] | None:
    """Record the kept models in MLflow; return the run of each, None where that cannot be done.

    It is a warning, and no failure: by now the model is kept and judged, and whether it is served
    does not depend on a server for reading figures. What is missing there is made up for later.
    """
    from din_core.serving.publication import history, mlflow_runs

    with store.connection(read_only=True) as con:
        versions, decided = history.model_versions(con), history.publications(con)
    try:
        return mlflow_runs.record(
            versions, decided, store.artifacts_root, mlflow_tracking.tracking(store)
        )
    except mlflow_runs.MLflowError as error:
        context.log.warning(f"{error}. The model is kept; the next `din run` tries it again")
        return None


model_versions = dg.asset(
    name=NAME,
    group_name="delivery",
    deps=sorted({"bundle", "din_model", "onnx_model", *lineage().inputs_of(NAME)}),
    kinds={"duckdb", "onnx"},
    owners=OWNERS,
    code_version=versions.of_asset(NAME, _model_versions),
    check_specs=[
        dg.AssetCheckSpec(
            name=IS_SERVED,
            asset=NAME,
            description="The latest model is the one that is served. It is not where its AUC is "
            "significantly below that of the published one on the same test rows, where the option "
            "publish keeps it back, or where somebody went back to another model.",
        )
    ],
    description=sql_files.schema(NAME).description,
)(_model_versions)
