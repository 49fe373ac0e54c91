"""The side of the busy cases: a training with neighbours that never rest.

Runs in a process of its own (:mod:`benchmarks.side`) and imports what it needs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.training_sides import LIBGOMPS_OWN, ours_training

if TYPE_CHECKING:
    from benchmarks.clock import Clock


def ours_beside(clock: Clock, neighbours: int, as_before: bool, **training: Any) -> dict[str, Any]:
    """Train beside busy processes.

    Args:
        clock: Of this process.
        neighbours: How many processes compute all the time.
        as_before: Let torch's threads share each operation and spin after it, without lanes.
        **training: Arguments of :func:`benchmarks.training_sides.ours_training`.
    """
    if as_before:
        os.environ["GOMP_SPINCOUNT"] = LIBGOMPS_OWN  # read with torch, which comes now
        from din_core.training import placement

        placement.number_of_lanes = lambda *_: 1
    with _busy(neighbours):
        return ours_training(clock, **training)


@contextmanager
def _busy(number: int) -> Generator[None]:
    """Have processes that compute, for a while."""
    processes = [
        subprocess.Popen([sys.executable, "-c", "while True: sum(range(100_000))"])
        for _ in range(number)
    ]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
