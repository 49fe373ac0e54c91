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

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

Quoting = Literal["auto", "minimal", "none"]
NegativeSampling = Literal["uniform", "popularity", "same_category"]
Split = Literal["leave_one_out", "temporal"]
Precision = Literal["auto", "float32", "bfloat16"]
Device = Literal["auto", "cpu", "cuda"]
Pooling = Literal["attention", "sum"]
Attention = Literal["per_feature", "joint"]
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
    """The network (defaults: the tutorial's).

    Attributes:
        embed_dim: Width of every embedding.
        mlp_dims: Widths of the hidden layers of the final MLP.
        attention_dims: Widths of the hidden layers of the activation unit.
        activation: ``dice``, ``prelu``, ``relu`` or ``sigmoid``, in both MLPs.
        use_softmax: Normalise the attention weights over the history.
        pooling: ``attention`` is DIN; ``sum`` is the paper's BaseModel.
        attention: One activation unit for each history feature, or one ``joint`` unit over the
            concatenated item and attribute embeddings.
        product_inputs: Feed the MLP also with attention output x target, the plain history sum
            and history sum x target.
        use_user: Give the MLP an embedding of the user id.
        dropout: Probability of dropping a hidden unit of the final MLP.
        embedding_init_std: Standard deviation of the normal initial embeddings.
    """

    embed_dim: int = 8
    mlp_dims: tuple[int, ...] = (256, 128)
    attention_dims: tuple[int, ...] = (256, 128)
    activation: Literal["dice", "prelu", "relu", "sigmoid"] = "dice"
    use_softmax: bool = False
    pooling: Pooling = "attention"
    attention: Attention = "per_feature"
    product_inputs: bool = False
    use_user: bool = True
    dropout: float = 0.0
    embedding_init_std: float = 1e-4


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
    return cls(
        **{
            name: tuple(cast("list[Any]", value)) if isinstance(value, list) else value
            for name, value in options.items()
            if name in names
        }
    )
