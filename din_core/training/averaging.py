"""Exponential moving average of the weights: what is evaluated and kept instead of the last step.

The average of an embedding table is kept lazily: a row that did not move pulls its average towards
itself in closed form, so a step costs what it gathered. Shapes: V rows of a table, U gathered rows.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from din_core.network.hardware import empty_table

if TYPE_CHECKING:
    from din_core.network.kernels import RowKernel


class WeightEMA:
    """``average = d_t * average + (1 - d_t) * weights``, after each step *t* = 1, 2 and so on.

    ``d_t = min(decay, (1 + t) / (10 + t))``: in the first steps the initial weights must not
    outweigh everything learned, least of all in a training run of few steps. Where they come from
    another model they are worth keeping, and ``d_t = decay`` from the first step on: with the
    smaller ones a warm start forgets within an epoch what the average had kept. Rows that the other
    model lacked began at random all the same; of their average the start is taken out,
    ``(average - p * start) / (1 - p)`` with ``p = decay ** t``, as Adam does. Floating-point
    buffers (Dice's running statistics) are averaged with the weights they belong to, other
    buffers copied.

    Over steps *s + 1 … t* in which a row keeps the value *w*, the average goes to
    ``w + (average - w) * d_{s+1} * … * d_t``. So each row remembers the logarithm of the product up
    to its last update, and its average catches up just before it moves next, or when it is read.

    Args:
        model: The model whose weights are averaged.
        tables: Its embedding tables, by name.
        decay: In [0, 1).
        kernel: Does the same to rows on the CPU, in one operation.
        new_rows: Where the weights come from another model, the rows that do not, int64 by table;
            ``None`` where all weights are random.
    """

    def __init__(
        self,
        model: nn.Module,
        tables: dict[str, nn.Embedding],
        decay: float,
        kernel: RowKernel | None = None,
        new_rows: Mapping[str, Tensor] | None = None,
    ) -> None:
        self._kernel = kernel
        self._decay = decay
        self._keeps_start = new_rows is not None
        self._tables = tables
        of_tables = {id(table.weight) for table in tables.values()}
        tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        self._dense = {name: each for name, each in tensors.items() if id(each) not in of_tables}
        self._dense_average = {name: each.detach().clone() for name, each in self._dense.items()}
        self._row_average = {
            name: empty_table(*each.weight.shape, device=each.weight.device).copy_(
                each.weight.detach()
            )
            for name, each in tables.items()
        }
        self._row_log = {
            name: empty_table(
                each.num_embeddings, dtype=torch.float64, device=each.weight.device
            ).zero_()
            for name, each in tables.items()
        }
        self._n_steps = 0
        self._log_product = 0.0
        self._new_rows = {
            name: (rows, tables[name].weight.detach()[rows])
            for name, each in (new_rows or {}).items()
            if len(rows := each.to(tables[name].weight.device))
        }

    @torch.no_grad()
    def before_update(self, table: str, rows: Tensor, weight: Tensor) -> None:
        """Let rows pull their average for the steps so far, before they change.

        Args:
            table: Name of the table.
            rows: Rows, int64 ``[U]``; each once, but for padding.
            weight: Their weights since their last update, ``[U, D]``.
        """
        average, log = self._row_average[table], self._row_log[table]
        if self._kernel is not None:
            self._kernel.catch_up(rows, weight, average, log, self._log_product)
            return
        before, since = average.index_select(0, rows), log.index_select(0, rows)
        average.index_copy_(0, rows, self._caught_up(before, weight, since))
        log.index_fill_(0, rows, self._log_product)

    @torch.no_grad()
    def step(self) -> None:
        """Take in the dense weights after a step."""
        self._n_steps += 1
        d = self._decay
        if not self._keeps_start:
            d = min(d, (1 + self._n_steps) / (10 + self._n_steps))
        self._log_product += math.log(d)
        for name, weight in self._dense.items():
            average = self._dense_average[name]
            if average.is_floating_point():
                average.lerp_(weight.detach(), 1 - d)
            else:
                average.copy_(weight)

    @contextmanager
    def applied(self) -> Generator[None]:
        """Let the model have the averaged weights for a while (without copying any)."""
        self._catch_up()
        with self._without_random_starts():
            self._swap()
            try:
                yield
            finally:
                self._swap()

    def state(self) -> dict[str, Tensor]:
        """What :meth:`restore` needs; the tensors are the live ones."""
        return {
            "progress": torch.tensor([self._n_steps, self._log_product], dtype=torch.float64),
            **{f"dense.{name}": each for name, each in self._dense_average.items()},
            **{f"rows.{name}": each for name, each in self._row_average.items()},
            **{f"log.{name}": each for name, each in self._row_log.items()},
        }

    @torch.no_grad()
    def restore(self, state: dict[str, Tensor]) -> None:
        """Go back to a state."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])
        self._n_steps = int(state["progress"][0])
        self._log_product = float(state["progress"][1])

    @torch.no_grad()
    def _catch_up(self) -> None:
        for name, table in self._tables.items():
            average, log = self._row_average[name], self._row_log[name]
            average.copy_(self._caught_up(average, table.weight, log))
            log.fill_(self._log_product)

    @contextmanager
    def _without_random_starts(self) -> Generator[None]:
        """Let the averages of new rows be those of what they became, for a while."""
        p = math.exp(self._log_product)
        as_they_are = {
            name: self._row_average[name][rows] for name, (rows, _) in self._new_rows.items()
        }
        if p < 1:
            for name, (rows, start) in self._new_rows.items():
                self._row_average[name][rows] = (as_they_are[name] - p * start) / (1 - p)
        try:
            yield
        finally:
            for name, (rows, _) in self._new_rows.items():
                self._row_average[name][rows] = as_they_are[name]

    def _caught_up(self, average: Tensor, weight: Tensor, log: Tensor) -> Tensor:
        """The average after the steps since ``log``, in which the weight stood still."""
        factor = torch.exp(self._log_product - log).to(weight.dtype).unsqueeze(1)
        return weight + factor * (average - weight)

    def _swap(self) -> None:
        for name, weight in self._dense.items():
            weight.data, self._dense_average[name] = self._dense_average[name], weight.data
        for name, table in self._tables.items():
            weight = table.weight
            weight.data, self._row_average[name] = self._row_average[name], weight.data
