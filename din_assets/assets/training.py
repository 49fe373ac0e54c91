"""The asset ``din_model``: the trained network, its curve, its figures on validation."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from din_assets.making.artifact_assets import (
    Made,
    Making,
    artifact_asset,
    training_curve,
    what_a_score_is,
)
from din_assets.making.run_config import mirror
from din_assets.runs.progress import tell_epoch
from din_core import presets
from din_core.config import (
    MODEL_CONFIGS,
    ModelConfig,
    TrainingConfig,
    config_from_mapping,
    model_config,
)
from din_core.inputs import times, training_data
from din_core.serving import vocabularies
from din_core.store import artifacts
from din_core.tables.lineage import lineage

if TYPE_CHECKING:
    from din_core.training.loop import EpochReport

_DEFAULTS = vars(presets.DEFAULT.model) | vars(presets.DEFAULT.training)

_Options = mirror(
    "_Options",
    *MODEL_CONFIGS.values(),
    TrainingConfig,
    defaults=_DEFAULTS,
    doc="A model and its training.",
)


class DinModelConfig(_Options):
    """A model and its training, with the options of all models.

    The defaults are the preset `default`.
    """


def chosen_model(options: Mapping[str, Any], typed: Collection[str] = ()) -> ModelConfig:
    """Return the configuration of the model that was chosen.

    Args:
        options: Those of :class:`DinModelConfig`.
        typed: Those of them that somebody wrote down.

    Raises:
        OptionsError: An option is set that the model does not have.
    """
    return model_config(options, _DEFAULTS, typed)


@artifact_asset(
    group="training",
    deps=lineage().owners_of({*training_data.READS, *vocabularies.READS}),
    kinds={"pytorch", "duckdb"},
    description="The Deep Interest Network, or what `model` names instead, trained with early "
    "stopping on the validation AUC; the best weights are kept, the vocabularies and TensorBoard's "
    "event files beside them.",
    config_class=DinModelConfig,
    one_model=True,
)
def din_model(making: Making) -> Made:
    """Train the network on the split 'train' and keep the weights that are best on 'val'."""
    from din_core.serving import predecessors, saved_models
    from din_core.training import checkpoints, history, loop

    folder, log = making.folder, making.context.log
    network = chosen_model(making.options)
    training_config = config_from_mapping(TrainingConfig, making.options)
    directory = making.store.checkpoints_root / "din_model"
    with making.store.connection() as con:
        data = times.load_for(con, network.log_numbers)
        with_users = network.use_user or data.vocabulary.describes_users
        vocabulary = vocabularies.write(con, folder, with_users=with_users)
        which, root = training_config.warm_start, making.store.artifacts_root
        found = predecessors.chosen(con, root, folder, data.vocabulary, which, log.warning)
    trained = loop.train(
        network,
        training_config,
        data,
        on_epoch=lambda report: _report_epoch(making.context, report),
        on_warning=log.warning,
        checkpoint_dir=directory,
        tensorboard_dir=folder / "tensorboard",
        program_version=making.code_version,
        predecessor=found and found.model,
    )
    taken_over = trained.taken_over
    if taken_over is not None:
        log.info(taken_over.summary())
    with making.store.connection() as con:
        about = predecessors.account(con, folder, taken_over, found, log.warning)
    for warning in trained.warnings:
        log.warning(warning)
    about |= {"vocabulary": vocabulary, "epochs": trained.epochs_so_far}
    saved_models.save_model(folder, trained.model, network, data.vocabulary, about)
    history.write(folder, trained.history)
    return Made(
        # Of the weights, the vocabularies and their sizes: others can give the same weights.
        version=artifacts.digest((folder / saved_models.DESCRIPTION_FILE).read_bytes()),
        metadata={
            **trained.metrics(),
            "score_is": what_a_score_is(data),
            "training_curve": training_curve(trained.history),
        },
        inputs={} if taken_over is None else {"warm_started_from": taken_over.version},
        # Not before: who is killed until then need not train again.
        after_commit=lambda: checkpoints.clear_checkpoint(directory),
    )


def _report_epoch(context: dg.AssetExecutionContext, report: "EpochReport") -> None:
    """Show an epoch in the terminal and, while the run goes on, in the UI."""
    tell_epoch(context.log, report)
    context.log_event(dg.AssetObservation(context.asset_key, metadata=report.metrics()))
