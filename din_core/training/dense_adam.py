"""Adam on dense weights: all that is in no embedding table.

The rows of tables are :mod:`din_core.training.row_adam`'s, which goes by the same constants.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

BETA_1, BETA_2 = 0.9, 0.999
EPS = 1e-8


class DenseAdam:
    """Adam for everything that is not an embedding table: ``torch.optim.Adam``, bit for bit.

    Only the update itself is torch's. Making an object of ``torch.optim`` imports its compiler,
    which takes longer than a small log takes to train.

    Args:
        parameters: Dense weights.
        learning_rate: Step size.
        weight_decay: Coupled L2, added to the gradient before the moments (``torch.optim.Adam``,
            and so the tutorial), not AdamW's.

    Attributes:
        param_groups: One, as in ``torch.optim``; its ``lr`` may be changed between steps.
        state: By weight that has had a gradient: ``step`` (float32, on the weight's device),
            ``exp_avg`` and ``exp_avg_sq``.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], learning_rate: float, weight_decay: float
    ) -> None:
        self._parameters = list(parameters)
        self._weight_decay = weight_decay
        self.param_groups = [{"lr": learning_rate}]
        self.state: dict[nn.Parameter, dict[str, Tensor]] = defaultdict(dict)

    @torch.no_grad()
    def step(self) -> None:
        """Move the weights that have a gradient."""
        moved = [each for each in self._parameters if each.grad is not None]
        if not moved:
            return
        states = [self.state[each] or self._begin(each) for each in moved]
        steps = [state["step"] for state in states]
        torch.ops.aten._foreach_add_.Scalar(steps, 1)
        torch.ops.aten._fused_adam_.default(
            moved,
            [cast("Tensor", each.grad) for each in moved],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            steps,
            lr=self.param_groups[0]["lr"],
            beta1=BETA_1,
            beta2=BETA_2,
            weight_decay=self._weight_decay,
            eps=EPS,
            amsgrad=False,
            maximize=False,
        )

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or fill them with zeros."""
        for each in self._parameters:
            if set_to_none:
                each.grad = None
            elif each.grad is not None:
                each.grad.zero_()

    def _begin(self, weight: nn.Parameter) -> dict[str, Tensor]:
        self.state[weight] = {
            "step": torch.zeros((), dtype=torch.float32, device=weight.device),
            "exp_avg": torch.zeros_like(weight, memory_format=torch.preserve_format),
            "exp_avg_sq": torch.zeros_like(weight, memory_format=torch.preserve_format),
        }
        return self.state[weight]


def dense_adam(
    parameters: Iterable[nn.Parameter], learning_rate: float, weight_decay: float
) -> DenseAdam:
    """Make the optimizer of the dense weights; see :class:`DenseAdam`."""
    return DenseAdam(parameters, learning_rate, weight_decay)
