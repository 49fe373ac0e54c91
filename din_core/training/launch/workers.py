"""What a process does around its training when it is one of several.

It joins the others in a process group whose waits end, takes its share of the machine, and leaves
a sentence when it cannot go on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from din_core.config import TrainingConfig
from din_core.machine import limits
from din_core.network.hardware import HardwareError, choose_device
from din_core.training.launch import failures
from din_core.training.launch.places import LaunchFolder, Place


@contextlib.contextmanager
def joined(config: TrainingConfig, place: Place, timeout: float) -> Generator[None]:
    """Train with other processes inside the block.

    Args:
        config: The loop; it says on what device the processes compute.
        place: Of this process. Where the others meet is read of the environment by torch, as
            torchrun sets it.
        timeout: Longest wait for another process, in seconds.

    Raises:
        HardwareError: The machine has fewer GPUs than processes that compute on one.
    """
    device = choose_device(config.device)
    if device.type == "cuda":
        _refuse_shared_gpus(place)
        torch.cuda.set_device(place.local_rank)
    waits = timedelta(seconds=timeout)
    store, rank, n_ranks = next(rendezvous("env://", timeout=waits))
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
        # torchrun keeps its store over restarts, with the addresses of workers that are gone.
        store=PrefixStore(f"attempt-{place.attempt}", store),
        rank=rank,
        world_size=n_ranks,
        timeout=waits,
    )
    try:
        yield
    finally:
        dist.destroy_process_group()


def _refuse_shared_gpus(place: Place) -> None:
    n_gpus = torch.cuda.device_count()
    if place.on_machine > n_gpus:
        raise HardwareError(
            f"{place.on_machine} processes train on this machine, each on a GPU of its own, and "
            f"torch finds {n_gpus}: lower processes, or set device to 'cpu'"
        )


def with_its_threads(config: TrainingConfig, place: Place) -> TrainingConfig:
    """Return the options of the loop with this process's share of the machine's cores."""
    if config.num_threads:
        return config
    return replace(config, num_threads=share_of_cores(place))


def share_of_cores(place: Place) -> int:
    """Return how many cores a process has where all of its machine take as many."""
    return max(1, limits.cores() // place.on_machine)


def default_memory_limit(place: Place) -> str:
    """Return a process's share of four fifths of the memory, as DuckDB takes it."""
    return f"{limits.memory() * 4 // 5 // place.on_machine >> 20}MiB"


def work(folder: LaunchFolder, place: Place, train: Callable[[], object]) -> int:
    """Run a worker that shows its sign of life already, to its exit status.

    Args:
        folder: Of the launch.
        place: Of this process.
        train: What it does, :func:`joined` included.

    Returns:
        The status to exit with, at once (``os._exit``): what is left of a process group could wait
        for another process that is gone.
    """
    before = failures.read(folder.failure(place.rank))
    if before is not None and not before.may_pass:
        return 1  # torchrun starts again what would say the same
    folder.failure(place.rank).unlink(missing_ok=True)
    try:
        train()
    except BaseException as error:  # noqa: BLE001 (whatever it is, it is told)
        failures.write(folder.failure(place.rank), failures.of_error(error))
        return 1
    return 0
