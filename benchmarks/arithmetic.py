"""How much arithmetic a training sample needs: the matrix products alone, and no padding.

The share of the machine's matrix-product rate that a training loop achieves is these FLOPs times
its samples per second, over the measured rate. Whatever else is computed (padding, activations,
optimizer, the same product twice) lowers the share, as it should.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from din_core.config import DINConfig

_MULTIPLY_AND_ADD = 2
_FORWARD_AND_BACKWARD = 3  # backward multiplies twice: for the inputs and for the weights


def needed_flops(
    config: DINConfig, *, mean_history: float, item_features: int, other_features: int
) -> float:
    """Return the FLOPs of the matrix products of a training step, for one sample.

    The first layer of the activation unit is counted in its split form,
    ``(Wt + Wd) t + (Wh - Wd) h + Wp (t * h)``: the target's part once a sample, half the published
    width for each position.

    Args:
        config: The network.
        mean_history: Positions of a history, on average.
        item_features: Features with a history: the item and its attributes.
        other_features: Further embeddings that enter the MLP.
    """
    joint = config.attention == "joint"
    unit_width = config.embed_dim * (item_features if joint else 1)
    units = 1 if joint else item_features
    first = config.attention_dims[0]
    for_position = 2 * unit_width * first + _dense(config.attention_dims)
    for_target = unit_width * first
    attention = units * (for_target + mean_history * for_position)

    products = 3 if config.product_inputs else 0
    pooled_width = config.embed_dim * item_features
    mlp_width = (2 + products) * pooled_width + config.embed_dim * other_features
    mlp = mlp_width * config.mlp_dims[0] + _dense(config.mlp_dims)
    return _FORWARD_AND_BACKWARD * _MULTIPLY_AND_ADD * (attention + mlp)


def _dense(dims: Sequence[int]) -> int:
    """Multiplications behind the first layer: between hidden layers, and to the one output."""
    return sum(a * b for a, b in zip(dims, [*dims[1:], 1], strict=True))
