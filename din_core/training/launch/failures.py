"""What a worker leaves that cannot go on, and the one sentence that comes of what all of them left.

When one of several processes fails, the others fail after it, waiting for it. So each says what
kind of failure it met, and the sentence is about the cause.
"""

from __future__ import annotations

import json
import signal
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch.distributed as dist

from din_core.errors import DinError, RefusedOptionsError

#: ``explained``: a sentence of this library. ``memory``: there was none left. ``port``: another
#: program has it. ``unexpected``: a mistake in the program. ``lost``: another process did not
#: answer, which is a consequence of what that one met, or of a cut network.
Kind = Literal["explained", "memory", "port", "unexpected", "lost"]
#: Which of several failures is the cause: the first of these that any process met.
_CAUSES: tuple[Kind, ...] = ("explained", "memory", "port", "unexpected")
_AGAIN = "Run again: training goes on from the last checkpoint"


class WorkerError(DinError, RuntimeError):
    """One of the processes that train together failed; the message says which, and what to do."""


class RefusedByWorkersError(WorkerError, RefusedOptionsError):
    """The options cannot work, as a process found that trains with them."""


class UnexpectedWorkerError(RuntimeError):
    """A process met a mistake in the program; the message is its traceback."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a worker cannot go on.

    Attributes:
        kind: See :data:`Kind`.
        text: The sentence, or the traceback of what is unexpected.
        refused: Whether the options are the reason.
    """

    kind: Kind
    text: str
    refused: bool = False

    @property
    def may_pass(self) -> bool:
        """Whether the same may go well if it is tried again."""
        return self.kind == "lost"


@dataclass(frozen=True, kw_only=True)
class Exit:
    """How a worker ended, as torchrun saw it.

    Attributes:
        rank: Its number, from 0.
        pid: Number of its process.
        code: Exit status; minus the signal that killed it.
    """

    rank: int
    pid: int
    code: int


def of_error(error: BaseException) -> Failure:
    """Describe what a worker met.

    Args:
        error: What was raised.
    """
    text = f"{type(error).__name__}: {error}".strip()
    if isinstance(error, DinError):
        refused = isinstance(error, RefusedOptionsError)
        return Failure(kind="explained", text=str(error), refused=refused)
    if isinstance(error, MemoryError) or _is_of_memory(text):
        return Failure(kind="memory", text=_first_line(text))
    if isinstance(error, dist.DistNetworkError) and "EADDRINUSE" in text:
        return Failure(kind="port", text=_first_line(text))
    # gloo raises plain RuntimeErrors that name its source files.
    if isinstance(error, dist.DistError) or "gloo" in text.lower():
        return Failure(kind="lost", text=_first_line(text))
    trace = "".join(traceback.format_exception(error))
    return Failure(kind="unexpected", text=trace)


def write(path: Path, failure: Failure) -> None:
    """Leave a failure where the process that started the workers looks."""
    path.write_text(json.dumps(asdict(failure)), encoding="utf-8")


def read(path: Path) -> Failure | None:
    """Read a failure; ``None`` where there is none, or the disk was full when it was written."""
    try:
        return Failure(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def error_of(
    failures: Mapping[int, Failure], exits: list[Exit], processes: int, output: str
) -> Exception:
    """Make one error of how the workers ended.

    Args:
        failures: What they left, by rank.
        exits: How they ended, where that is known.
        processes: How many there were.
        output: The last lines that they wrote.
    """
    for kind in _CAUSES:
        for rank, failure in sorted(failures.items()):
            if failure.kind == kind:
                return _of_failure(rank, failure, processes)
    # SIGTERM last: torchrun ends the others by it.
    killed = sorted(exits, key=lambda each: (each.code == -signal.SIGTERM, each.rank))
    killed = [each for each in killed if each.code < 0]
    if killed and (killed[0].code != -signal.SIGTERM or not failures):
        return _of_signal(killed[0], processes)
    for rank, failure in sorted(failures.items()):
        return WorkerError(
            f"{_worker(rank, processes)} lost the others ({failure.text}); all were ended. {_AGAIN}"
        )
    how = ", ".join(f"worker {each.rank} with status {each.code}" for each in exits)
    return UnexpectedWorkerError(
        f"the {processes} processes that train ended{f' ({how})' if how else ''}:\n{output}"
    )


def stalled(rank: int | None, pid: int, processes: int, seconds: float) -> WorkerError:
    """Say that a process has shown no sign of life for too long.

    Args:
        rank: Which worker; ``None`` for torchrun, which starts them.
        pid: Number of its process.
        processes: How many train.
        seconds: For how long.
    """
    who = "torchrun" if rank is None else _worker(rank, processes)
    return WorkerError(
        f"{who} (process {pid}) has shown no sign of life for {seconds:g} s "
        "(worker_timeout_seconds): it is suspended, or its machine is out of memory or of "
        f"processors. All were ended. {_AGAIN}; raise worker_timeout_seconds where the machine is "
        "only slow"
    )


def at_a_standstill(processes: int, seconds: float) -> WorkerError:
    """Say that all workers are there, and none computes anything.

    Args:
        processes: How many train.
        seconds: For how long.
    """
    return WorkerError(
        f"none of the {processes} workers has computed anything for {seconds:g} s "
        "(worker_timeout_seconds): they wait for each other, or for a disk or a network that does "
        f"not answer. All were ended. {_AGAIN}; raise worker_timeout_seconds where a disk is slow"
    )


def _of_failure(rank: int, failure: Failure, processes: int) -> Exception:
    who = _worker(rank, processes)
    if failure.kind == "explained":
        return (RefusedByWorkersError if failure.refused else WorkerError)(failure.text)
    if failure.kind == "memory":
        return WorkerError(
            f"{who} is out of memory ({failure.text}). Each process holds the model, and "
            "the log or shards of it: lower processes or batch_size, or take a machine with more "
            f"memory. {_AGAIN}"
        )
    if failure.kind == "port":
        return WorkerError(
            f"{who} cannot take the port that the workers meet on ({failure.text}): another "
            "program has it. End that one, or set another MASTER_PORT"
        )
    return UnexpectedWorkerError(f"{who}:\n{failure.text}")


def _of_signal(end: Exit, processes: int) -> WorkerError:
    number = -end.code
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    why = " (the kernel does that when memory runs out: lower processes or batch_size then)"
    return WorkerError(
        f"{_worker(end.rank, processes)} (process {end.pid}) was killed by {name}"
        f"{why if number == signal.SIGKILL else ''}; the others were ended. {_AGAIN}"
    )


def _worker(rank: int, processes: int) -> str:
    return f"worker {rank} of {processes} (counted from 0)"


def _is_of_memory(text: str) -> bool:
    said = ("can't allocate memory", "out of memory", "bad_alloc", "Cannot allocate memory")
    return any(each.lower() in text.lower() for each in said)


def _first_line(text: str) -> str:
    return text.splitlines()[0][:300]
