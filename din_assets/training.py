"""The asset ``din_model``: the trained network, its curve, its figures on validation."""

from typing import TYPE_CHECKING

import dagster as dg

from din_assets import choices, versions
from din_assets.materialization import (
    OWNERS,
    as_dagster_failures,
    code_version,
    materialize_artifact,
    training_curve,
)
from din_assets.resources import StoreResource
from din_assets.run_config import mirror
from din_core import presets
from din_core.config import ModelConfig, TrainingConfig, from_options
from din_core.inputs import training_data
from din_core.serving import vocabularies
from din_core.store import artifacts
from din_core.tables.lineage import lineage

if TYPE_CHECKING:
    from din_core.training.loop import EpochReport

DinModelConfig = mirror(
    "DinModelConfig",
    ModelConfig,
    TrainingConfig,
    defaults=vars(presets.DEFAULT.model) | vars(presets.DEFAULT.training),
    doc="The network and its training; the defaults are the preset `default`.",
)


def _din_model(
    context: dg.AssetExecutionContext, store: StoreResource, config: DinModelConfig
) -> dg.MaterializeResult:
    """Train the network on the split 'train' and keep the weights that are best on 'val'."""
    from din_core.serving import saved_models
    from din_core.training import checkpoints, loop

    options = choices.chosen(context, store.settled, config).model_dump()
    model_config = from_options(ModelConfig, options)
    training_config = from_options(TrainingConfig, options)
    directory = store.checkpoints_root / "din_model"
    with (
        as_dagster_failures(),
        store.settled.unless_refused("din_model"),
        artifacts.staging(store.artifacts_root, "din_model") as folder,
    ):
        with store.connection() as con:
            data = training_data.load(con)
            with_users = model_config.use_user or bool(data.vocabulary.user_attributes)
            vocabulary = vocabularies.write(con, folder, with_users=with_users)
        trained = loop.train(
            model_config,
            training_config,
            data,
            on_epoch=lambda report: _report_epoch(context, report),
            on_warning=context.log.warning,
            checkpoint_dir=directory,
            tensorboard_dir=folder / "tensorboard",
            program_version=code_version(context, context.asset_key),
        )
        for warning in trained.warnings:
            context.log.warning(warning)
        saved_models.save_model(
            folder, trained.model, model_config, data.vocabulary, {"vocabulary": vocabulary}
        )
        result = materialize_artifact(
            context,
            store,
            folder,
            # Of the weights, the vocabularies and their sizes: others can give the same weights.
            artifacts.digest((folder / saved_models.DESCRIPTION_FILE).read_bytes()),
            options=options,
            metadata={
                **trained.metrics(),
                "training_curve": training_curve(trained.history),
            },
        )
        # Not before: who is killed until here need not train again.
        checkpoints.clear_checkpoint(directory)
        return result


din_model = dg.asset(
    name="din_model",
    group_name="training",
    deps=sorted(lineage().owners_of({*training_data.READS, *vocabularies.READS})),
    kinds={"pytorch", "duckdb"},
    owners=OWNERS,
    code_version=versions.of_asset("din_model", _din_model),
    description="The Deep Interest Network, trained with early stopping on the validation AUC; the "
    "best weights are kept, the vocabularies and TensorBoard's event files beside them.",
)(_din_model)


def _report_epoch(context: dg.AssetExecutionContext, report: "EpochReport") -> None:
    """Show an epoch in the terminal and, while the run goes on, in the UI."""
    context.log.info(report.summary())
    context.log_event(dg.AssetObservation(asset_key="din_model", metadata=report.metrics()))
