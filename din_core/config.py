"""What can be chosen, in one place: frozen dataclasses with the tutorial's defaults.

Every option of the pipeline is a field here, with its unit and its range; the asset layer mirrors
them as run configuration and the library takes them as they are. Nothing here does any work.
Presets (a named set of choices) are the run-config files in ``din_assets/presets``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from din_core.errors import RefusedOptionsError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

Quoting = Literal["auto", "minimal", "none"]
NegativeSampling = Literal["uniform", "popularity", "same_category"]
Split = Literal["leave_one_out", "temporal"]
Precision = Literal["auto", "float32", "bfloat16"]
Device = Literal["auto", "cpu", "cuda"]
Attention = Literal["per_feature", "joint"]
ProductLayer = Literal["inner", "elementwise"]
TrainingNegatives = Literal["redrawn", "fixed"]
TimeUnit = Literal["auto", "s", "ms", "us", "ns"]
LearningRateSchedule = Literal["constant", "cosine"]


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """Where the interactions come from and what their columns are called.

    Attributes:
        path: A file or a glob of delimited text (also gzip, zstd, bz2, xz, lz4) or Parquet.
        user_col: Column of the user id (integer or string).
        item_col: Column of the item id (integer or string).
        time_col: Column of the time: numbers since 1970 or ISO 8601, fractions of seconds included.
        time_unit: Unit of the times that are numbers: ``s``, ``ms``, ``us`` or ``ns``; ``auto``
            recognises it by their size.
        item_attribute_cols: Columns that describe the item; the first plays the category's part. A
            row may lack them. At most 128 of items and users together.
        user_attribute_cols: Columns that describe the user, likewise.
        label_col: Column that says whether an impression was taken (1 and 0, true and false, or 1
            and -1): the logged negatives are used instead of sampled ones. By default ``label``
            where the header has it; with '' no column is.
        positive_labels: Values of ``label_col`` that mean taken; all others then mean not taken.
        quoting: Whether a value of a text file that begins with ``"`` is a quoted one: ``minimal``
            (yes, as RFC 4180), ``none`` (no, a quote is a character), or ``auto``: yes in comma-
            and semicolon-separated files; elsewhere only where the file's beginning shows it.
        drop_duplicates: Drop rows that equal an earlier one in every column that is read (counted).
    """

    path: str
    user_col: str = "user_id"
    item_col: str = "item_id"
    time_col: str = "time"
    time_unit: TimeUnit = "auto"
    item_attribute_cols: tuple[str, ...] = ("cate_id",)
    user_attribute_cols: tuple[str, ...] = ()
    label_col: str | None = None
    positive_labels: tuple[str, ...] = ()
    quoting: Quoting = "auto"
    drop_duplicates: bool = False


@dataclass(frozen=True, kw_only=True)
class SequenceConfig:
    """How events become samples.

    Attributes:
        max_history: Most recent events kept in a history, 1 or more.
        min_interactions: Users with fewer interactions are left out (the tutorial's ``min_item``).
        negatives_per_positive: Negatives drawn for each positive, 0 or more.
        negative_sampling: ``uniform`` over the items the user never interacted with, by
            ``popularity`` (count to the power 0.75), or from the positive's category
            (``same_category``).
        split: ``leave_one_out`` (last event test, the one before validation; in a labelled log,
            the last two moments, taken or not) or ``temporal``.
        val_from: Temporal split: first moment of validation, in seconds or as a quantile in (0, 1).
        test_from: Temporal split: first moment of test, in the same unit.
        seed: Seed of the negative draw, below 2**30.
    """

    max_history: int = 50
    min_interactions: int = 0
    negatives_per_positive: int = 1
    negative_sampling: NegativeSampling = "uniform"
    split: Split = "leave_one_out"
    val_from: float = 0.8
    test_from: float = 0.9
    seed: int = 2022


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What every click model has (defaults: the tutorial's). Each model's class adds its own.

    A subclass whose field ``model`` has a default is the configuration of the model of that name,
    and found by it in :data:`MODEL_CONFIGS` from then on.

    Attributes:
        model: Which model is trained. An option that only another model has must be left at its
            default.
        embed_dim: Width of every embedding.
        use_user: Give the model an embedding of the user id.
        embedding_init_std: Standard deviation of the normal initial embeddings.
    """

    model: str
    embed_dim: int = 8
    use_user: bool = True
    embedding_init_std: float = 1e-4

    def __init_subclass__(cls) -> None:
        name = vars(cls).get("model")
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


@dataclass(frozen=True, kw_only=True)
class MLPModelConfig(ModelConfig):
    """What the models that end in a multi-layer perceptron have in common.

    Attributes:
        mlp_dims: Widths of the hidden layers of the final MLP.
        activation: ``dice``, ``prelu``, ``relu`` or ``sigmoid``, in every hidden layer.
        dropout: Probability of dropping a hidden unit of the final MLP.
    """

    mlp_dims: tuple[int, ...] = (256, 128)
    activation: Literal["dice", "prelu", "relu", "sigmoid"] = "dice"
    dropout: float = 0.0


@dataclass(frozen=True, kw_only=True)
class DINConfig(MLPModelConfig):
    """The Deep Interest Network (defaults: the tutorial's).

    Attributes:
        attention_dims: Widths of the hidden layers of the activation unit.
        use_softmax: Normalise the attention weights over the history.
        attention: One activation unit for each history feature, or one ``joint`` unit over the
            concatenated item and attribute embeddings.
        product_inputs: Feed the MLP also with attention output x target, the plain history sum
            and history sum x target.
    """

    model: Literal["din"] = "din"
    attention_dims: tuple[int, ...] = (256, 128)
    use_softmax: bool = False
    attention: Attention = "per_feature"
    product_inputs: bool = False


@dataclass(frozen=True, kw_only=True)
class BaseModelConfig(MLPModelConfig):
    """The DIN paper's BaseModel, which adds the history up. It has no further options."""

    model: Literal["base_model"] = "base_model"


@dataclass(frozen=True, kw_only=True)
class PNNConfig(MLPModelConfig):
    """The product-based neural network, the history's embeddings added up.

    Attributes:
        product_layer: ``inner``: the inner product of every two embeddings (the PNN paper);
            ``elementwise``: history sum x target for each history (the DIN authors' own PNN).
    """

    model: Literal["pnn"] = "pnn"
    product_layer: ProductLayer = "inner"


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The training loop (defaults: the tutorial's).

    Attributes:
        n_epoch: Passes over the training samples.
        batch_size: Samples in a step.
        learning_rate: Adam's step size.
        learning_rate_schedule: ``constant``, or ``cosine`` from the step size down to zero over
            the planned epochs. An embedding row makes up for steps it missed at the latest rate.
        weight_decay: Coupled L2 on dense weights and on the embedding rows that a batch gathers.
        embedding_l2: Further coupled L2 on all embedding rows; what it does to an idle row is
            made up for when that row is needed.
        regularization: What ``embedding_l2`` is the strength of: that L2 (``l2``), or
            ``mini_batch_aware`` regularization (paper, section 5.1).
        negatives: ``redrawn`` uniformly every epoch, or ``fixed`` (those of the table
            ``negatives``); logged or non-uniform negatives are always fixed.
        negatives_per_positive: Redrawn negatives for each positive.
        ema_decay: Decay of the exponential moving average of the weights that is evaluated and
            kept; 0 switches it off.
        earlystop_patience: Epochs without a better validation AUC before training stops.
        seed: Seed of initial weights, order and redrawn negatives.
        device: ``auto`` takes CUDA where there is one.
        precision: ``auto`` takes bfloat16 where the hardware multiplies in it; on a processor only
            from two million training samples over all epochs, for less is over in seconds anyway.
        fused: Use the compiled activation unit where a C++ compiler is at hand and there are
            200,000 training samples or more over all epochs.
        num_threads: Threads of a step; 0 takes as many as the process has cores, by its affinity
            mask and its container's quota.
        checkpoint_seconds: Least time between two checkpoints; 0 writes none.
        allow_untrained: Give a model also where there is nothing to learn a ranking from (no
            training sample, or samples of one label only), instead of failing; it cannot rank.
    """

    n_epoch: int = 5
    batch_size: int = 4096
    learning_rate: float = 1e-3
    learning_rate_schedule: LearningRateSchedule = "constant"
    weight_decay: float = 1e-3
    embedding_l2: float = 0.0
    regularization: Literal["l2", "mini_batch_aware"] = "l2"
    negatives: TrainingNegatives = "fixed"
    negatives_per_positive: int = 1
    ema_decay: float = 0.0
    earlystop_patience: int = 2
    seed: int = 2022
    device: Device = "auto"
    precision: Precision = "auto"
    fused: bool = True
    num_threads: int = 0
    checkpoint_seconds: float = 30.0
    allow_untrained: bool = False


@dataclass(frozen=True, kw_only=True)
class SyntheticConfig:
    """Shape of the seeded synthetic log.

    A user has a few of the ``n_interests`` latent interests, and an interaction follows one of
    them: with ``p(item | interest) ~ item_rank ** -popularity_exponent * exp(affinity * cosine)``,
    the cosine being that of the item's and the interest's latent vectors. An item's vector is made
    of its category, of a style that runs across categories, and of something of its own.

    Attributes:
        n_users: Users in the log.
        n_items: Items in the catalogue.
        n_cates: Categories the items fall into; their sizes follow a power law.
        mean_interactions: Mean events of a user, at least 3; no user has fewer than 3.
        interests_per_user: Most latent interests a user has; each has from half of that on.
        n_interests: Latent interests in all, shared by the users.
        n_styles: Styles that run across the categories.
        style_weight: Weight of the style beside the category's 1 in an item's vector. The larger,
            the less the category says about what a user likes.
        own_weight: Weight of the item's own part: taste that only the item's id can carry.
        affinity: Inverse temperature of an interest: 0 makes popularity all there is.
        popularity_exponent: Exponent of the power law of the items' popularity, 0 is uniform.
        exploration: Share of interactions that follow popularity alone, in [0, 1).
        drift: How strongly the focus wanders between a user's interests over time: amplitude of
            the log-weight of an interest, 0 keeps them all alive at any time.
        focus_period: Interactions after which the focus comes back, for ``drift``.
        seed: Seed of every draw.
    """

    n_users: int = 2_000
    n_items: int = 1_000
    n_cates: int = 50
    mean_interactions: float = 30.0
    interests_per_user: int = 4
    n_interests: int = 150
    n_styles: int = 12
    style_weight: float = 0.8
    own_weight: float = 0.4
    affinity: float = 12.0
    popularity_exponent: float = 0.55
    exploration: float = 0.05
    drift: float = 0.5
    focus_period: float = 20.0
    seed: int = 2022


def from_options(cls: type[T], options: Mapping[str, Any]) -> T:
    """Build one of these from those of the options that it has fields for; lists become tuples.

    Example:
        >>> from_options(SequenceConfig, {"seed": 7, "unrelated": True}).seed
        7
    """
    names = {each.name for each in dataclasses.fields(cls)}
    return cls(**{name: _tuples(value) for name, value in options.items() if name in names})


def model_config(
    options: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
) -> ModelConfig:
    """Build the configuration of the model that the options name.

    Args:
        options: Of the model named in ``model`` (by default the one that ``defaults`` name, or
            else ``din``), and any others. An option that only other models have must be left out or
            be at a default, its class's or one of ``defaults``.
        defaults: Values of options that are not given; the classes' own where left out.

    Raises:
        RefusedOptionsError: A model that does not exist, or an option that the model does not have.

    Example:
        >>> model_config({"model": "pnn", "embed_dim": 4, "n_epoch": 3}).embed_dim
        4
    """
    given = {**(defaults or {}), **options}
    name = given.get("model", DINConfig.model)
    if name not in MODEL_CONFIGS:
        raise RefusedOptionsError(
            f"model is {name!r}, must be one of {', '.join(map(repr, MODEL_CONFIGS))}"
        )
    chosen = MODEL_CONFIGS[name]
    has = {each.name for each in dataclasses.fields(chosen)}
    for owner, cls in MODEL_CONFIGS.items():
        for each in dataclasses.fields(cls):
            unset = (each.default, (defaults or {}).get(each.name, each.default))
            value = _tuples(given.get(each.name, each.default))
            if each.name not in has and value not in unset:
                raise RefusedOptionsError(
                    f"{each.name} is {given[each.name]!r}, and the model {name} has no such option "
                    f"({owner} has): leave it out, or choose model: {owner}"
                )
    return from_options(chosen, given)


def _tuples(value: object) -> object:
    return tuple(cast("list[object]", value)) if isinstance(value, list) else value
