"""Memory and processor time of a process with all that it started: Spark works in a JVM."""

from __future__ import annotations

import os
import resource
import threading
from pathlib import Path

_EVERY_SECONDS = 0.1


class ProcessTree:
    """Watches this process and its descendants, in a thread, from its making to :meth:`stop`.

    Attributes:
        peak_mb: The most resident memory that they had together, in MiB, looked at ten times a
            second.
        cpu_seconds: Processor time of all of them since the beginning, ended ones as last seen.
    """

    def __init__(self) -> None:
        self.peak_mb = self.cpu_seconds = 0.0
        self._before: dict[int, float] = {}
        self._now: dict[int, float] = {}
        self._look()
        self._before = dict(self._now)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; the figures stay."""
        self._stopping.set()
        self._thread.join()
        self._look()
        spent = (seconds - self._before.get(pid, 0.0) for pid, seconds in self._now.items())
        self.cpu_seconds = sum(spent)

    def _watch(self) -> None:
        while not self._stopping.wait(_EVERY_SECONDS):
            self._look()

    def _look(self) -> None:
        found = dict(_processes())
        family, ticks = {os.getpid()}, os.sysconf("SC_CLK_TCK")
        while more := {pid for pid, (parent, *_) in found.items() if parent in family} - family:
            family |= more
        pages = sum(found[pid][2] for pid in family if pid in found)
        self.peak_mb = max(self.peak_mb, pages * resource.getpagesize() / 2**20)
        self._now |= {pid: found[pid][1] / ticks for pid in family if pid in found}


def _processes() -> list[tuple[int, tuple[int, int, int]]]:
    """Every process with its parent, its ticks and its pages."""
    found: list[tuple[int, tuple[int, int, int]]] = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            # The name, in brackets, may hold anything; the fields behind it begin with the state.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parent, ticks, pages = int(fields[1]), int(fields[11]) + int(fields[12]), int(fields[21])
        found.append((int(folder.name), (parent, ticks, pages)))
    return found
