"""Several processes that train one model: each takes its share of a step, gradients are summed.

Everything here is a no-operation in a single process. The process group is the caller's: under
``torchrun``, ``torch.distributed.init_process_group("gloo")`` before training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from din_core.training.lanes import added_up

T = TypeVar("T")


def world_size() -> int:
    """Processes that train together."""
    return dist.get_world_size() if _together() else 1


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if _together() else 0


def wait_for_all() -> None:
    """Wait until every process has come here."""
    if world_size() > 1:
        dist.barrier()


def sum_over_processes(values: Tensor) -> Tensor:
    """Sum a tensor over the processes, in place."""
    if world_size() > 1:
        dist.all_reduce(values)
    return values


def gather_ids(ids: Tensor) -> tuple[Tensor, slice]:
    """Let every process know the ids of all.

    Args:
        ids: This process's, int64 ``[N]``; N may differ between processes.

    Returns:
        All ids, the same everywhere, with zeros (padding) between the shares; and where this
        process's own stand among them.
    """
    if world_size() == 1:
        return ids, slice(None)
    longest = torch.tensor([len(ids)], device=ids.device)
    dist.all_reduce(longest, dist.ReduceOp.MAX)
    size, begin = int(longest), int(longest) * rank()
    shares = [ids.new_empty(size) for _ in range(world_size())]
    dist.all_gather(shares, nn.functional.pad(ids, (0, size - len(ids))))
    return torch.cat(shares), slice(begin, begin + len(ids))


def gather_objects(value: T) -> list[T]:
    """Let every process know something small of all, in the order of their ranks."""
    if world_size() == 1:
        return [value]
    found = cast("list[T]", [None] * world_size())
    dist.all_gather_object(found, value)
    return found


def from_first(value: T) -> T:
    """Let every process have what the first one has; those of the others are not read."""
    if world_size() == 1:
        return value
    found = [value]
    dist.broadcast_object_list(found)
    return found[0]


def rows_at_first(rows: Tensor) -> Tensor | None:
    """Let the first process have the rows of all.

    Args:
        rows: This process's, ``[N, …]``; N may differ between processes.

    Returns:
        Those of all processes, in the order of their ranks; ``None`` in the other processes.
    """
    if world_size() == 1:
        return rows
    counts = gather_objects(len(rows))
    padded = rows.new_zeros(max(counts), *rows.shape[1:])
    padded[: len(rows)] = rows
    found = [torch.empty_like(padded) for _ in counts] if rank() == 0 else None
    dist.gather(padded, found)
    if found is None:
        return None
    return torch.cat([each[:count] for each, count in zip(found, counts, strict=True)])


def sum_gradients(
    leaves: Sequence[Tensor], gradients: Sequence[Sequence[Tensor | None]]
) -> list[list[Tensor]]:
    """Give every process the sum of all processes' gradients, which travel as one vector.

    Args:
        leaves: Tensors of the same shapes in every process.
        gradients: Of each leaf, the parts that this process's are the sum of; ``None`` adds
            nothing.

    Returns:
        Of each leaf, the parts that all processes' are the sum of; none where it has no gradient.
    """
    own = [[part for part in parts if part is not None] for parts in gradients]
    if world_size() == 1:
        return own
    vector = torch.cat(
        [
            (added_up(parts) if parts else torch.zeros_like(leaf)).reshape(-1)
            for leaf, parts in zip(leaves, own, strict=True)
        ]
    )
    dist.all_reduce(vector)
    summed = vector.split([leaf.numel() for leaf in leaves])
    return [[part.reshape(leaf.shape)] for leaf, part in zip(leaves, summed, strict=True)]


def _together() -> bool:
    return dist.is_available() and dist.is_initialized()
