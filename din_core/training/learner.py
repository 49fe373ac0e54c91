"""A model together with what moves its weights: optimizers, penalty, average. One step at a time.

Which batch comes next, and when to stop, is :mod:`din_core.training.loop`'s business. Shapes: B
samples of a step in this process.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from din_core.network.hardware import autocast
from din_core.training import distributed
from din_core.training.averaging import WeightEMA
from din_core.training.dense_adam import dense_adam
from din_core.training.lanes import Lanes, added_up, number_of_lanes
from din_core.training.lookups import LookUps
from din_core.training.regularization import GatheredRowsL2, MiniBatchAware
from din_core.training.row_adam import RowAdam

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from din_core.config import TrainingConfig
    from din_core.network.batch import Batch
    from din_core.network.hardware import ChosenPrecision
    from din_core.network.kernels import NetworkKernel, RowKernel
    from din_core.network.models import ClickModel
    from din_core.training.regularization import Counts


class Learner:
    """Moves a model's weights.

    Args:
        model: On its device.
        config: The options of the loop.
        precision: What products are computed in.
        static_size: Have as many rows at hand in a step as it looks up ids, more than it needs,
            so that the host never waits for a device to count the distinct ones (in a single
            process; several wait for each other to agree on sizes). By default on every device but
            the CPU, where counting costs nothing.
        lanes: Threads for shares of a step, of a model whose samples are independent; by default
            the caller's own.
        row_kernel: Looks up and moves embedding rows; by default torch does, step by step.
        network_kernel: Computes loss and gradients of the model; by default torch does, operation
            by operation.
        new_rows: Of a model whose weights come from another one, the rows that do not, by table.

    Attributes:
        model: The model.
        tables: Its embedding tables, by name of the feature that owns each.
    """

    def __init__(
        self,
        model: ClickModel,
        config: TrainingConfig,
        precision: ChosenPrecision,
        *,
        static_size: bool | None = None,
        lanes: Lanes | None = None,
        row_kernel: RowKernel | None = None,
        network_kernel: NetworkKernel | None = None,
        new_rows: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.model = model
        self._row_kernel = row_kernel
        self._network_kernel = network_kernel
        self._lanes = lanes or Lanes(1)
        assert self._lanes.number == 1 or model.samples_are_independent
        self.tables = dict(model.embedding.tables())
        self._config = config
        self._precision: ChosenPrecision = precision
        self._device = next(model.parameters()).device
        of_tables = {id(table.weight) for table in self.tables.values()}
        self._dense_weights = [each for each in model.parameters() if id(each) not in of_tables]
        self._dense = dense_adam(self._dense_weights, config.learning_rate, config.weight_decay)
        self._average = (
            WeightEMA(model, self.tables, config.ema_decay, row_kernel, new_rows)
            if config.ema_decay
            else None
        )
        self._rows = RowAdam(
            self.tables,
            config.learning_rate,
            l2=config.embedding_l2 if config.regularization == "l2" else 0.0,
            penalty=GatheredRowsL2(config.weight_decay) if config.weight_decay else None,
            before_update=self._average.before_update if self._average else None,
            lanes=self._lanes,
            kernel=row_kernel,
        )
        owner = {id(table): name for name, table in self.tables.items()}
        self._lookups = LookUps(
            {name: table.num_embeddings for name, table in self.tables.items()},
            {
                feature.name: owner[id(model.embedding.table(feature))]
                for feature in model.embedding.features
            },
            static_size=self._device.type != "cpu" if static_size is None else static_size,
            kernel=row_kernel,
        )

    def begin_epoch(self, counts: Mapping[str, Counts]) -> None:
        """Take in how often each id occurs in the epoch, for mini-batch aware regularization."""
        paper = MiniBatchAware(self._config.embedding_l2, counts, self._device)
        decay = GatheredRowsL2(self._config.weight_decay)
        self._rows.penalty = lambda *of: paper(*of) + decay(*of)

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
        rows, inverse = self._lookups.of(batch)
        gathered = self._rows.take(rows)
        leaves = [*self._dense_weights, *gathered.values()]
        self.model.train()

        def work(share: Batch) -> tuple[Tensor, tuple[Tensor | None, ...]]:
            if self._network_kernel is not None:
                found = self._network_kernel(gathered, share, n_samples)
                if found is not None:
                    return found
            with autocast(self._precision, self._device):
                loss = self.model.loss(share) / n_samples
            return loss.detach(), torch.autograd.grad(loss, leaves, allow_unused=True)

        n_lanes = number_of_lanes(batch.n_samples, self._lanes.number)
        with self.model.embedding.gathered_rows(gathered, self._row_kernel):
            losses, of_shares = zip(*self._lanes.map(work, inverse.shares(n_lanes)), strict=True)
        gradients = distributed.sum_gradients(leaves, list(zip(*of_shares, strict=True)))
        n_dense = len(self._dense_weights)
        of_dense, of_rows = gradients[:n_dense], gradients[n_dense:]
        for group in self._dense.param_groups:
            group["lr"] = learning_rate
        self._rows.learning_rate = learning_rate
        self._rows.step(
            dict(zip(gathered, of_rows, strict=True)), beside=lambda: self._move_dense(of_dense)
        )
        return added_up(losses)

    def _move_dense(self, gradients: Sequence[Sequence[Tensor]]) -> None:
        """Move the weights outside tables, and their average."""
        for weight, parts in zip(self._dense_weights, gradients, strict=True):
            weight.grad = added_up(parts) if parts else None
        self._dense.step()
        self._dense.zero_grad(set_to_none=True)
        if self._average is not None:
            self._average.step()

    def evaluated_weights(self) -> AbstractContextManager[None]:
        """Let the model have the weights that are evaluated and kept."""
        self._rows.catch_up_all()
        return nullcontext() if self._average is None else self._average.applied()

    def state(self) -> dict[str, Tensor]:
        """Everything :meth:`restore` needs, as live tensors."""
        tensors = {f"model.{name}": each for name, each in self.model.state_dict().items()}
        for number, weight in enumerate(self._dense_weights):
            for name, each in self._dense.state[weight].items():
                tensors[f"dense.{number}.{name}"] = each
        tensors["n_steps"] = torch.tensor(self._rows.n_steps)
        # Rows catch up with the rate of the step before, which a schedule has moved.
        tensors["rows_learning_rate"] = torch.tensor(self._rows.learning_rate, dtype=torch.float64)
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
        self._rows.n_steps = int(tensors["n_steps"])
        self._rows.learning_rate = float(tensors["rows_learning_rate"])
        for table, state in self._rows.state.items():
            for name, each in _below(f"rows.{table}:", tensors).items():
                state[name].copy_(each)
        if self._average is not None:
            self._average.restore(_below("average.", tensors))


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)
    }
