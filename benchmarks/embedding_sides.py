"""The side of the case of embeddings: a table in every process, or a share of it in each.

Both make the same step: look up a batch's rows, take a gradient of each, move the rows by Adam.
``replicated`` is what training does: ids are gathered, each process has all rows and the sum of the
gradients. ``sharded`` is a prototype: row r lies in process r modulo the number of processes. Ids
go to it and rows come back, then gradients go to it and it moves its rows.

Runs in processes of its own and imports what it needs. Shapes: V rows, D embedding width, N
look-ups of a process in a step, U rows that they need, W processes.
"""

from __future__ import annotations

import json
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from benchmarks.clock import Clock

PROCESSES = 2
_LEARNING_RATE = 1e-3


def embeddings(
    clock: Clock, kind: str, rows: int, width: int, look_ups: int, steps: int
) -> dict[str, Any]:
    """Make some steps in two processes and report the larger figures of the two.

    Args:
        clock: Of this process.
        kind: ``replicated`` or ``sharded``.
        rows: V.
        width: D.
        look_ups: N.
        steps: Steps, the first is not timed.
    """
    from torch.multiprocessing.spawn import start_processes

    clock.start()
    with tempfile.TemporaryDirectory() as folder:
        wish = (folder, kind, rows, width, look_ups, steps)
        start_processes(_work, wish, nprocs=PROCESSES, start_method="spawn")
        found = [json.loads(Path(folder, str(rank)).read_text()) for rank in range(PROCESSES)]
    clock.stop()
    return {name: max(each[name] for each in found) for name in found[0]}


def _work(
    rank: int, folder: str, kind: str, rows: int, width: int, look_ups: int, steps: int
) -> None:
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=PROCESSES
    )
    generator = torch.Generator().manual_seed(rank)
    before = _resident_mb()
    ids = [_zipf(rows, look_ups, generator) for _ in range(steps)]
    sent: list[int] = []
    step = _KINDS[kind](rows, width, sent)
    seconds = []
    for each in ids:
        dist.barrier()
        begin = time.perf_counter()
        step(each)
        seconds.append(time.perf_counter() - begin)
    figures = {
        "sent_bytes": sum(sent) / steps,
        "distinct": sum(len(each.unique()) for each in ids) / steps,
        "table_mb": _resident_mb() - before,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "step_ms": 1000 * sorted(seconds[1:])[len(seconds[1:]) // 2],
    }
    Path(folder, str(rank)).write_text(json.dumps(figures))
    dist.barrier()
    os._exit(0)  # two processes that end their groups may wait for each other


def _resident_mb() -> float:
    """What this process holds in memory now; its imports are among it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def _zipf(rows: int, look_ups: int, generator: Any) -> Tensor:
    """Ids of a log where few are frequent: the logarithm of the rank is uniform."""
    import torch

    share = torch.rand(look_ups, generator=generator, dtype=torch.float64)
    return ((rows**share).long() - 1).clamp(0, rows - 1)


def _gradient(weights: Tensor) -> Tensor:
    """Stand in for a network: something of each row that is not its weight."""
    return weights * 0.5 + 1.0


class _Table:
    """Rows of a table with Adam's two moments, and the move of those that have a gradient."""

    def __init__(self, rows: int, width: int) -> None:
        import torch

        self.weight = torch.empty(rows, width).normal_(std=0.03)
        self.moments = torch.zeros(rows, 2, width)

    def move(self, index: Tensor, gradient: Tensor) -> None:
        moments = self.moments[index]
        moments[:, 0].mul_(0.9).add_(gradient, alpha=0.1)
        moments[:, 1].mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        self.moments[index] = moments
        change = moments[:, 0] / (moments[:, 1].sqrt() + 1e-8)
        self.weight.index_add_(0, index, change, alpha=-_LEARNING_RATE)


def _replicated(rows: int, width: int, sent: list[int]) -> Callable[[Tensor], None]:
    import torch

    from din_core.training import distributed
    from din_core.training.lookups import distinct_by_marks

    table, marks = _Table(rows, width), torch.empty(rows, dtype=torch.int32)

    def step(ids: Tensor) -> None:
        everyone, own = distributed.gather_ids(ids)
        index, place = distinct_by_marks(everyone, marks)
        gradient = torch.zeros(len(index), width)
        gradient.index_add_(0, place[own], _gradient(table.weight[ids]))
        distributed.sum_over_processes(gradient)
        table.move(index, gradient)
        # An all-gather sends the own ids to each other process, a ring all-reduce each number to
        # the next one twice, but for the own share.
        sent.append((PROCESSES - 1) * ids.nbytes)
        sent.append(2 * (PROCESSES - 1) * gradient.nbytes // PROCESSES)

    return step


def _sharded(rows: int, width: int, sent: list[int]) -> Callable[[Tensor], None]:
    import torch
    import torch.distributed as dist

    rank = dist.get_rank()
    table = _Table(-(-rows // PROCESSES), width)

    def exchange(rows: Tensor, out: list[int], back: list[int]) -> Tensor:
        """Send so many rows to each process, and receive so many of each."""
        received = rows.new_empty(sum(back), *rows.shape[1:])
        dist.all_to_all_single(received, rows.contiguous(), back, out)
        sent.append(rows.nbytes * (sum(out) - out[rank]) // max(1, sum(out)))
        return received

    def step(ids: Tensor) -> None:
        distinct, place = ids.unique(return_inverse=True)
        owner = distinct % PROCESSES
        order = owner.argsort(stable=True)
        wanted = owner.bincount(minlength=PROCESSES)
        asked = torch.empty_like(wanted)
        dist.all_to_all_single(asked, wanted)
        mine, theirs = wanted.tolist(), asked.tolist()
        index = exchange(distinct[order] // PROCESSES, mine, theirs)
        weights = torch.empty(len(distinct), width)
        weights[order] = exchange(table.weight[index], theirs, mine)
        gradient = torch.zeros_like(weights).index_add_(0, place, _gradient(weights[place]))
        back = exchange(gradient[order], mine, theirs)
        rows_to_move, at = index.unique(return_inverse=True)
        table.move(rows_to_move, torch.zeros(len(rows_to_move), width).index_add_(0, at, back))

    return step


_KINDS: dict[str, Callable[[int, int, list[int]], Callable[[Tensor], None]]] = {
    "replicated": _replicated,
    "sharded": _sharded,
}
