"""Descriptions of the model's inputs: which columns there are and how wide their embeddings get.

A feature is a frozen description and never holds an embedding: the tables live in the model, so
two models built from the same features share nothing. Names and argument order are those of
torch-rechub. Also here: the pairing of a history with its target.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import nn

# Called with vocab_size and embed_dim.
Initializer = Callable[[int, int], "nn.Embedding"]
SequencePooling = Literal["mean", "sum", "concat"]


def auto_embed_dim(vocab_size: int) -> int:
    """Width of an embedding by the rule of DCN (ADKDD 2017): ``floor(6 * vocab_size ** 0.25)``.

    Example:
        >>> auto_embed_dim(10_000)
        60
    """
    return int(6 * vocab_size**0.25)


@dataclass(frozen=True)
class SparseFeature:
    """One categorical id per sample.

    Args:
        name: Key of the input, usually the column's name.
        vocab_size: Rows of the embedding table: the largest id plus one. Row 0 is padding or
            unknown, stays zero and is never trained.
        embed_dim: Width of the embedding; ``None`` takes :func:`auto_embed_dim`.
        shared_with: Name of the feature whose table this one uses.
        padding_idx: ``None`` or 0, the only padding there is here.
        initializer: Makes the initial table of the feature that owns it, row 0 excepted: called
            with ``vocab_size`` and ``embed_dim``, it returns an ``nn.Embedding``, as
            torch-rechub's initializers do. ``None`` leaves it to the model.

    Raises:
        ValueError: A size that no embedding table can have, or another padding index.
    """

    name: str
    vocab_size: int
    embed_dim: int | None = None
    shared_with: str | None = None
    padding_idx: int | None = None
    initializer: Initializer | None = None

    def __post_init__(self) -> None:
        _validate(self.name, self.vocab_size, self.embed_dim, self.shared_with, self.padding_idx)

    @property
    def dim(self) -> int:
        """Width of the embedding, the automatic one resolved."""
        return auto_embed_dim(self.vocab_size) if self.embed_dim is None else self.embed_dim

    @property
    def table_of(self) -> str | None:
        """Name of the feature whose table this one uses; ``None`` for one of its own."""
        return self.shared_with

    @property
    def table(self) -> str:
        """Name of the feature that owns the embedding table."""
        return self.table_of or self.name


@dataclass(frozen=True)
class SequenceFeature:
    """A behaviour sequence: one id for each position of a user's history.

    Args:
        name: Key of the input, usually the column's name.
        vocab_size: Rows of the embedding table: the largest id plus one; row 0 as above.
        embed_dim: Width of the embedding; ``None`` takes :func:`auto_embed_dim`.
        pooling: ``concat`` leaves the positions to the model, which is what target attention
            needs; DIN refuses the other two.
        shared_with: Name of the feature whose table this one uses: the target it is paired with.
        own_table: Take ``shared_with`` for the pairing alone, and look up in a table of its own:
            the same item then has one vector as a candidate and another one in a history.
        padding_idx: ``None`` or 0, the only padding there is here.
        initializer: As :class:`SparseFeature`.

    Raises:
        ValueError: As :class:`SparseFeature`, or an unknown pooling.
    """

    name: str
    vocab_size: int
    embed_dim: int | None = None
    pooling: SequencePooling = "mean"
    shared_with: str | None = None
    padding_idx: int | None = None
    initializer: Initializer | None = None
    own_table: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        _validate(self.name, self.vocab_size, self.embed_dim, self.shared_with, self.padding_idx)
        if self.pooling not in ("mean", "sum", "concat"):
            raise ValueError(
                f"feature '{self.name}': pooling {self.pooling!r} is none of 'mean', 'sum', "
                "'concat'; DIN takes 'concat'"
            )

    @property
    def dim(self) -> int:
        """Width of the embedding, the automatic one resolved."""
        return auto_embed_dim(self.vocab_size) if self.embed_dim is None else self.embed_dim

    @property
    def table_of(self) -> str | None:
        """Name of the feature whose table this one uses; ``None`` for one of its own."""
        return None if self.own_table else self.shared_with

    @property
    def table(self) -> str:
        """Name of the feature that owns the embedding table."""
        return self.table_of or self.name


@dataclass(frozen=True, kw_only=True)
class Normalization:
    """What a number is measured by: the training samples' mean and standard deviation.

    Args:
        mean: Mean of the numbers that are there.
        std: Their standard deviation (population, not sample); 1 where they are all equal.
        has_missing: Whether some training samples lack the number, so that the network can learn
            what that means.

    Raises:
        ValueError: A mean that is not finite, or a deviation that is not finite and above 0.
    """

    mean: float = 0.0
    std: float = 1.0
    has_missing: bool = False

    def __post_init__(self) -> None:
        if not math.isfinite(self.mean) or not 0 < self.std < math.inf:
            raise ValueError(
                f"mean {self.mean} must be finite, and std {self.std} finite and above 0; numbers "
                "that are all equal have std=1"
            )


@dataclass(frozen=True)
class DenseFeature:
    """Numbers that enter the final MLP: a price, an age, a vector from elsewhere.

    Without ``normalization`` they enter as they are: values far from 1 outweigh everything beside
    them, and a NaN makes the prediction NaN. With it, raw numbers enter as
    ``(number - mean) / std``, and a missing one (NaN or infinite) as 0, the mean, with a second
    column that says so: 1 where the number is missing, and always 0 where no training sample
    lacked one, for nothing was learned about it then.

    Args:
        name: Key of the input: ``[B]``, or ``[B, embed_dim]`` where ``embed_dim`` is not 1.
        embed_dim: Numbers per sample.
        normalization: By what the numbers are measured; one number per sample then.

    Raises:
        ValueError: No name, a width below 1, or a normalized vector.
    """

    name: str
    embed_dim: int = 1
    normalization: Normalization | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a feature needs a name: the key of its input")
        if self.embed_dim < 1:
            raise ValueError(
                f"feature '{self.name}': embed_dim {self.embed_dim} must be 1 or more, the numbers "
                "that a sample has"
            )
        if self.normalization is not None and self.embed_dim != 1:
            raise ValueError(
                f"feature '{self.name}': a normalization is for one number, and embed_dim is "
                f"{self.embed_dim}; make it {self.embed_dim} features, or scale the vector before"
            )

    @property
    def dim(self) -> int:
        """Width of what enters the network for a sample."""
        return self.embed_dim if self.normalization is None else 2


# What is looked up in a table, and what a sample has one vector of.
Feature = SparseFeature | SequenceFeature
VectorFeature = SparseFeature | DenseFeature


def _validate(
    name: str,
    vocab_size: int,
    embed_dim: int | None,
    shared_with: str | None,
    padding_idx: int | None,
) -> None:
    if not name:
        raise ValueError("a feature needs a name: the key of its input")
    if vocab_size < 1:
        raise ValueError(
            f"feature '{name}': vocab_size {vocab_size} leaves no row; it is the largest id plus "
            "one, row 0 being padding"
        )
    if embed_dim is not None and embed_dim < 1:
        raise ValueError(f"feature '{name}': embed_dim {embed_dim} must be 1 or more, or None")
    if shared_with == name:
        raise ValueError(
            f"feature '{name}' is shared with itself; leave shared_with out for a table of its own"
        )
    if padding_idx not in (None, 0):
        raise ValueError(
            f"feature '{name}': padding_idx {padding_idx} is not 0; ids start at 1 here and 0 is "
            "padding or unknown, so shift them"
        )


def check_kinds(
    features: Sequence[VectorFeature],
    history_features: Sequence[SequenceFeature],
    target_features: Sequence[VectorFeature],
) -> None:
    """Refuse a feature in a list that its kind does not belong to, and a name of two kinds.

    Args:
        features: Features of user and context.
        history_features: Behaviour sequences.
        target_features: Features of the candidate.

    Raises:
        TypeError: A sequence among the others, or another kind among the histories.
        ValueError: A dense feature that has the name of a different feature.
    """
    of_vectors, of_sequences = [*features, *target_features], list[object](history_features)
    for feature in of_vectors:
        if isinstance(feature, SequenceFeature):
            raise TypeError(
                f"sequence feature '{feature.name}' is among features or target_features; "
                "sequences belong in history_features"
            )
    for feature in of_sequences:
        if not isinstance(feature, SequenceFeature):
            raise TypeError(
                f"{feature} is among history_features, which take SequenceFeatures only; what has "
                "one value a sample belongs in features or target_features"
            )
    dense = {each.name: each for each in of_vectors if isinstance(each, DenseFeature)}
    for feature in (*of_vectors, *history_features):
        if dense.get(feature.name, feature) != feature:
            raise ValueError(
                f"two different features are called '{feature.name}': {dense[feature.name]} and "
                f"{feature}; give one of them another name"
            )


def pair_histories(
    history_features: Sequence[SequenceFeature], target_features: Sequence[VectorFeature]
) -> dict[str, str]:
    """Find the target that each history attends to, by name and never by position in the list.

    A history pairs with the target that its ``shared_with`` names, or else with the only target
    that uses the same table.

    Args:
        history_features: Behaviour sequences.
        target_features: Features of the candidate; those without a history are left alone.

    Returns:
        History name to target name, in the order of the histories.

    Raises:
        ValueError: A history without target, two histories of one target, or a pair that
            disagrees in pooling, width or vocabulary. The sentence names both.
    """
    sparse = [target for target in target_features if isinstance(target, SparseFeature)]
    by_name = {target.name: target for target in sparse}
    known = ", ".join(f"'{name}'" for name in by_name) or "none"
    pairs: dict[str, str] = {}
    for history in history_features:
        if history.shared_with is None:
            raise ValueError(
                f"history '{history.name}' names no target; set shared_with to one of the "
                f"target features ({known})"
            )
        target = by_name.get(history.shared_with)
        if target is None:
            same_table = [each for each in sparse if each.table == history.table]
            if len(same_table) != 1:
                raise ValueError(
                    f"history '{history.name}' is shared with '{history.shared_with}', which is "
                    f"not among the target features ({known}); add it there or correct shared_with"
                )
            target = same_table[0]
        _require_same_shape(history, target)
        if target.name in pairs.values():
            other = next(name for name, paired in pairs.items() if paired == target.name)
            raise ValueError(
                f"histories '{other}' and '{history.name}' are both paired with target "
                f"'{target.name}'; a target has one history"
            )
        pairs[history.name] = target.name
    return pairs


def _require_same_shape(history: SequenceFeature, target: SparseFeature) -> None:
    both = f"history '{history.name}' and target '{target.name}'"
    if history.pooling != "concat":
        raise ValueError(
            f"{both}: pooling {history.pooling!r} leaves nothing to attend to; use pooling='concat'"
        )
    if history.dim != target.dim:
        raise ValueError(
            f"{both} are {history.dim} and {target.dim} wide; they share one embedding table, so "
            "give them the same embed_dim"
        )
    if history.vocab_size != target.vocab_size:
        raise ValueError(
            f"{both} have vocab_size {history.vocab_size} and {target.vocab_size}; they share one "
            "embedding table, so give both the larger one"
        )
