"""The asset ``din_model``: the trained network, its curve, its figures on validation."""

from typing import TYPE_CHECKING

import dagster as dg

from din_assets.artifact_assets import Made, Making, artifact_asset, training_curve
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


@artifact_asset(
    group="training",
    deps=lineage().owners_of({*training_data.READS, *vocabularies.READS}),
    kinds={"pytorch", "duckdb"},
    description="The Deep Interest Network, trained with early stopping on the validation AUC; the "
    "best weights are kept, the vocabularies and TensorBoard's event files beside them.",
    config_class=DinModelConfig,
)
def din_model(making: Making) -> Made:
    """Train the network on the split 'train' and keep the weights that are best on 'val'."""
    from din_core.serving import saved_models
    from din_core.training import checkpoints, loop

    folder, log = making.folder, making.context.log
    model_config = from_options(ModelConfig, making.options)
    training_config = from_options(TrainingConfig, making.options)
    directory = making.store.checkpoints_root / "din_model"
    with making.store.connection() as con:
        data = training_data.load(con)
        with_users = model_config.use_user or bool(data.vocabulary.user_attributes)
        vocabulary = vocabularies.write(con, folder, with_users=with_users)
    trained = loop.train(
        model_config,
        training_config,
        data,
        on_epoch=lambda report: _report_epoch(making.context, report),
        on_warning=log.warning,
        checkpoint_dir=directory,
        tensorboard_dir=folder / "tensorboard",
        program_version=making.code_version,
    )
    for warning in trained.warnings:
        log.warning(warning)
    saved_models.save_model(
        folder, trained.model, model_config, data.vocabulary, {"vocabulary": vocabulary}
    )
    return Made(
        # Of the weights, the vocabularies and their sizes: others can give the same weights.
        version=artifacts.digest((folder / saved_models.DESCRIPTION_FILE).read_bytes()),
        metadata={**trained.metrics(), "training_curve": training_curve(trained.history)},
        # Not before: who is killed until then need not train again.
        after_commit=lambda: checkpoints.clear_checkpoint(directory),
    )


def _report_epoch(context: dg.AssetExecutionContext, report: "EpochReport") -> None:
    """Show an epoch in the terminal and, while the run goes on, in the UI."""
    context.log.info(report.summary())
    context.log_event(dg.AssetObservation(asset_key="din_model", metadata=report.metrics()))
