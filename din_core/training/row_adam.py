"""Adam on the rows of embedding tables that a batch looks up.

A dense optimizer would read and write a table of millions of rows in every step for the few
thousand that have a gradient; :class:`RowAdam` costs what the batch costs. Shapes: V rows of a
table, U rows at hand for a step, D embedding width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TypeAlias

import torch
from torch import Tensor, nn

from din_core.network.hardware import empty_table
from din_core.network.kernels.rows import AdamConstants, Progress, RowKernel
from din_core.training.dense_adam import BETA_1, BETA_2, EPS
from din_core.training.lanes import Lanes, added_up

#: Rows of a lane from which it saves more than it costs.
_LEAST_ROWS = 512

#: Rows caught up at a time where a whole table is: bounds the working memory.
_CHUNK_ROWS = 1 << 18

#: Longest gap, in steps, over which the shrinking of the second moment is followed. After it a row
#: has long arrived wherever its decay takes it.
_LONGEST_GAP = 2_000

_CONSTANTS = AdamConstants(beta_1=BETA_1, beta_2=BETA_2, eps=EPS, longest_gap=_LONGEST_GAP)

#: Gradient of a penalty: name of the table, rows ``[U]``, their weights ``[U, D]`` to ``[U, D]``.
RowPenalty: TypeAlias = Callable[[str, Tensor, Tensor], Tensor]
#: Told before rows change: name of the table, rows ``[U]``, their weights until now ``[U, D]``.
RowObserver: TypeAlias = Callable[[str, Tensor, Tensor], None]


@dataclass(frozen=True)
class _Rows:
    """Rows of a table at hand: ``[U]``, ``[U, D]``, ``[U, 2, D]``; their gradient in ``[U, D]``."""

    index: Tensor
    weight: Tensor
    moments: Tensor
    gradients: Sequence[Tensor] = ()

    def share(self, part: slice) -> _Rows:
        """Some of the rows, in the same memory."""
        return _Rows(
            self.index[part],
            self.weight[part],
            self.moments[part],
            [each[part] for each in self.gradients],
        )


class RowAdam:
    """Dense Adam's path for embedding rows, without visiting those that no batch gathers.

    In dense Adam a row without a gradient does not stand still: its momentum carries it on, its
    moments fade, and coupled L2 pulls it to zero. All of it matters. On a real log, lazy Adam in
    its usual form (an idle row waits) stayed 0.015 AUC below. So a row is left alone
    while it is idle, and when it is needed again, *before* it is looked up, the *n* steps that
    it missed are made up for in closed form (for *n* = 0 that is no change at all)::

        coasting   w -= lr * m / sqrt(v) * sum of beta1^i / sqrt(beta2^i)
        decay      w *= exp(-lr * l2 / sqrt(v) * sum of (1 - beta1^i) / sqrt(beta2^i))
        moments    m, v fade by beta1^n, beta2^n and take in the decay's own gradient, l2 * w

    with sums over the missed steps *i* = 1 … n, bias corrections included, and no decay faster than
    the step size. Rows that every step gathers never miss one: for them this *is*
    ``torch.optim.Adam``, which a test holds it to; for the others a test bounds the distance.

    A step is: :meth:`take` the rows, compute a loss from what it returns, ``backward()``, and
    :meth:`step`. Nothing in it makes the host wait for a device.

    Args:
        tables: Embedding tables by name. A padding row is zero, and remains so whatever its
            gradient.
        learning_rate: Step size.
        l2: Coupled L2 of every row, in every step.
        penalty: Adds to the gradient of gathered rows only; ``None`` adds nothing.
        before_update: Called when rows are taken, before they change; for some of them at a time.
        lanes: Threads that share the rows of a step; by default the caller's own.
        kernel: Does the same to tables on the CPU, in one operation instead of dozens.

    Attributes:
        state: By table: ``moments`` ``[V, 2, D]`` (first and second side by side, which is
            one random read less), ``last_step`` int32 ``[V]``.
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
        lanes: Lanes | None = None,
        kernel: RowKernel | None = None,
    ) -> None:
        self._lanes = lanes or Lanes(1)
        self._kernel = kernel
        self.tables = dict(tables)
        self.learning_rate = learning_rate
        self.penalty = penalty
        self.n_steps = 0
        self._l2 = l2
        self._before_update = before_update
        self._gathered: dict[str, _Rows] = {}
        self.state = {
            name: {
                "moments": empty_table(
                    table.num_embeddings, 2, table.embedding_dim, device=table.weight.device
                ).zero_(),
                "last_step": empty_table(
                    table.num_embeddings, dtype=torch.int32, device=table.weight.device
                ).zero_(),
            }
            for name, table in self.tables.items()
        }

    @torch.no_grad()
    def take(self, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Have rows at hand for the step that follows, brought to the present.

        Args:
            rows: By table, int64 ``[U]``; each row once, but for the padding row.

        Returns:
            By table, their weights ``[U, D]``: leaves, whose gradients :meth:`step` goes by. The
            tables themselves change in that step only.
        """
        taken = {name: self._room_for(name, index) for name, index in rows.items()}
        self._share(taken, self._bring)
        self._gathered |= taken
        return {name: each.weight.requires_grad_() for name, each in taken.items()}

    @torch.no_grad()
    def step(
        self,
        gradients: Mapping[str, Sequence[Tensor]] | None = None,
        beside: Callable[[], None] | None = None,
    ) -> None:
        """Update the rows at hand that have a gradient, and let go of all.

        Args:
            gradients: By table, what adds up, in this order, to the gradient of its rows at hand,
                ``[U, D]`` each; by default what ``backward()`` has left on them.
            beside: Other work for the lanes, which touches no rows.
        """
        self.n_steps += 1
        if gradients is None:
            left = {name: rows.weight.grad for name, rows in self._gathered.items()}
            gradients = {name: [each] for name, each in left.items() if each is not None}
        moved = {
            name: _Rows(rows.index, rows.weight.detach(), rows.moments, gradients[name])
            for name, rows in self._gathered.items()
            if gradients.get(name)
        }
        self._share(moved, self._update, beside)
        for name in moved:
            self._clear_padding(name)
        self._gathered.clear()

    @torch.no_grad()
    def catch_up_all(self) -> None:
        """Bring every row to the present step, before the tables are read as a whole."""
        for name, table in self.tables.items():
            index = torch.arange(table.num_embeddings, device=table.weight.device)
            for part in index.split(_CHUNK_ROWS):
                rows = {name: self._room_for(name, part)}
                self._share(rows, self._bring)
                self._share(rows, self._write)
            self._clear_padding(name)

    def _room_for(self, name: str, index: Tensor) -> _Rows:
        weight, moments = self.tables[name].weight, self.state[name]["moments"]
        return _Rows(
            index,
            weight.new_empty(len(index), *weight.shape[1:]),
            weight.new_empty(len(index), *moments.shape[1:]),
        )

    def _share(
        self,
        rows: Mapping[str, _Rows],
        work: Callable[[str, _Rows], None],
        beside: Callable[[], None] | None = None,
    ) -> None:
        """Do the work on all rows of some tables, in parts that lanes take as they come."""
        tasks = [] if beside is None else [beside]
        for name, each in rows.items():
            n_rows = len(each.index)
            number = max(1, min(self._lanes.number, n_rows // _LEAST_ROWS))
            cuts = [n_rows * part // number for part in range(number + 1)]
            tasks += [partial(work, name, each.share(slice(*ends))) for ends in pairwise(cuts)]

        def do(task: Callable[[], None]) -> None:
            with torch.no_grad():  # which holds for a thread
                task()

        self._lanes.map(do, tasks)

    def _bring(self, name: str, rows: _Rows) -> None:
        """Read rows, and bring them to the present."""
        weight, state = self.tables[name].weight, self.state[name]
        # index_select reads whole rows; `[index]` is several times as slow on a CPU.
        torch.index_select(weight, 0, rows.index, out=rows.weight)
        torch.index_select(state["moments"], 0, rows.index, out=rows.moments)
        if self._before_update is not None:
            self._before_update(name, rows.index, rows.weight)
        if self._kernel is not None:
            self._kernel.advance(
                rows.index,
                rows.weight,
                rows.moments,
                state["last_step"],
                self._progress(),
                _CONSTANTS,
            )
            return
        missed = self.n_steps - state["last_step"].index_select(0, rows.index)
        self._advance(rows, missed.unsqueeze(1).to(rows.weight.dtype))

    def _update(self, name: str, rows: _Rows) -> None:
        """Adam's step for rows at hand."""
        w, gradients = rows.weight, rows.gradients
        if self.penalty is not None:
            gradients = [*gradients, self.penalty(name, rows.index, w)]
        if self._kernel is not None:
            state = self.state[name]
            table = (self.tables[name].weight, state["moments"], state["last_step"])
            self._kernel.update(
                rows.index, w, rows.moments, gradients, table, self._progress(), _CONSTANTS
            )
            return
        (m, v), gradient = rows.moments.unbind(1), added_up(gradients)
        if self._l2:
            gradient = gradient.add(w, alpha=self._l2)
        m.lerp_(gradient, 1 - BETA_1)
        v.mul_(BETA_2).addcmul_(gradient, gradient, value=1 - BETA_2)
        step_size, root_correction = self._corrections()
        w.addcdiv_(m, v.sqrt().div_(root_correction).add_(EPS), value=-step_size)
        self._write(name, rows)

    def _advance(self, rows: _Rows, missed: Tensor) -> None:
        """Make up for ``missed`` ``[U, 1]`` steps, as the class says; none leave a row as it is."""
        w, (m, v) = rows.weight, rows.moments.unbind(1)
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
            moved += torch.sign(w) * kept - w
        pull = self._l2 * moved
        fade_m, fade_v = BETA_1**missed, BETA_2**missed
        w.copy_(moved)
        m.mul_(fade_m).add_((1 - fade_m) * pull)
        v.mul_(fade_v).add_((1 - fade_v) * pull.square())

    def _write(self, name: str, rows: _Rows) -> None:
        """Put rows back where they belong, as of the present step."""
        table, state = self.tables[name], self.state[name]
        table.weight.index_copy_(0, rows.index, rows.weight)
        state["moments"].index_copy_(0, rows.index, rows.moments)
        state["last_step"].index_fill_(0, rows.index, self.n_steps)

    def _clear_padding(self, name: str) -> None:
        """Make the padding row zero again."""
        table, state = self.tables[name], self.state[name]
        if table.padding_idx is not None:
            table.weight[table.padding_idx].zero_()
            state["moments"][table.padding_idx].zero_()

    def _progress(self) -> Progress:
        return Progress(self.n_steps, self.learning_rate, self._l2)

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
