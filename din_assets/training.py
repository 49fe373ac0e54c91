"""The asset ``din_model``: the trained network, its curve, its figures on validation."""

from typing import TYPE_CHECKING

import dagster as dg

from din_assets import choices, versions
from din_assets.materialization import OWNERS, clear_failures, materialize_artifact, picture
from din_assets.resources import WarehouseResource
from din_assets.run_config import mirror
from din_core import artifacts, presets, vocabularies
from din_core.config import ModelConfig, TrainingConfig, from_options

if TYPE_CHECKING:
    from din_core.training import EpochReport

DinModelConfig = mirror(
    "DinModelConfig",
    ModelConfig,
    TrainingConfig,
    defaults=vars(presets.DEFAULT.model) | vars(presets.DEFAULT.training),
    doc="The network and its training; the defaults are the preset `default`.",
)

#: What :func:`din_core.training_data.load` reads. Of `interactions` it needs to know whether there
#: is a label, which is a fact (see :mod:`facts`) and not a reason to train again for every row.
TRAINING_DATA = [
    "samples", "negatives", "events", "user_sequences", "users", "items", "cates", "attributes",
]  # fmt: skip

_TRAINING_CODE = versions.of_modules("training", "training_data", "checkpoint")


@dg.asset(
    group_name="training",
    deps=TRAINING_DATA,
    kinds={"pytorch", "duckdb"},
    owners=OWNERS,
    code_version=_TRAINING_CODE + versions.of_modules("vocabularies"),
    description="The Deep Interest Network, trained with early stopping on the validation AUC; the "
    "best weights are kept, the vocabularies and TensorBoard's event files beside them.",
)
def din_model(
    context: dg.AssetExecutionContext, warehouse: WarehouseResource, config: DinModelConfig
) -> dg.MaterializeResult:
    """Train the network on the split 'train' and keep the weights that are best on 'val'."""
    from din_core import checkpoint, pictures, training, training_data, training_state

    options = choices.chosen(context, warehouse.folder, config).model_dump()
    model_config = from_options(ModelConfig, options)
    training_config = from_options(TrainingConfig, options)
    state = warehouse.checkpoints_root / "din_model"
    with (
        clear_failures(),
        warehouse.settled.unless_refused("din_model"),
        artifacts.staging(warehouse.artifacts_root, "din_model") as folder,
    ):
        with warehouse.connection() as con:
            data = training_data.load(con)
            with_users = model_config.use_user or bool(data.vocabulary.user_attributes)
            vocabulary = vocabularies.write(con, folder, with_users=with_users)
        trained = training.train(
            model_config,
            training_config,
            data,
            on_epoch=lambda report: _report_epoch(context, report),
            on_warning=context.log.warning,
            checkpoint_dir=state,
            tensorboard_dir=folder / "tensorboard",
            program_version=_TRAINING_CODE,
        )
        for warning in trained.warnings:
            context.log.warning(warning)
        checkpoint.save_model(
            folder, trained.model, model_config, data.vocabulary, {"vocabulary": vocabulary}
        )
        result = materialize_artifact(
            context,
            warehouse,
            folder,
            # Of the weights, the vocabularies and their sizes: others can give the same weights.
            artifacts.digest((folder / checkpoint.DESCRIPTION_FILE).read_bytes()),
            options=options,
            metadata={
                **trained.figures(),
                "training_curve": picture(
                    pictures.training_curve(trained.history), "training curve"
                ),
            },
        )
        # Not before: who is killed until here need not train again.
        training_state.clear_state(state)
        return result


def _report_epoch(context: dg.AssetExecutionContext, report: "EpochReport") -> None:
    """Show an epoch in the terminal and, while the run goes on, in the UI."""
    context.log.info(report.sentence())
    context.log_event(dg.AssetObservation(asset_key="din_model", metadata=report.figures()))
