"""Adam in two halves: dense weights, and the rows of embedding tables that a batch touches.

A dense optimizer would read and write a table of millions of rows in every step for the few
thousand that have a gradient; :class:`RowAdam` costs what the batch costs. Shapes: V rows of a
table, U distinct rows touched in a step, D embedding width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor, nn

BETA_1, BETA_2 = 0.9, 0.999
EPS = 1e-8

#: Rows caught up at a time where a whole table is: bounds the working memory.
_CHUNK_ROWS = 1 << 18

#: Longest gap, in steps, over which the shrinking of the second moment is followed. After it a row
#: has long arrived wherever its decay takes it.
_LONGEST_GAP = 2_000

#: Gradient of a penalty: name of the table, rows ``[U]``, their weights ``[U, D]`` to ``[U, D]``.
RowPenalty: TypeAlias = Callable[[str, Tensor, Tensor], Tensor]
#: Told before rows change: name of the table, rows ``[U]``, their weights until now ``[U, D]``.
RowObserver: TypeAlias = Callable[[str, Tensor, Tensor], None]


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
        parameters,
        lr=learning_rate,
        betas=(BETA_1, BETA_2),
        eps=EPS,
        weight_decay=weight_decay,
        fused=True,
    )


class RowAdam:
    """Dense Adam's path for embedding rows, without visiting those that no batch touches.

    In dense Adam a row without a gradient does not stand still: its momentum carries it on, its
    moments fade, and coupled L2 pulls it to zero. All of it matters. On a real log, lazy Adam in
    its usual form (an untouched row waits) stayed 0.015 AUC below. So a row is left alone
    while it is untouched, and when it is needed again, *before* it is looked up, the *n* steps that
    it missed are made up for in closed form::

        coasting   w -= lr * m / sqrt(v) * sum of beta1^i / sqrt(beta2^i)
        decay      w *= exp(-lr * l2 / sqrt(v) * sum of (1 - beta1^i) / sqrt(beta2^i))
        moments    m, v fade by beta1^n, beta2^n and take in the decay's own gradient, l2 * w

    with sums over the missed steps *i* = 1 … n, bias corrections included, and no decay faster than
    the step size. Rows that every step touches never miss one: for them this *is*
    ``torch.optim.Adam``, which a test holds it to; for the others a test bounds the distance.

    Args:
        tables: Embedding tables with sparse gradients, by name.
        learning_rate: Step size.
        l2: Coupled L2 of every row, in every step.
        penalty: Adds to the gradient of touched rows only; ``None`` adds nothing.
        before_update: Called before rows change.

    Attributes:
        state: By table: ``exp_avg`` and ``exp_avg_sq`` ``[V, D]``, ``last_step`` int32 ``[V]``.
        n_steps: Steps made.
        learning_rate: May be changed between steps, as may ``penalty``.
    """

    def __init__(
        self,
        tables: Mapping[str, nn.Embedding],
        learning_rate: float,
        l2: float = 0.0,
        penalty: RowPenalty | None = None,
        before_update: RowObserver | None = None,
    ) -> None:
        self.tables = dict(tables)
        self.learning_rate = learning_rate
        self.penalty = penalty
        self.n_steps = 0
        self._l2 = l2
        self._before_update = before_update
        self.state = {
            name: {
                "exp_avg": torch.zeros_like(table.weight, requires_grad=False),
                "exp_avg_sq": torch.zeros_like(table.weight, requires_grad=False),
                "last_step": torch.zeros(
                    table.num_embeddings, dtype=torch.int32, device=table.weight.device
                ),
            }
            for name, table in self.tables.items()
        }

    @torch.no_grad()
    def catch_up(self, name: str, rows: Tensor) -> None:
        """Bring rows to the present step, before they are looked up.

        Args:
            name: Name of the table.
            rows: Distinct rows, int64 ``[U]``.
        """
        state = self.state[name]
        missed = self.n_steps - state["last_step"][rows]
        behind = missed > 0
        rows, missed = rows[behind], missed[behind].unsqueeze(1)
        if len(rows):
            self._catch_up(name, rows, missed.to(state["exp_avg"].dtype))

    def catch_up_all(self) -> None:
        """Bring every row to the present step, before the tables are read as a whole."""
        for name, table in self.tables.items():
            rows = torch.arange(table.num_embeddings, device=table.weight.device)
            for part in rows.split(_CHUNK_ROWS):
                self.catch_up(name, part)

    @torch.no_grad()
    def step(self) -> None:
        """Update every row that has a gradient, and drop the gradients."""
        gradients = {name: table.weight.grad for name, table in self.tables.items()}
        for name, gradient in gradients.items():
            self.tables[name].weight.grad = None
            if gradient is not None:
                # Rows that another process looked up have not been caught up in this one.
                gradients[name] = gradient = gradient.coalesce()
                self.catch_up(name, gradient.indices()[0])
        self.n_steps += 1
        for name, gradient in gradients.items():
            if gradient is not None:
                self._update(name, gradient.indices()[0], gradient.values())

    def _update(self, name: str, rows: Tensor, gradient: Tensor) -> None:
        weight, state = self.tables[name].weight, self.state[name]
        w = weight[rows]
        if self._before_update is not None:
            self._before_update(name, rows, w)
        if self._l2:
            gradient = gradient.add(w, alpha=self._l2)
        if self.penalty is not None:
            gradient = gradient + self.penalty(name, rows, w)
        m = state["exp_avg"][rows].lerp_(gradient, 1 - BETA_1)
        v = state["exp_avg_sq"][rows].mul_(BETA_2).addcmul_(gradient, gradient, value=1 - BETA_2)
        step_size, root_correction = self._corrections()
        weight[rows] = w.addcdiv_(m, v.sqrt().div_(root_correction).add_(EPS), value=-step_size)
        state["exp_avg"][rows], state["exp_avg_sq"][rows] = m, v
        state["last_step"][rows] = self.n_steps

    def _catch_up(self, name: str, rows: Tensor, missed: Tensor) -> None:
        """Make up for ``missed`` ``[U, 1]`` steps of rows, as the class says."""
        weight, state = self.tables[name].weight, self.state[name]
        w, m, v = weight[rows], state["exp_avg"][rows], state["exp_avg_sq"][rows]
        if self._before_update is not None:
            self._before_update(name, rows, w)
        since = self.n_steps - missed
        root = v.sqrt().add_(EPS)
        steps = _coasting_steps(since, missed)
        moved = w - self.learning_rate * steps / (1 - BETA_1 ** (since + 1)) * m / root
        if self._l2:
            # The pull builds up in the momentum as the old momentum fades; no step is longer than
            # the learning rate.
            pulled = (_plain_steps(since, missed) - steps).clamp(min=0)
            decay = self.learning_rate * self._l2 * pulled / root
            kept = w.abs() * torch.exp(-decay)
            kept = torch.maximum(kept, w.abs() - self.learning_rate * missed)
            moved = moved + torch.sign(w) * kept - w
        pull = self._l2 * moved
        fade_m, fade_v = BETA_1**missed, BETA_2**missed
        weight[rows] = moved
        state["exp_avg"][rows] = m * fade_m + (1 - fade_m) * pull
        state["exp_avg_sq"][rows] = v * fade_v + (1 - fade_v) * pull.square()
        state["last_step"][rows] = self.n_steps

    def _corrections(self) -> tuple[float, float]:
        """Step size over the first moment's correction, and root of the second's."""
        n = max(self.n_steps, 1)
        return self.learning_rate / (1 - BETA_1**n), math.sqrt(1 - BETA_2**n)


def _coasting_steps(since: Tensor, missed: Tensor) -> Tensor:
    """Sum of ``beta1^i * sqrt((1 - beta2^(since + i)) / beta2^i)`` over i = 1 … missed.

    The bias correction is taken at the middle of where the geometric sum has its weight.
    """
    ratio = BETA_1 / math.sqrt(BETA_2)
    middle = since + ((missed + 1) / 2).clamp(max=1 / (1 - ratio))
    return ratio * (1 - ratio**missed) / (1 - ratio) * torch.sqrt(1 - BETA_2**middle)


def _plain_steps(since: Tensor, missed: Tensor) -> Tensor:
    """Sum of ``sqrt((1 - beta2^(since + i)) / beta2^i)`` over i = 1 … missed.

    How much longer the missed steps are because the second moment shrinks on the way. Computed as
    the integral from 1/2 to missed + 1/2; with ``x = beta2^-i`` and ``a = beta2^since`` it is that
    of ``sqrt(x - a) / x``.
    """
    log = -math.log(BETA_2)
    a = torch.exp(-log * since)
    first, last = torch.full_like(missed, 0.5), missed.clamp(max=_LONGEST_GAP) + 0.5
    root_first = torch.sqrt(torch.exp(log * first) - a)
    root_last = torch.sqrt(torch.exp(log * last) - a)
    arcs = torch.atan(root_last / a.sqrt()) - torch.atan(root_first / a.sqrt())
    return 2 / log * (root_last - root_first - a.sqrt() * arcs)
