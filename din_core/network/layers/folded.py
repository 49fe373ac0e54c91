"""Hidden layers for inference: what surrounds an activation, folded into the weights beside it.

In evaluation Dice is fixed: with ``u = (s - mean) / std`` it is ``s * (alpha + (1 - alpha) *
sigmoid(u))``. A layer whose weights are divided by std gives *u* at once, and the layer after it
takes what is constant in the product. Two passes over the activations remain beside the sigmoid,
where the formula has five. Shapes: N rows, H channels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from din_core.network.layers.dice import Dice

#: Where 1 - alpha is nearer to 0, this stands for it: beyond what float32 tells from alpha = 1.
_LEAST_GATE = 1e-7


class DiceConstants(NamedTuple):
    """Dice of *s* is ``after * (u + offset) * (sigmoid(u) + slope)``, ``u = before * s - offset``.

    Attributes:
        before: Factor of the pre-activations ``[H]``.
        offset: ``before * mean``, ``[H]``.
        slope: ``alpha / (1 - alpha)``, ``[H]``.
        after: Factor of the activations ``[H]``, for the next layer.
    """

    before: Tensor
    offset: Tensor
    slope: Tensor
    after: Tensor


class Gate(NamedTuple):
    """An activation between two layers, of which each has taken its share.

    Attributes:
        activation: What it is.
        dice: Its constants where it is Dice.
    """

    activation: nn.Module
    dice: DiceConstants | None = None

    def layer_before(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Weight ``[H, ...]`` and bias ``[H]`` of a layer that gives *u* where it gave *s*."""
        if self.dice is None:
            return weight, bias
        before = self.dice.before
        return weight * before.unsqueeze(1), bias * before - self.dice.offset

    def layer_after(self, weight: Tensor) -> Tensor:
        """Weight ``[..., H]`` of a layer that takes what the gate gives."""
        return weight if self.dice is None else weight * self.dice.after

    def of_first(self, u: Tensor, n_channels: int, n_times: int) -> Tensor:
        """Activate a first layer, and part its rows, ``[B * n_times, H]``.

        Args:
            u: What :meth:`layer_before` lets it give, ``[B, n_times * H]``.
            n_channels: H.
            n_times: How many times the channels lie side by side in a row.
        """
        if self.dice is not None:
            u = u.view(-1, n_channels)
            return (u + self.dice.offset) * (torch.sigmoid(u) + self.dice.slope)
        # Before the rows are parted: onnxruntime fuses what directly follows a product.
        if isinstance(self.activation, nn.PReLU):
            activated = nn.functional.prelu(u, self.activation.weight.repeat(n_times))
        else:
            activated = self.activation(u)
        return activated.view(-1, n_channels)

    def of_layer(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Activate what a layer gives that :meth:`layer_before` has made, ``[N, H]``."""
        u = nn.functional.linear(x, weight, bias)
        if self.dice is None:
            return self.activation(u)
        return (u + self.dice.offset) * (torch.sigmoid(u) + self.dice.slope)

    def weighed(self, x: Tensor, weight: Tensor, bias: Tensor, output: nn.Linear) -> Tensor:
        """Add up with an output layer what :meth:`of_layer` gives, ``[1, N]``.

        Of ``(u + offset) * (sigmoid(u) + slope)`` only ``u * sigmoid(u)`` is a pass of its own:
        the other three products are weighed each by itself.
        """
        to_one = self.layer_after(output.weight)
        if self.dice is None:
            return one_number(self.of_layer(x, weight, bias), to_one, output.bias)
        offset, slope = self.dice.offset, self.dice.slope
        u = nn.functional.linear(x, weight, bias)
        p = torch.sigmoid(u)
        constant = output.bias + (to_one * slope * offset).sum()
        linear = one_number(u, to_one * slope, constant)
        return one_number(u * p, to_one, one_number(p, to_one * offset, linear))


def gate_of(activation: nn.Module) -> Gate:
    """The gate that an activation is in evaluation."""
    if not isinstance(activation, Dice):
        return Gate(activation)
    variance = activation.running_var + activation.eps
    inverse_std = torch.rsqrt(variance)
    one_less_alpha = 1 - activation.alpha
    # Without this a division by 0; with it an error of a rounding.
    one_less_alpha = torch.where(one_less_alpha.abs() < _LEAST_GATE, _LEAST_GATE, one_less_alpha)
    constants = DiceConstants(
        before=inverse_std,
        offset=inverse_std * activation.running_mean,
        slope=activation.alpha / one_less_alpha,
        after=one_less_alpha * torch.sqrt(variance),
    )
    return Gate(activation, constants)


def one_number(x: Tensor, weight: Tensor, start: Tensor) -> Tensor:
    """Multiply rows by a row, ``[1, N]``.

    Args:
        x: ``[N, H]``.
        weight: ``[1, H]``.
        start: What the products are added to, ``[1]`` or ``[1, N]``.
    """
    # The row comes first: runtimes pad a right matrix of one column to sixteen.
    return torch.addmm(start, weight, x.t())
