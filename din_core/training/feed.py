"""The batches of an epoch's steps, each ready when its step begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch

from din_core.training.lanes import one_ahead

if TYPE_CHECKING:
    from din_core.inputs.batches import BatchGatherer
    from din_core.inputs.epochs import EpochPlan
    from din_core.network.batch import Batch


def batches(
    plan: EpochPlan, shares: Sequence[slice], gatherer: BatchGatherer, device: torch.device
) -> Iterator[Batch]:
    """Gather the batches of some steps: on the CPU during the step before.

    On a GPU the whole epoch is moved there at once: a copy within a step would wait for it.

    Args:
        plan: The epoch.
        shares: Rows of the plan that make each batch.
        gatherer: Of the log, on the device.
        device: Where the model is.

    Yields:
        A batch for each share.
    """
    if device.type != "cpu":
        resident = {
            name: torch.as_tensor(values).to(device) for name, values in plan.columns().items()
        }
        for rows in shares:
            yield gatherer.gather(
                **{name: column[rows] for name, column in resident.items()},
                n_positions=plan.n_positions(rows),
            )
        return

    def gathered(rows: slice) -> Batch:
        columns = {name: torch.as_tensor(each) for name, each in plan.columns(rows).items()}
        n_positions = int((columns["end"] - columns["start"]).sum())
        return gatherer.gather(**columns, n_positions=n_positions)

    yield from one_ahead(gathered, shares)
