"""The activation unit alone: plain torch and the fused kernel, side by side.

    python -m benchmarks.kernel_speed [--threads N] [--repeats N]

One training step of one unit (forward and backward) on random histories of 12 positions on
average, at the widths of the presets. Each row is measured in turn with ``torch.matmul``, so that
a busy machine slows both; the best of all repeats counts. Processor time is given too: it is what
remains comparable while other work runs beside.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from benchmarks.training_sides import matrix_flops
from din_core.network import kernels
from din_core.network.layers.attention import ActivationUnit

if TYPE_CHECKING:
    from din_core.network.layers.dice import ActivationName

_SAMPLES = 4_096
_SHAPES: tuple[tuple[int, tuple[int, int], ActivationName], ...] = (
    (8, (256, 128), "dice"),  # `tutorial`, one of its two units
    (64, (64, 32), "relu"),  # `best`, its joint unit
    (32, (80, 40), "dice"),  # the paper's widths
)


def needed_flops(n_positions: int, dim: int, dims: tuple[int, int]) -> float:
    """FLOPs of the matrix products of a step: twice as many backward as forward."""
    first, second = dims
    per_position = 2 * dim * first + first * second + second
    return 3 * 2 * (n_positions * per_position + _SAMPLES * dim * first)


def best_seconds(step: Callable[[], None], repeats: int) -> tuple[float, float]:
    """Least wall time and least processor time of a step, in seconds."""
    step()
    walls: list[float] = []
    busy: list[float] = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        step()
        walls.append(time.perf_counter() - wall)
        busy.append(time.process_time() - cpu)
    return min(walls), min(busy)


def measure(dim: int, dims: tuple[int, int], activation: ActivationName, repeats: int) -> None:
    """Print the rows of one shape."""
    lengths = torch.randint(1, 24, (_SAMPLES,), generator=torch.Generator().manual_seed(0))
    offsets = torch.zeros(_SAMPLES + 1, dtype=torch.int64)
    offsets[1:] = lengths.cumsum(0)
    segment_ids = torch.repeat_interleave(torch.arange(_SAMPLES), lengths)
    target = torch.randn(_SAMPLES, dim, requires_grad=True)
    history = torch.randn(len(segment_ids), dim, requires_grad=True)
    gradient = torch.randn(_SAMPLES, dim)
    flops = needed_flops(len(segment_ids), dim, dims)
    print(f"\nD {dim}, hidden {list(dims)}, {activation}; {len(segment_ids)} positions")
    for precision in ("float32", "bfloat16"):
        plain_seconds = 0.0
        for way in ("plain", "fused"):
            unit = ActivationUnit(dim, dims, activation)
            if way == "fused" and not kernels.use_fused_units(unit, precision):
                print(f"  fused: {kernels.why_not()}")
                continue

            def step(unit: ActivationUnit = unit, narrow: bool = precision == "bfloat16") -> None:
                with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
                    pooled = unit(target, history, segment_ids, offsets)
                pooled.float().backward(gradient)

            rate = matrix_flops(precision)
            wall, cpu = best_seconds(step, repeats if way == "fused" else max(2, repeats // 4))
            rate = max(rate, matrix_flops(precision))
            plain_seconds = plain_seconds or wall
            print(
                f"  {precision:8} {way:5}  {wall * 1e3:7.1f} ms ({cpu * 1e3:7.1f} ms of processor)"
                f"  {flops / wall / 1e9:5.0f} GFLOP/s = {flops / wall / rate:4.0%} of matmul's"
                f" {rate / 1e9:.0f}  {plain_seconds / wall:4.1f} x plain"
            )


def main() -> None:
    """Read the options and measure every shape."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{options.threads} threads; bfloat16 products: {kernels.multiplies_in_bfloat16()}")
    for dim, dims, activation in _SHAPES:
        measure(dim, dims, activation, options.repeats)


if __name__ == "__main__":
    main()
