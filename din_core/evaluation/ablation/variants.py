"""What is tried: the base with one thing changed, each thing a piece of advice.

A variant names options and nothing else, so that what wins needs only a preset. Further ones are
further lines of :data:`_TRIED`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from din_core.config import MODEL_CONFIGS, config_from_mapping

if TYPE_CHECKING:
    from din_core.config import ModelConfig, TrainingConfig

BASE = "base"

#: Sampled negatives and a split by position: what a log with logged impressions has not.
_OF_SAMPLED = ("negatives=fixed", "negatives=redrawn")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """The base with one thing changed.

    Attributes:
        name: As it stands in the leaderboard.
        model: Options of the network that differ; ``model`` names another one.
        training: Options of the loop that differ.
        max_history: Events of a history, where that differs.
        temporal: Shares of the events after which validation and test begin, where the samples are
            split by time.
    """

    name: str
    model: Mapping[str, Any] = field(default_factory=dict[str, Any])
    training: Mapping[str, Any] = field(default_factory=dict[str, Any])
    max_history: int | None = None
    temporal: tuple[float, float] | None = None

    def network(self, base: ModelConfig) -> ModelConfig:
        """Return the network; of the base's options those that another model has, too."""
        options = {**vars(base), **self.model}
        return config_from_mapping(MODEL_CONFIGS[options["model"]], options)

    def loop(self, base: TrainingConfig) -> TrainingConfig:
        """Return the options of the loop."""
        return dataclasses.replace(base, **self.training)

    @property
    def options(self) -> dict[str, Any]:
        """What differs, by name."""
        others = {"max_history": self.max_history, "temporal": self.temporal}
        return {
            **self.model,
            **self.training,
            **{name: value for name, value in others.items() if value is not None},
        }


_POPULARITY = (
    "popularity",
    "popularity_90_days",
    "popularity_365_days",
    "days_since_item_event",
)
_TIME = ("days_since_last_event", "same_moment_events")

_TRIED = (
    Variant(name="activation=dice", model={"activation": "dice"}),
    Variant(name="activation=prelu", model={"activation": "prelu"}),
    Variant(name="activation=relu", model={"activation": "relu"}),
    Variant(name="softmax over the history", model={"use_softmax": True}),
    Variant(name="no softmax", model={"use_softmax": False}),
    Variant(name="position bias", model={"position_bias": 50}),
    Variant(name="max_history=5", max_history=5),
    Variant(name="max_history=10", max_history=10),
    Variant(name="max_history=20", max_history=20),
    Variant(name="max_history=50", max_history=50),
    Variant(name="separate history embeddings", model={"history_embeddings": "separate"}),
    Variant(name="plain DIN", model={"product_inputs": False}),
    Variant(name="product inputs", model={"product_inputs": True}),
    Variant(name="BaseModel", model={"model": "base_model"}),
    Variant(name="PNN", model={"model": "pnn", "product_layer": "elementwise"}),
    Variant(name="negatives=fixed", training={"negatives": "fixed"}),
    Variant(name="negatives=redrawn", training={"negatives": "redrawn"}),
    Variant(
        name="mini-batch aware regularization",
        training={"regularization": "mini_batch_aware", "embedding_l2": 0.5},
    ),
    Variant(name="temporal split", temporal=(0.8, 0.9)),
    Variant(name="popularity", model={"log_numbers": _POPULARITY}),
    Variant(name="popularity and time", model={"log_numbers": (*_POPULARITY, *_TIME)}),
)
_QUICK = ("plain DIN", "product inputs", "max_history=5")


def variants(
    model: ModelConfig,
    training: TrainingConfig,
    *,
    max_history: int,
    temporal: bool,
    labelled: bool,
    quick: bool = False,
) -> list[Variant]:
    """Return the base and what is tried against it.

    Args:
        model: The base's network.
        training: The base's loop.
        max_history: Of the log's samples.
        temporal: Whether they are split by time already.
        labelled: Whether the negatives are logged, so that none can be redrawn.
        quick: Two variants only, to see that everything works.

    Returns:
        The base first. What would be the base itself is left out, and what the log cannot give.
    """
    found = [Variant(name=BASE)]
    for variant in _TRIED:
        if quick and variant.name not in _QUICK:
            continue
        if labelled and variant.name in _OF_SAMPLED:
            continue
        if variant.temporal and temporal:
            continue
        if variant.max_history is not None and variant.max_history == max_history:
            continue
        changes_data = variant.max_history is not None or variant.temporal is not None
        same_loop = _same_negatives(variant, training) or variant.loop(training) == training
        if changes_data or variant.network(model) != model or not same_loop:
            found.append(variant)
    return found


def _same_negatives(variant: Variant, training: TrainingConfig) -> bool:
    """``auto`` redraws what is sampled, so ``redrawn`` beside it is no variant."""
    return variant.training == {"negatives": "redrawn"} and training.negatives == "auto"
