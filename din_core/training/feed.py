"""The batches of an epoch's steps, each ready when its step begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import torch

from din_core.training.lanes import one_ahead

if TYPE_CHECKING:
    from din_core.inputs.batches import BatchGatherer
    from din_core.inputs.epochs import EpochPlan
    from din_core.network.batch import Batch

T = TypeVar("T")

#: Steps whose batches are gathered together, at most: each alone costs twenty operations.
_STEPS = 8
#: Positions that these have, about, at most: where a batch has more, it is gathered alone.
_POSITIONS = 1 << 19


class PlanReader:
    """Batches of the samples of a plan: gathered one by one, on a GPU from columns that lie there.

    On a GPU the whole plan is moved there at once: a copy within a step would wait for it.

    Args:
        plan: Of an epoch.
        gatherer: Of the log, on the device.
        device: Where the model is.
    """

    def __init__(self, plan: EpochPlan, gatherer: BatchGatherer, device: torch.device) -> None:
        self._plan, self._gatherer = plan, gatherer
        self._resident = None
        if device.type != "cpu":
            self._resident = {
                name: torch.as_tensor(values).to(device) for name, values in plan.columns().items()
            }

    def batch(self, rows: slice) -> Batch:
        """Gather a batch.

        Args:
            rows: Which samples of the plan.
        """
        if self._resident is not None:
            return self._gatherer.gather(
                **{name: column[rows] for name, column in self._resident.items()},
                n_positions=self._plan.n_positions(rows),
            )
        columns = {name: torch.as_tensor(each) for name, each in self._plan.columns(rows).items()}
        n_positions = int((columns["end"] - columns["start"]).sum())
        return self._gatherer.gather(**columns, n_positions=n_positions)

    def batches(self, shares: Sequence[slice]) -> list[Batch]:
        """Gather batches together, which costs little more than one of them.

        Args:
            shares: Samples of the plan that make each batch; each begins where the last one ends.
        """
        begin = shares[0].start
        together = self.batch(slice(begin, shares[-1].stop))
        return together.cut([0, *(each.stop - begin for each in shares)])


def batches(
    plan: EpochPlan, shares: Sequence[slice], gatherer: BatchGatherer, device: torch.device
) -> Iterator[Batch]:
    """Gather the batches of some steps: on the CPU during the steps before.

    Args:
        plan: The epoch.
        shares: Rows of the plan that make each batch.
        gatherer: Of the log, on the device.
        device: Where the model is.

    Yields:
        A batch for each share.
    """
    reader = PlanReader(plan, gatherer, device)
    if device.type != "cpu":
        yield from map(reader.batch, shares)
        return
    for some in one_ahead(reader.batches, _adjacent(shares, plan.n_positions)):
        yield from some


def _adjacent(
    shares: Iterable[slice], n_positions: Callable[[slice], int]
) -> Iterator[list[slice]]:
    """Put shares together that follow on one another, some at a time."""
    together: list[slice] = []
    most = 1
    for each in shares:
        if together and (len(together) == most or each.start != together[-1].stop):
            yield together
            together = []
        if not together:  # they are drawn at random: one is as long as the next
            most = max(1, min(_STEPS, _POSITIONS // max(1, n_positions(each))))
        together.append(each)
    if together:
        yield together


def during_the_step_before(
    make: Callable[[T], Batch], items: Iterable[T], device: torch.device
) -> Iterator[Batch]:
    """Make batches: on the CPU each during the step before; a GPU is told of its work at once.

    Args:
        make: Makes the batch of an item.
        items: What batches are made of.
        device: Where the model is.
    """
    yield from one_ahead(make, items) if device.type == "cpu" else map(make, items)
