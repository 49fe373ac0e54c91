"""Hidden layers for inference: what surrounds an activation, folded into the weights beside it.

In evaluation Dice is fixed: with ``u = (s - mean) / std`` it is ``s * (alpha + (1 - alpha) *
sigmoid(u))``. A layer whose weights are divided by std gives *u* at once, and the layer after it
takes what is constant in the product. Two passes over the activations remain beside the sigmoid,
where the formula has five. Shapes: N rows, H channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from din_core.network.layers.dice import Dice

if TYPE_CHECKING:
    from din_core.network.layers.mlp import MLP

#: Where 1 - alpha is nearer to 0, this stands for it: beyond what float32 tells from alpha = 1.
_LEAST_GATE = 1e-7


class Gate(NamedTuple):
    """An activation between two layers: ``after * by_formula(before * s + shift)`` is it of *s*.

    Attributes:
        before: Factor of the pre-activations ``[H]``; ``None`` for 1.
        shift: Added to them ``[H]``; ``None`` for 0.
        after: Factor of the activations ``[H]``, for the next layer; ``None`` for 1.
        offset: For Dice, ``before * mean``, ``[H]``.
        slope: For Dice, ``alpha / (1 - alpha)``, ``[H]``.
        activation: What is computed where it is not Dice.
    """

    before: Tensor | None = None
    shift: Tensor | None = None
    after: Tensor | None = None
    offset: Tensor | None = None
    slope: Tensor | None = None
    activation: nn.Module | None = None

    def __call__(self, u: Tensor, n_times: int = 1) -> Tensor:
        """Activate pre-activations that ``before`` and ``shift`` are part of.

        Args:
            u: ``[N, n_times * H]``.
            n_times: How many times the channels lie side by side in a row.
        """
        if self.offset is not None and self.slope is not None:
            offset, slope = self.offset, self.slope
            if n_times != 1:
                offset, slope = offset.repeat(n_times), slope.repeat(n_times)
            return (u + offset) * (torch.sigmoid(u) + slope)
        assert self.activation is not None
        if isinstance(self.activation, nn.PReLU):
            return nn.functional.prelu(u, self.activation.weight.repeat(n_times))
        return self.activation(u)


def gate_of(activation: nn.Module) -> Gate:
    """The gate that an activation is in evaluation."""
    if not isinstance(activation, Dice):
        return Gate(activation=activation)
    variance = activation.running_var + activation.eps
    inverse_std = torch.rsqrt(variance)
    offset = inverse_std * activation.running_mean
    one_less_alpha = 1 - activation.alpha
    # Without this a division by 0; with it an error of a rounding.
    one_less_alpha = torch.where(one_less_alpha.abs() < _LEAST_GATE, _LEAST_GATE, one_less_alpha)
    return Gate(
        before=inverse_std,
        shift=-offset,
        after=one_less_alpha * torch.sqrt(variance),
        offset=offset,
        slope=activation.alpha / one_less_alpha,
    )


def from_first_layer(mlp: MLP, first: Gate, u: Tensor, n_times: int) -> Tensor:
    """:meth:`MLP.from_first_layer` with gates in place of activations; evaluation only.

    Args:
        mlp: The layers.
        first: Gate of the first activation.
        u: ``first.before * s + first.shift`` of its pre-activations *s*, ``[B, n_times * H]``.
        n_times: How many times the H channels of the first layer lie side by side in a row.

    Returns:
        ``[B, n_times]``.
    """
    gate = first
    # Before the rows are parted: onnxruntime fuses what directly follows a product.
    x = gate(u, n_times).view(-1, mlp.first_layer.out_features)
    for layer, activation in zip(mlp.layers[1:], mlp.activations[1:], strict=True):
        assert isinstance(layer, nn.Linear)
        weight, bias = _after(gate, layer.weight), layer.bias
        gate = gate_of(activation)
        if gate.before is not None and gate.shift is not None:
            weight, bias = weight * gate.before.unsqueeze(1), bias * gate.before + gate.shift
        x = gate(nn.functional.linear(x, weight, bias))
    return nn.functional.linear(x, _after(gate, mlp.output.weight), mlp.output.bias).view(
        u.shape[0], n_times
    )


def _after(gate: Gate, weight: Tensor) -> Tensor:
    return weight if gate.after is None else weight * gate.after
