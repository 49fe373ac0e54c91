"""The asset ``din_model``: the trained network, its curve, its figures on validation."""

import functools
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from din_assets.launching import launch
from din_assets.making.artifact_assets import Made, Making, artifact_asset, training_curve
from din_assets.making.run_config import mirror
from din_assets.runs.progress import tell_epoch
from din_core import presets
from din_core.config import (
    MODEL_CONFIGS,
    LaunchConfig,
    ModelConfig,
    TrainingConfig,
    config_from_mapping,
    model_config,
)
from din_core.inputs import training_data
from din_core.serving import vocabularies
from din_core.tables.lineage import lineage

if TYPE_CHECKING:
    from din_core.training.loop import EpochReport

_DEFAULTS = vars(presets.DEFAULT.model) | vars(presets.DEFAULT.training)

_Options = mirror(
    "_Options",
    *MODEL_CONFIGS.values(),
    TrainingConfig,
    LaunchConfig,
    defaults=_DEFAULTS,
    doc="A model, its training and the processes that train.",
)


class DinModelConfig(_Options):
    """A model, its training and the processes that train, with the options of all models.

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
    from din_core.serving import fitting
    from din_core.training import checkpoints

    log, config = making.context.log, config_from_mapping(LaunchConfig, making.options)
    task = fitting.Task(
        model=chosen_model(making.options),
        training=config_from_mapping(TrainingConfig, making.options),
        folder=making.folder,
        artifacts_root=making.store.artifacts_root,
        checkpoints=making.store.checkpoints_root / "din_model",
        tables=making.store.tables_root if is_sharded(making, config) else None,
        code_version=making.code_version,
    )
    on_epoch = functools.partial(_report_epoch, making.context)
    if config.processes > 1:
        fitted = launch.fit(making, task, config, on_epoch)
    else:
        fitted = fitting.fit(
            task,
            making.store.connection,
            on_epoch=on_epoch,
            on_warning=log.warning,
            on_note=log.info,
        )
    assert fitted is not None  # only a process that helps another one returns nothing
    before = fitted.warm_started_from
    return Made(
        version=fitted.version,
        metadata={
            **fitted.metrics,
            "score_is": fitted.score_is,
            "training_curve": training_curve(fitted.epochs),
        },
        inputs={} if before is None else {"warm_started_from": before},
        # Not before: who is killed until then need not train again.
        after_commit=lambda: checkpoints.clear_checkpoint(task.checkpoints),
    )


def is_sharded(making: Making, config: LaunchConfig) -> bool:
    """Whether each of several processes reads its share of the users from Parquet tables."""
    return config.processes > 1 and making.store.engine_name == "spark"


def _report_epoch(context: dg.AssetExecutionContext, report: "EpochReport") -> None:
    """Show an epoch in the terminal and, while the run goes on, in the UI."""
    tell_epoch(context.log, report)
    context.log_event(dg.AssetObservation(context.asset_key, metadata=report.metrics()))
