"""What runs inside a side's process: ``python -m benchmarks.side NAME JSON``, for the harness only.

Sides import what they compare inside their functions and then call :meth:`Clock.start`, so that the
time of the work and the memory of the imports are known apart. Their report is a JSON file.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import busy_sides, sequence_sides, step_sides, training_sides


class Clock:
    """Times the work of a side, from :meth:`start` to :meth:`stop`."""

    def __init__(self) -> None:
        self._report: dict[str, Any] = {}
        self._begin = self._cpu_begin = 0.0

    def start(self) -> None:
        """The imports are done; the work begins."""
        self._report["import_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        self._begin, self._cpu_begin = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        """The work is done; what follows is not timed."""
        self._report["work_seconds"] = time.perf_counter() - self._begin
        self._report["work_cpu_seconds"] = time.process_time() - self._cpu_begin

    @property
    def report(self) -> dict[str, Any]:
        """``import_mb``, ``work_seconds`` and ``work_cpu_seconds``."""
        return dict(self._report)


SIDES: dict[str, Callable[..., dict[str, Any]]] = {
    function.__name__: function
    for function in (
        sequence_sides.write_log,
        sequence_sides.write_scale_log,
        sequence_sides.ours_sequences,
        sequence_sides.theirs_sequences,
        training_sides.ours_training,
        training_sides.theirs_training,
        step_sides.ours_steps,
        busy_sides.ours_beside,
    )
}


def main(name: str, wish: dict[str, Any]) -> None:
    """Run a side and write its report."""
    clock = Clock()
    figures = SIDES[name](clock, **wish["options"])
    Path(wish["report"]).write_text(json.dumps({**clock.report, **figures}))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
