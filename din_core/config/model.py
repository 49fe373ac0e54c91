"""The click models: what all have, and a class for each with its own options."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any, Literal

from din_core.config.options import (
    OptionsError,
    as_tuple,
    config_class,
    config_from_mapping,
    option,
    required,
)

Activation = Literal["dice", "prelu", "relu", "sigmoid"]
Attention = Literal["per_feature", "joint"]
ProductLayer = Literal["inner", "elementwise"]
HistoryEmbeddings = Literal["shared", "separate"]
LogNumber = Literal[
    "popularity",
    "popularity_90_days",
    "popularity_365_days",
    "trend_90_days",
    "trend_365_days",
    "days_since_item_event",
    "days_since_last_event",
    "same_category_events",
    "same_moment_events",
]

_MODEL = "Which model is trained. An option that only another model has must be left out."


@config_class
class ModelConfig:
    """What every click model has (defaults: the tutorial's). Each model's class adds its own.

    A subclass whose field ``model`` has a default is the configuration of the model of that name,
    and found by it in :data:`MODEL_CONFIGS` from then on.
    """

    model: str = required(_MODEL)
    embed_dim: int = option(8, "Width of every embedding.", ge=1, le=1024)
    use_user: bool = option(True, "Give the model an embedding of the user id.")
    embedding_init_std: float = option(
        1e-4, "Standard deviation of the normal initial embeddings.", ge=0
    )
    history_embeddings: HistoryEmbeddings = option(
        "shared",
        "'shared': an item (or its attribute) has one embedding, as a candidate and in a history; "
        "'separate': two.",
    )
    log_numbers: tuple[LogNumber, ...] = option(
        (),
        "Numbers that are computed of the log for each sample, from training events that are "
        "earlier, as logarithms: 'popularity' of the candidate (its events as a multiple of the "
        "average item's), also of the last 90 or 365 days alone; its 'trend_90_days' and "
        "'trend_365_days' (its latest events as a multiple of what its share of all events so far "
        "lets expect); 'days_since_item_event', its last "
        "one; 'days_since_last_event', the user's; 'same_category_events' of the history, and "
        "'same_moment_events', those at the sample's own time.",
    )

    def contradiction(self) -> str | None:
        """Say whether a number is named twice."""
        twice = next((each for each in self.log_numbers if self.log_numbers.count(each) > 1), None)
        return twice and f"log_numbers names {twice!r} twice: leave one of them out"

    def __init_subclass__(cls) -> None:
        declared = vars(cls).get("model")
        name = getattr(declared, "default", declared)
        if name is not None and (other := MODEL_CONFIGS.setdefault(name, cls)) is not cls:
            raise TypeError(f"{cls.__name__} and {other.__name__} both name the model {name}")

    def __post_init__(self) -> None:
        if MODEL_CONFIGS.get(self.model) is not type(self):
            raise ValueError(
                f"model {self.model!r} is not what a {type(self).__name__} configures; take the "
                "class that MODEL_CONFIGS has for it"
            )


#: The configuration of each model, by the model's name; filled by the classes that follow.
MODEL_CONFIGS: dict[str, type[ModelConfig]] = {}


@config_class
class MLPModelConfig(ModelConfig):
    """What the models that end in a multi-layer perceptron have in common."""

    mlp_dims: tuple[int, ...] = option(
        (256, 128), "Widths of the hidden layers of the final MLP.", ge=1, le=65_536, min_length=1
    )
    activation: Activation = option(
        "dice", "'dice', 'prelu', 'relu' or 'sigmoid', in every hidden layer."
    )
    dropout: float = option(
        0.0, "Probability of dropping a hidden unit of the final MLP.", ge=0, lt=1
    )


@config_class
class DINConfig(MLPModelConfig):
    """The Deep Interest Network (defaults: the tutorial's)."""

    model: Literal["din"] = option("din", _MODEL)
    attention_dims: tuple[int, ...] = option(
        (256, 128),
        "Widths of the hidden layers of the activation unit.",
        ge=1,
        le=65_536,
        min_length=1,
    )
    use_softmax: bool = option(False, "Normalise the attention weights over the history.")
    attention: Attention = option(
        "per_feature",
        "One activation unit for each history feature, or one 'joint' unit over the concatenated "
        "item and attribute embeddings.",
    )
    position_bias: int = option(
        0,
        "How many of the latest positions of a history have a learned bias each, which is added to "
        "the attention weight of the event there (before a softmax); earlier positions share the "
        "last of them. 0: none.",
        ge=0,
        le=10_000,
    )
    product_inputs: bool = option(
        False,
        "Feed the MLP also with attention output x target, the plain history sum and history sum "
        "x target.",
    )

    def contradiction(self) -> str | None:
        """Say whether all positions would share one bias, besides what holds of every model."""
        if self.position_bias == 1:
            return (
                "position_bias is 1, so all positions would share one bias, and each activation "
                "unit has that already: set 2 or more, or leave position_bias out"
            )
        return super().contradiction()


@config_class
class BaseModelConfig(MLPModelConfig):
    """The DIN paper's BaseModel, which adds the history up. It has no further options."""

    model: Literal["base_model"] = option("base_model", _MODEL)


@config_class
class PNNConfig(MLPModelConfig):
    """The product-based neural network, the history's embeddings added up."""

    model: Literal["pnn"] = option("pnn", _MODEL)
    product_layer: ProductLayer = option(
        "inner",
        "'inner': the inner product of every two embeddings (the PNN paper); 'elementwise': "
        "history sum x target for each history (the DIN authors' own PNN).",
    )


def options_of_others(model: str) -> dict[str, str]:
    """Return the options that a model lacks, each with a model that has it.

    Args:
        model: Name of the model, one of :data:`MODEL_CONFIGS`.

    Example:
        >>> options_of_others("din")
        {'product_layer': 'pnn'}
    """
    has = {each.name for each in dataclasses.fields(MODEL_CONFIGS[model])}
    owners: dict[str, str] = {}
    for owner, cls in MODEL_CONFIGS.items():
        for each in dataclasses.fields(cls):
            if each.name not in has:
                owners.setdefault(each.name, owner)
    return owners


def model_config(
    options: Mapping[str, Any],
    defaults: Mapping[str, Any] | None = None,
    typed: Collection[str] = (),
) -> ModelConfig:
    """Build the configuration of the model that the options name.

    Args:
        options: Of the model named in ``model`` (by default the one that ``defaults`` name, or
            else ``din``), and any others. An option that only other models have must be left out or
            be at a default, its class's or one of ``defaults``.
        defaults: Values of options that are not given; the classes' own where left out.
        typed: Options that somebody wrote down: of those that only other models have, none may be.

    Raises:
        OptionsError: A model that does not exist, or an option that the model does not have.

    Example:
        >>> model_config({"model": "pnn", "embed_dim": 4, "n_epoch": 3}).embed_dim
        4
    """
    given = {**(defaults or {}), **options}
    name = given.get("model", DINConfig.model)
    if name not in MODEL_CONFIGS:
        raise OptionsError(
            f"model is {name!r}, must be one of {', '.join(map(repr, MODEL_CONFIGS))}"
        )
    for foreign, owner in options_of_others(name).items():
        default = MODEL_CONFIGS[owner].__dataclass_fields__[foreign].default
        unset = (default, (defaults or {}).get(foreign, default))
        value = given.get(foreign, default)
        if foreign in typed or as_tuple(value) not in unset:
            raise OptionsError(
                f"{foreign} is {value!r}, and the model {name} has no such option "
                f"({owner} has): leave it out, or choose model: {owner}"
            )
    return config_from_mapping(MODEL_CONFIGS[name], given)
