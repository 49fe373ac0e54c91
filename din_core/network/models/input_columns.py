"""Which input each column of a model's weights belongs to, by name and not by place.

A layer takes its inputs side by side, so that another input moves the columns of all that follow.
Who brings the weights of two models together goes by what is said here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from din_core.network.features import Feature, VectorFeature


class Block(NamedTuple):
    """Columns that stand side by side and belong together.

    Attributes:
        name: What they are, such as ``sum of hist_item_idx``; once in a layer.
        width: How many.
        number: Name of the dense feature that they are the numbers of, if they are.
    """

    name: str
    width: int
    number: str | None = None


class InputColumns(NamedTuple):
    """Of a model, what depends on the order of its inputs.

    Attributes:
        blocks: By name of a weight ``[out, in]``, what stands in its columns, from the first on.
        parts: By the beginning of parameters' names that hold a number, as ``units.0.``, what the
            part is called wherever it stands.
    """

    blocks: Mapping[str, Sequence[Block]]
    parts: Mapping[str, str]


def blocks_of(what: str, features: Iterable[Feature]) -> list[Block]:
    """Return a block for each feature, called after it and what was made of it."""
    return [Block(f"{what} {feature.name}", feature.dim) for feature in features]


def context_blocks(features: Iterable[VectorFeature]) -> list[Block]:
    """Return a block for each feature that no history belongs to."""
    from din_core.network.features import DenseFeature

    return [
        Block(each.name, each.dim, each.name if isinstance(each, DenseFeature) else None)
        for each in features
    ]
