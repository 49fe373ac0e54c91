"""Numbers on their way into the network: normalised where their feature says by what.

The counterpart of :mod:`din_core.network.layers.embedding` for features that have no table.
Shapes: B samples; D the width of a feature, its ``dim``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from din_core.network.layers.embedding import module_name

if TYPE_CHECKING:
    from din_core.network.features import DenseFeature, Normalization


class DenseInputs(nn.Module):
    """The numbers of a list of features, as the final MLP takes them.

    What a feature is normalised by is kept in buffers, so that it is saved with the weights and
    exported with the graph, whose inputs are raw numbers.

    Args:
        features: Features to take; one that occurs twice is taken once.
    """

    def __init__(self, features: Sequence[DenseFeature]) -> None:
        super().__init__()
        for feature in {each.name: each for each in features}.values():
            if feature.normalization is not None:
                self.add_module(_name(feature), Normalizer(feature.normalization))

    def forward(self, feature: DenseFeature, values: Tensor) -> Tensor:
        """Take the numbers of a feature.

        Args:
            feature: One of the features given at construction.
            values: Numbers ``[B]`` or ``[B, embed_dim]``, NaN where one is missing.

        Returns:
            float32 ``[B, D]``.

        Raises:
            ValueError: Values of another shape.
        """
        rows = values.float() if values.dim() > 1 else values.float().unsqueeze(1)
        if rows.dim() != 2 or rows.shape[1] != feature.embed_dim:
            expected = "[B]" if feature.embed_dim == 1 else f"[B, {feature.embed_dim}]"
            raise ValueError(
                f"feature '{feature.name}': its values have the shape {list(values.shape)}, not "
                f"{expected}; correct them or its embed_dim"
            )
        if feature.normalization is None:
            return rows
        return self.get_submodule(_name(feature))(rows)


class Normalizer(nn.Module):
    """``(x - mean) / std`` beside a column that says where ``x`` is missing.

    A missing number (NaN, or infinite, which no log holds) is 0, the mean. Where no training sample
    lacked the number, the second column is always 0: nothing was learned about it.

    Args:
        normalization: Mean and deviation of the training samples.
    """

    mean: Tensor
    std: Tensor
    has_missing: Tensor

    def __init__(self, normalization: Normalization) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(normalization.mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(normalization.std, dtype=torch.float32))
        has_missing = torch.tensor(normalization.has_missing, dtype=torch.float32)
        self.register_buffer("has_missing", has_missing)

    def forward(self, values: Tensor) -> Tensor:
        """Normalise numbers.

        Args:
            values: float32 ``[B, 1]``.

        Returns:
            float32 ``[B, 2]``: the number, and whether it is missing.
        """
        number = (values - self.mean) / self.std
        # NaN and infinity in one comparison that every exporter knows: NaN is not at most anything.
        is_there = number.abs() <= torch.finfo(torch.float32).max
        return torch.cat(
            [torch.where(is_there, number, 0.0), torch.where(is_there, 0.0, self.has_missing)],
            dim=1,
        )


def _name(feature: DenseFeature) -> str:
    return module_name(feature.name, "number")
