"""What an ablation trains, decided from its options and the log."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from din_core import presets
from din_core.evaluation.ablation.variants import Variant, variants

if TYPE_CHECKING:
    from din_core.config import AblationConfig, ModelConfig, SequenceConfig, TrainingConfig
    from din_core.inputs.flat_log import TrainingData

_PRESETS = {"best": presets.BEST, "default": presets.DEFAULT, "tutorial": presets.TUTORIAL}
_QUICK_EPOCHS = 2


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What an ablation trains.

    Attributes:
        model: The base's network.
        training: The base's loop.
        variants: The base and what is tried against it.
        seeds: Each variant is trained with each of them.
    """

    model: ModelConfig
    training: TrainingConfig
    variants: list[Variant]
    seeds: list[int]


def planned(wish: AblationConfig, data: TrainingData, samples: SequenceConfig) -> Plan:
    """Decide what is trained.

    Args:
        wish: The options.
        data: The log.
        samples: How its samples were made.
    """
    base = _PRESETS[wish.base]
    most = _QUICK_EPOCHS if wish.quick else wish.max_epochs
    n_epoch = base.training.n_epoch if most is None else min(most, base.training.n_epoch)
    training = dataclasses.replace(base.training, n_epoch=n_epoch)
    n_seeds = 1 if wish.quick else wish.n_seeds
    return Plan(
        model=base.model,
        training=training,
        variants=variants(
            base.model,
            training,
            max_history=samples.max_history,
            temporal=samples.split == "temporal",
            labelled=data.labelled,
            quick=wish.quick,
        ),
        seeds=[training.seed + number for number in range(n_seeds)],
    )
