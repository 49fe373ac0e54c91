"""The multi-layer perceptron that both the activation unit and the final classifier consist of."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

from din_core.network.layers.dice import activation_layer
from din_core.network.layers.folded import Gate, gate_of, one_number

if TYPE_CHECKING:
    from din_core.network.layers.dice import ActivationName


class MLP(nn.Module):
    """Linear layers, each with its activation and dropout, and a last one to a single number.

    There is no batch normalisation: Dice normalises by itself, and the DIN authors' own was found
    to leak labels.

    Args:
        input_dim: Width of the input.
        dims: Widths of the hidden layers; none gives a linear model.
        activation: Name of the hidden activation, see :func:`activation_layer`.
        dropout: Probability of dropping a hidden unit in training, in [0, 1).

    Attributes:
        layers: The hidden ``nn.Linear`` layers.
        activations: What follows each of them.
        output: ``nn.Linear`` to one number.
        folds: Compute :meth:`forward` with activations folded into the layers beside them; see
            :func:`folded_layers`.

    Raises:
        ValueError: A width below 1, a dropout outside its range, an unknown activation.
    """

    def __init__(
        self,
        input_dim: int,
        dims: Sequence[int] = (),
        activation: ActivationName = "dice",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if min(input_dim, *dims, 1) < 1:
            raise ValueError(f"layer widths must be 1 or more, got {[input_dim, *dims]}")
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"dropout {dropout} is not in [0, 1)")
        widths = [input_dim, *dims]
        self.layers = nn.ModuleList(
            nn.Linear(fan_in, fan_out) for fan_in, fan_out in zip(widths, dims, strict=False)
        )
        self.activations = nn.ModuleList(activation_layer(activation, width) for width in dims)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(widths[-1], 1)
        self.folds = False

    def forward(self, x: Tensor) -> Tensor:
        """Map features to one number a row.

        Args:
            x: ``[N, input_dim]``.

        Returns:
            ``[N]``.
        """
        if not len(self.layers):
            return self.output(x).squeeze(-1)
        if self.folds:
            gate = gate_of(self.activations[0])
            layer = gate.layer_before(self.first_layer.weight, self.first_layer.bias)
            return self.from_folded_layer(gate, nn.functional.linear(x, *layer)).view(-1)
        return self.from_first_layer(self.layers[0](x))

    @property
    def first_weight(self) -> str:
        """Name of the parameter whose columns are the input's."""
        return "layers.0.weight" if len(self.layers) else "output.weight"

    @property
    def first_layer(self) -> nn.Linear:
        """The first hidden layer; an index error where there is none."""
        layer = self.layers[0]
        assert isinstance(layer, nn.Linear)
        return layer

    def from_first_layer(self, s: Tensor) -> Tensor:
        """Go on from the pre-activations of the first hidden layer, however they were computed.

        Args:
            s: ``[N, dims[0]]``.

        Returns:
            ``[N]``.
        """
        for depth, activation in enumerate(self.activations):
            if depth:
                s = self.layers[depth](s)
            s = self.dropout(activation(s))
        return self.output(s).squeeze(-1)

    def from_folded_layer(self, first: Gate, u: Tensor, n_times: int = 1) -> Tensor:
        """The same with gates in place of activations; evaluation only.

        Args:
            first: Gate of the first activation.
            u: What the first layer gives once ``first.layer_before`` has made it,
                ``[N, n_times * H]``.
            n_times: How many times the H channels of the first layer lie side by side in a row.

        Returns:
            ``[1, N * n_times]``.
        """
        x = first.of_first(u, self.first_layer.out_features, n_times)
        gate, *gates = first, *(gate_of(each) for each in self.activations[1:])
        for number, (module, following) in enumerate(zip(self.layers[1:], gates, strict=True)):
            layer = cast("nn.Linear", module)
            weight, bias = following.layer_before(gate.layer_after(layer.weight), layer.bias)
            gate = following
            if number + 1 == len(gates):
                return gate.weighed(x, weight, bias, self.output)
            x = gate.of_layer(x, weight, bias)
        return one_number(x, gate.layer_after(self.output.weight), self.output.bias)


@contextmanager
def folded_layers(model: nn.Module) -> Generator[None]:
    """Let the layers of a model take in their activations for a while: to export it.

    Evaluation only: what is computed is the same within rounding, in fewer passes.
    """
    layers = [module for module in model.modules() if isinstance(module, MLP)]
    for each in layers:
        each.folds = True
    try:
        yield
    finally:
        for each in layers:
            each.folds = False
