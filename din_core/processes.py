"""Several processes that train one model: each takes its share of a step, gradients are summed.

Everything here is a no-operation in a single process. The process group is the caller's: under
``torchrun``, ``torch.distributed.init_process_group("gloo")`` before training.
Shapes: U rows touched in a step, D embedding width.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor, nn


def n_processes() -> int:
    """Processes that train together."""
    return dist.get_world_size() if _together() else 1


def this_process() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if _together() else 0


def sum_over_processes(values: Tensor) -> Tensor:
    """Sum a tensor over the processes, in place."""
    if n_processes() > 1:
        dist.all_reduce(values)
    return values


def sum_gradients(dense: Iterable[nn.Parameter], tables: Iterable[nn.Embedding]) -> None:
    """Give every process the sum of all processes' gradients.

    Dense gradients travel as one vector. Of an embedding table only touched rows do: they are
    gathered from all processes, and summed where the optimizer coalesces them.

    Args:
        dense: Weights with dense gradients, or none where this process had no sample.
        tables: Tables with sparse gradients, or none.
    """
    if n_processes() == 1:
        return
    parameters = list(dense)
    vector = torch.cat(
        [
            (torch.zeros_like(each) if each.grad is None else each.grad).reshape(-1)
            for each in parameters
        ]
    )
    dist.all_reduce(vector)
    for each, summed in zip(
        parameters, vector.split([each.numel() for each in parameters]), strict=True
    ):
        each.grad = summed.reshape(each.shape)
    for table in tables:
        table.weight.grad = _gathered(table.weight)


def _gathered(weight: Tensor) -> Tensor:
    """All processes' sparse gradients of a table, one after the other."""
    gradient = weight.grad
    if gradient is None:
        rows = torch.zeros(0, dtype=torch.int64, device=weight.device)
        values = weight.new_zeros(0, weight.shape[1])
    else:
        gradient = gradient.coalesce()
        rows, values = gradient.indices()[0], gradient.values()
    sizes = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(n_processes())]
    dist.all_gather(sizes, torch.tensor([len(rows)], device=rows.device))
    counts = [int(size) for size in sizes]
    # all_gather takes equal shapes, so shares are padded to the largest and cut again.
    padding = max(counts) - len(rows)
    rows = nn.functional.pad(rows, (0, padding))
    values = nn.functional.pad(values, (0, 0, 0, padding))
    all_rows = [torch.empty_like(rows) for _ in counts]
    all_values = [torch.empty_like(values) for _ in counts]
    dist.all_gather(all_rows, rows)
    dist.all_gather(all_values, values)
    return torch.sparse_coo_tensor(
        torch.cat([each[:n] for each, n in zip(all_rows, counts, strict=True)]).unsqueeze(0),
        torch.cat([each[:n] for each, n in zip(all_values, counts, strict=True)]),
        weight.shape,
        check_invariants=False,
    )


def _together() -> bool:
    return dist.is_available() and dist.is_initialized()
