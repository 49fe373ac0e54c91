"""The clock of a side: the time of its work, and the memory of its imports, known apart."""

from __future__ import annotations

import resource
import time
from typing import Any


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
