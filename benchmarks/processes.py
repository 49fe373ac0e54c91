"""One side of a case in a process of its own: how long, how much memory, and how it ended.

A side is a function of :mod:`benchmarks.side`. That the other side runs out of time or of memory is
a result like any other, so nothing here raises because of it.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Outcome = Literal["ok", "timeout", "out_of_memory", "failed"]

ROOT = Path(__file__).resolve().parent.parent
_OUT_OF_MEMORY = ("MemoryError", "bad_alloc", "not enough memory", "Cannot allocate memory")
_POLL_SECONDS = 0.01


@dataclass(frozen=True, kw_only=True)
class Run:
    """How a process went.

    Attributes:
        outcome: ``ok``, or why there are no figures.
        process_seconds: From its start to its end, interpreter and imports included.
        cpu_seconds: Processor time of all its threads.
        peak_mb: Largest resident memory, of it or of a process it started (a compiler), in MiB.
        report: What the side wrote: ``work_seconds``, ``import_mb``, and figures of its own.
        message: The last lines it wrote to stderr, where it failed.
    """

    outcome: Outcome
    process_seconds: float
    cpu_seconds: float
    peak_mb: float
    report: Mapping[str, Any] = field(default_factory=dict[str, Any])
    message: str = ""

    @property
    def work_seconds(self) -> float | None:
        """Time of the work itself, without interpreter and imports."""
        return self.report.get("work_seconds")


def run_side(
    side: str,
    options: Mapping[str, Any],
    *,
    threads: int,
    timeout_seconds: float,
    memory_limit_mb: int,
) -> Run:
    """Run a side and wait for it.

    Args:
        side: Name of a function of :mod:`benchmarks.side`.
        options: Its keyword arguments, as JSON knows them.
        threads: What OpenMP and DuckDB may use.
        timeout_seconds: When it is killed.
        memory_limit_mb: Most resident memory of the process, in MiB; above it, it is killed.
            Not an address space limit: DuckDB and torch reserve far more than they use.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        report, stderr = Path(folder, "report.json"), Path(folder, "stderr")
        wish = {"options": options, "report": str(report)}
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        # Set by din_core for its own programs: the other side's come as they are.
        environment.pop("GOMP_SPINCOUNT", None)
        with stderr.open("wb") as errors:
            begin = time.perf_counter()
            child = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.side", side, json.dumps(wish)],
                cwd=ROOT,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
            stopped, status, usage = _wait(child, begin + timeout_seconds, memory_limit_mb)
            seconds = time.perf_counter() - begin
        written = json.loads(report.read_text()) if report.exists() else {}
        message = "" if written else _last_lines(stderr.read_text(errors="replace"))
    return Run(
        outcome=stopped or _outcome(status, bool(written), message),
        process_seconds=seconds,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_mb=usage.ru_maxrss / 1024,
        report=written,
        message=message,
    )


def _wait(
    child: subprocess.Popen[bytes], deadline: float, memory_limit_mb: int
) -> tuple[Outcome | None, int, Any]:
    """Wait with the child's own resource usage, which ``Popen.wait`` would throw away.

    Returns:
        Why it was stopped, if it was; its exit status; its usage.
    """
    stopped: Outcome | None = None
    while True:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            return stopped, child.returncode, usage
        if stopped is None:
            if time.perf_counter() > deadline:
                stopped = "timeout"
            elif _resident_mb(child.pid) > memory_limit_mb:
                stopped = "out_of_memory"
            if stopped:
                os.killpg(child.pid, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)


def _resident_mb(pid: int) -> float:
    """Return what a process holds in memory now; nothing where it has just ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return 0.0
    return pages * resource.getpagesize() / 2**20


def _outcome(status: int, reported: bool, message: str) -> Outcome:
    if status == 0 and reported:
        return "ok"
    # The kernel's answer to too much memory is SIGKILL; a failed allocation says so itself.
    if status == -signal.SIGKILL or any(sign in message for sign in _OUT_OF_MEMORY):
        return "out_of_memory"
    return "failed"


def _last_lines(text: str, lines: int = 12) -> str:
    return "\n".join(text.replace("\r", "\n").strip().splitlines()[-lines:])
