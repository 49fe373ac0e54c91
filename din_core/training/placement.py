"""Where and how a training run computes: device, threads, precision, compiled kernels, lanes.

All of it is decided by options, the machine and the size of the log, never by a clock: it is part
of what makes two runs alike (:meth:`Placement.circumstances`).
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from din_core.machine.freed_memory import keep_freed_memory
from din_core.network.hardware import ChosenPrecision, choose_device, choose_precision
from din_core.network.kernels import (
    NetworkKernel,
    RowKernel,
    available,
    faster_precision,
    network_kernel,
    use_fused_units,
)
from din_core.network.layers.dice import synchronize_statistics
from din_core.training import distributed
from din_core.training.lanes import Lanes, number_of_lanes

if TYPE_CHECKING:
    from din_core.config import TrainingConfig
    from din_core.network.models import ClickModel

#: Training samples over all epochs below which compiling a kernel takes longer than it saves.
WORTH_COMPILING = 200_000


@dataclass(frozen=True)
class Placement:
    """Where and how a run computes.

    Attributes:
        device: Where the model is.
        n_threads: Threads of a step.
        precision: What products are computed in.
        is_fused: Whether the activation units run as compiled kernels.
        unit_precision: What such units compute products in.
        row_kernel: Looks up and moves embedding rows, where kernels are compiled; or ``None``.
        network_kernel: Computes the model, where it applies to it; or ``None``.
        lanes: Threads for shares of a step.
    """

    device: torch.device
    n_threads: int
    precision: ChosenPrecision
    is_fused: bool
    unit_precision: ChosenPrecision
    row_kernel: RowKernel | None
    network_kernel: NetworkKernel | None
    lanes: Lanes

    def circumstances(self, program_version: str) -> dict[str, Any]:
        """What decides the weights, bit for bit, beside data and options; JSON types.

        Args:
            program_version: Of the code that trains.
        """
        return {
            "program": program_version,
            "device": str(self.device),
            "precision": self.precision,
            "fused": self.is_fused,
            "unit_precision": self.unit_precision,
            "row_kernel": self.row_kernel is not None,
            "network_kernel": self.network_kernel is not None,
            "threads": self.n_threads,
            "lanes": self.lanes.number,
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "world_size": distributed.world_size(),
        }


@contextmanager
def placed(
    model: ClickModel, config: TrainingConfig, n_samples: int, kernel_cache: Path | None
) -> Generator[Placement]:
    """Put a model where it trains; its threads end with the block.

    Args:
        model: Freshly made; it is moved.
        config: The options of the loop.
        n_samples: Training samples over all epochs.
        kernel_cache: Where compiled kernels are kept; ``None`` is the default place.

    Yields:
        What was decided.

    Raises:
        HardwareError: A device that is not there.
    """
    device = choose_device(config.device)
    if device.type == "cpu":
        keep_freed_memory()
    n_threads = torch.get_num_threads()
    precision = choose_precision(config.precision, device, n_samples)
    model.to(device)
    synchronize_statistics(model, distributed.world_size() > 1)
    compiles = config.fused and device.type == "cpu" and n_samples >= WORTH_COMPILING
    is_available = compiles and available(kernel_cache)
    of_units = faster_precision(precision, kernel_cache) if is_available else precision
    is_fused = compiles and use_fused_units(model, of_units, kernel_cache) > 0
    row_kernel = RowKernel(kernel_cache) if is_available else None
    of_network = network_kernel(model, precision, kernel_cache) if is_fused else None
    # Shares of a step run side by side where its samples have nothing in common.
    on_cpu, apart = device.type == "cpu", model.samples_are_independent
    number = number_of_lanes(config.batch_size, n_threads) if on_cpu and apart else 1
    lanes = Lanes(number, n_threads // number)
    try:
        yield Placement(
            device, n_threads, precision, is_fused, of_units, row_kernel, of_network, lanes
        )
    finally:
        lanes.close()
