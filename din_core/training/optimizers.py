"""Adam in two halves: dense weights, and the rows of embedding tables that a batch looks up.

A dense optimizer would read and write a table of millions of rows in every step for the few
thousand that have a gradient; :class:`RowAdam` costs what the batch costs. Shapes: V rows of a
table, U rows at hand for a step, D embedding width.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn

from din_core.network.hardware import empty_table
from din_core.network.kernels.rows import AdamConstants, Progress, RowKernel
from din_core.training.lanes import Lanes

BETA_1, BETA_2 = 0.9, 0.999
EPS = 1e-8

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


@dataclass(frozen=True)
class _Rows:
    """Rows of a table at hand: ``[U]``, ``[U, D]``, ``[U, 2, D]``, and the gradient ``[U, D]``."""

    index: Tensor
    weight: Tensor
    moments: Tensor
    gradient: Tensor | None = None

    def share(self, part: slice) -> _Rows:
        """Some of the rows, in the same memory."""
        gradient = None if self.gradient is None else self.gradient[part]
        return _Rows(self.index[part], self.weight[part], self.moments[part], gradient)


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
    def take(self, name: str, index: Tensor) -> Tensor:
        """Have rows at hand for the step that follows, brought to the present.

        Args:
            name: Name of the table.
            index: Its rows, int64 ``[U]``; each once, but for the padding row.

        Returns:
            Their weights ``[U, D]``: a leaf, whose gradient :meth:`step` goes by. The table itself
            changes in that step only.
        """
        weight, state = self.tables[name].weight, self.state[name]
        rows = _Rows(
            index,
            weight.new_empty(len(index), *weight.shape[1:]),
            weight.new_empty(len(index), *state["moments"].shape[1:]),
        )

        def bring(here: _Rows) -> None:
            # index_select reads whole rows; `[index]` is several times as slow on a CPU.
            torch.index_select(weight, 0, here.index, out=here.weight)
            torch.index_select(state["moments"], 0, here.index, out=here.moments)
            if self._before_update is not None:
                self._before_update(name, here.index, here.weight)
            if self._kernel is not None:
                self._kernel.advance(
                    here.index,
                    here.weight,
                    here.moments,
                    state["last_step"],
                    self._progress(),
                    _CONSTANTS,
                )
                return
            missed = self.n_steps - state["last_step"].index_select(0, here.index)
            self._advance(here, missed.unsqueeze(1).to(here.weight.dtype))

        self._share(rows, bring)
        self._gathered[name] = rows
        return rows.weight.requires_grad_()

    @torch.no_grad()
    def step(self) -> None:
        """Update the rows at hand that have a gradient, and let go of all."""
        self.n_steps += 1
        for name, rows in self._gathered.items():
            if rows.weight.grad is not None:
                with_gradient = replace(
                    rows, weight=rows.weight.detach(), gradient=rows.weight.grad
                )
                self._share(with_gradient, partial(self._update, name))
                self._clear_padding(name)
        self._gathered.clear()

    @torch.no_grad()
    def catch_up_all(self) -> None:
        """Bring every row to the present step, before the tables are read as a whole."""
        for name, table in self.tables.items():
            index = torch.arange(table.num_embeddings, device=table.weight.device)
            for part in index.split(_CHUNK_ROWS):
                self.take(name, part)
                self._share(self._gathered.pop(name), partial(self._write, name))
            self._clear_padding(name)

    def _share(self, rows: _Rows, work: Callable[[_Rows], None]) -> None:
        """Do the work on all rows, those of each lane by itself."""
        n_rows = len(rows.index)
        number = max(1, min(self._lanes.number, n_rows // _LEAST_ROWS))
        cuts = [n_rows * lane // number for lane in range(number + 1)]

        def of_lane(part: slice) -> None:
            with torch.no_grad():  # which holds for a thread
                work(rows.share(part))

        self._lanes.map(of_lane, [slice(*ends) for ends in pairwise(cuts)])

    def _update(self, name: str, rows: _Rows) -> None:
        """Adam's step for rows at hand."""
        w, (m, v), gradient = rows.weight, rows.moments.unbind(1), rows.gradient
        assert gradient is not None
        if self.penalty is not None:
            gradient = gradient + self.penalty(name, rows.index, w)
        if self._kernel is not None:
            state = self.state[name]
            table = (self.tables[name].weight, state["moments"], state["last_step"])
            self._kernel.update(
                rows.index, w, rows.moments, gradient, table, self._progress(), _CONSTANTS
            )
            return
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
