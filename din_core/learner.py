"""A model together with what moves its weights: optimizers, penalty, average. One step at a time.

Which batch comes next, and when to stop, is :mod:`din_core.training`'s business. Shapes: B samples
of a step in this process.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from din_core import processes
from din_core.averaging import WeightAverage
from din_core.hardware import autocast
from din_core.layers.dice import synchronize_statistics
from din_core.optimizers import RowAdam, dense_adam
from din_core.regularization import MiniBatchAware, TouchedRowsL2

if TYPE_CHECKING:
    from collections.abc import Mapping

    from din_core.batches import Batch
    from din_core.config import TrainingConfig
    from din_core.hardware import ChosenPrecision
    from din_core.models import DIN
    from din_core.regularization import Counts


class Learner:
    """Moves a model's weights.

    Args:
        model: On its device; its embedding tables have sparse gradients.
        config: The options of the loop.
        precision: What products are computed in.

    Attributes:
        model: The model.
        tables: Its embedding tables, by name of the feature that owns each.
    """

    def __init__(self, model: DIN, config: TrainingConfig, precision: ChosenPrecision) -> None:
        self.model = model
        self.tables = dict(model.embedding.tables())
        self._config = config
        self._precision: ChosenPrecision = precision
        self._device = next(model.parameters()).device
        of_tables = {id(table.weight) for table in self.tables.values()}
        self._dense_weights = [each for each in model.parameters() if id(each) not in of_tables]
        self._dense = dense_adam(self._dense_weights, config.learning_rate, config.weight_decay)
        self._average = (
            WeightAverage(model, self.tables, config.ema_decay) if config.ema_decay else None
        )
        self._rows = RowAdam(
            self.tables,
            config.learning_rate,
            penalty=TouchedRowsL2(config.weight_decay + config.embedding_l2),
            on_update=self._average.observe_rows if self._average else None,
        )
        synchronize_statistics(model, processes.n_processes() > 1)

    def begin_epoch(self, counts: Mapping[str, Counts] | None) -> None:
        """Take in how often each id occurs in the epoch, for mini-batch aware regularization."""
        if counts is not None:
            self._rows.penalty = MiniBatchAware(self._config.embedding_l2, counts, self._device)

    def step(self, batch: Batch, n_samples: int, learning_rate: float) -> Tensor:
        """Move the weights once.

        Args:
            batch: This process's share of the step, with labels; may be without samples.
            n_samples: Samples of the step over all processes.
            learning_rate: Step size.

        Returns:
            Sum of the losses of this process's samples over ``n_samples``, on the device.
        """
        assert batch.label is not None
        self.model.train()
        with autocast(self._precision, self._device):
            logits = self.model.logits(batch)
        loss = nn.functional.binary_cross_entropy_with_logits(
            logits.float(), batch.label, reduction="sum"
        )
        loss = loss / n_samples
        loss.backward()
        processes.sum_gradients(self._dense_weights, self.tables.values())
        for group in self._dense.param_groups:
            group["lr"] = learning_rate
        self._rows.learning_rate = learning_rate
        self._dense.step()
        self._dense.zero_grad(set_to_none=True)
        self._rows.step()
        if self._average is not None:
            self._average.step()
        return loss.detach()

    def evaluated_weights(self) -> AbstractContextManager[None]:
        """Let the model have the weights that are evaluated and kept."""
        return nullcontext() if self._average is None else self._average.applied()

    def state(self) -> dict[str, Tensor]:
        """Everything :meth:`restore` needs, as live tensors."""
        tensors = {f"model.{name}": each for name, each in self.model.state_dict().items()}
        for number, weight in enumerate(self._dense_weights):
            for name, each in self._dense.state[weight].items():
                tensors[f"dense.{number}.{name}"] = each
        for table, state in self._rows.state.items():
            tensors |= {f"rows.{table}:{name}": each for name, each in state.items()}
        if self._average is not None:
            tensors |= {f"average.{name}": each for name, each in self._average.state().items()}
        return tensors

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go back to a state."""
        self.model.load_state_dict(_below("model.", tensors))
        for number, weight in enumerate(self._dense_weights):
            found = _below(f"dense.{number}.", tensors)
            if found:
                # The step count of Adam stays where torch keeps it: fused Adam wants it there.
                self._dense.state[weight] = {
                    name: each.to(self._device).clone() for name, each in found.items()
                }
        for table, state in self._rows.state.items():
            for name, each in _below(f"rows.{table}:", tensors).items():
                state[name].copy_(each)
        if self._average is not None:
            self._average.restore(_below("average.", tensors))


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)
    }
