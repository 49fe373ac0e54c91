"""Adam in two halves: dense weights, and the rows of embedding tables that a batch touched.

A dense optimizer would read and write a table of millions of rows in every step for the few
thousand that have a gradient; :class:`RowAdam` costs what the batch costs. Shapes: V rows of a
table, U distinct rows touched in a step, D embedding width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor, nn

BETAS = (0.9, 0.999)
EPS = 1e-8

#: Gradient of a penalty: name of the table, rows ``[U]``, their weights ``[U, D]`` to ``[U, D]``.
RowPenalty: TypeAlias = Callable[[str, Tensor, Tensor], Tensor]
#: Told of every update: name of the table, rows ``[U]``, weights before and after ``[U, D]``.
RowObserver: TypeAlias = Callable[[str, Tensor, Tensor, Tensor], None]


def dense_adam(
    parameters: Iterable[nn.Parameter], learning_rate: float, weight_decay: float
) -> torch.optim.Adam:
    """Adam for everything that is no embedding table.

    Args:
        parameters: Dense weights.
        learning_rate: Step size.
        weight_decay: Coupled L2, added to the gradient before the moments (``torch.optim.Adam``,
            and so the tutorial), not AdamW's.
    """
    return torch.optim.Adam(
        parameters, lr=learning_rate, betas=BETAS, eps=EPS, weight_decay=weight_decay, fused=True
    )


class RowAdam:
    """Lazy Adam: only rows with a gradient move, and only their moments decay.

    For each touched row *w* with gradient *g* (the sum over its occurrences in the batch, plus the
    penalty's)::

        n += 1                                  updates of this row
        m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
        w -= lr * m / (1 - beta1^n) / (sqrt(v / (1 - beta2^n)) + eps)

    Bias is corrected with the row's *own* number of updates: after the first gradient of a rare
    row its moments hold 1 - beta of it, however late that comes. With the global step instead, the
    first update of a late row would be (1 - beta1) / sqrt(1 - beta2), about three times the step
    size. On rows that every step touches this is dense Adam, which a test holds it to.

    Args:
        tables: Embedding tables with sparse gradients, by name.
        learning_rate: Step size.
        penalty: Adds to the gradient of touched rows; ``None`` adds nothing.
        on_update: Called with every update.

    Attributes:
        state: By table: ``exp_avg`` and ``exp_avg_sq`` ``[V, D]``, ``n_updates`` int32 ``[V]``.
        learning_rate: May be changed between steps, as may ``penalty``.
    """

    def __init__(
        self,
        tables: Mapping[str, nn.Embedding],
        learning_rate: float,
        penalty: RowPenalty | None = None,
        on_update: RowObserver | None = None,
    ) -> None:
        self.tables = dict(tables)
        self.learning_rate = learning_rate
        self.penalty = penalty
        self._on_update = on_update
        self.state = {
            name: {
                "exp_avg": torch.zeros_like(table.weight, requires_grad=False),
                "exp_avg_sq": torch.zeros_like(table.weight, requires_grad=False),
                "n_updates": torch.zeros(
                    table.num_embeddings, dtype=torch.int32, device=table.weight.device
                ),
            }
            for name, table in self.tables.items()
        }

    @torch.no_grad()
    def step(self) -> None:
        """Update every row that has a gradient, and drop the gradients."""
        for name, table in self.tables.items():
            gradient = table.weight.grad
            table.weight.grad = None
            if gradient is None:
                continue
            gradient = gradient.coalesce()
            self._update(name, gradient.indices()[0], gradient.values())

    def _update(self, name: str, rows: Tensor, gradient: Tensor) -> None:
        weight, state = self.tables[name].weight, self.state[name]
        before = weight[rows]
        if self.penalty is not None:
            gradient = gradient + self.penalty(name, rows, before)
        n_updates = state["n_updates"][rows] + 1
        exp_avg = state["exp_avg"][rows].lerp_(gradient, 1 - BETAS[0])
        exp_avg_sq = state["exp_avg_sq"][rows].mul_(BETAS[1])
        exp_avg_sq.addcmul_(gradient, gradient, value=1 - BETAS[1])
        state["n_updates"][rows] = n_updates
        state["exp_avg"][rows] = exp_avg
        state["exp_avg_sq"][rows] = exp_avg_sq

        # In double precision: 1 - 0.999^n loses half its digits in float32 for small n.
        n = n_updates.double().unsqueeze(1)
        step_size = (self.learning_rate / (1 - BETAS[0] ** n)).to(before.dtype)
        root_correction = (1 - BETAS[1] ** n).sqrt().to(before.dtype)
        after = before - step_size * exp_avg / (exp_avg_sq.sqrt() / root_correction + EPS)
        weight[rows] = after
        if self._on_update is not None:
            self._on_update(name, rows, before, after)
