"""Signs of life: who is alive, and who is at work.

A process shows that it is alive by a lock on a file, which the kernel drops when the process ends,
however that happens. That it is not stuck it shows by what it writes there: how often it has looked
at itself, and in how many of those times it had computed something since. A number of a process
alone proves nothing, since the system gives it to another one later.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import NamedTuple

#: Share of a processor's time from which a process counts as at work.
BUSY = 0.05
#: Longest pause between two looks, in seconds.
LONGEST_PAUSE = 1.0
_LOOKS_IN_A_TIMEOUT = 10
_WIDTH = 64


class Sign(NamedTuple):
    """What a process has written on its sign.

    Attributes:
        pid: Number of the process.
        looks: How often it has looked at itself.
        busy_looks: In how many of them it had computed something since the one before.
    """

    pid: int
    looks: int
    busy_looks: int


@contextlib.contextmanager
def held(path: Path) -> Generator[int]:
    """Hold a file's lock, so that others see that this process is there.

    Yields:
        The open file's descriptor.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Say whether a process holds a file's lock; a file that is gone is held by nobody."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


@contextlib.contextmanager
def shown(path: Path, *, timeout: float, is_wanted: Callable[[], bool]) -> Generator[None]:
    """Show this process's sign inside the block, and end the process when nobody wants it any more.

    Args:
        path: The sign.
        timeout: Seconds after which others take silence for a standstill.
        is_wanted: Asked again and again; where it says no, the process ends at once.
    """
    ended = threading.Event()
    with held(path) as descriptor:
        _write(descriptor, 0, 0)  # before the thread: who holds a sign can be named, and killed
        thread = threading.Thread(
            target=_look, args=(descriptor, _pause(timeout), ended, is_wanted), daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def _pause(timeout: float) -> float:
    return min(LONGEST_PAUSE, timeout / _LOOKS_IN_A_TIMEOUT)


def _look(
    descriptor: int, pause: float, ended: threading.Event, is_wanted: Callable[[], bool]
) -> None:
    looks = busy_looks = 0
    then, computed = time.monotonic(), time.process_time()
    while True:
        if not is_wanted():
            os._exit(1)  # the main thread may wait for a process that will never answer
        _write(descriptor, looks, busy_looks)
        if ended.wait(pause):
            return
        now, by_now = time.monotonic(), time.process_time()
        looks += 1
        busy_looks += by_now - computed >= BUSY * (now - then)
        then, computed = now, by_now


def _write(descriptor: int, looks: int, busy_looks: int) -> None:
    text = f"{os.getpid()} {looks} {busy_looks}".ljust(_WIDTH)
    with contextlib.suppress(OSError):  # a full disk: the sign is still held
        os.pwrite(descriptor, text.encode(), 0)


def read(path: Path) -> Sign | None:
    """Read a sign; ``None`` where none has been written."""
    try:
        pid, looks, busy_looks = path.read_text(encoding="utf-8").split()
        return Sign(int(pid), int(looks), int(busy_looks))
    except (FileNotFoundError, ValueError):
        return None


def kill(path: Path) -> None:
    """Kill the process that shows a sign, with what it has started; a sign nobody holds is left."""
    sign = read(path)
    if sign is None or not is_held(path):
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.getpgid(sign.pid) == sign.pid:  # a group of its own, as torchrun makes them
            os.killpg(sign.pid, signal.SIGKILL)
        else:
            os.kill(sign.pid, signal.SIGKILL)


def wait_until_gone(paths: list[Path], seconds: float) -> list[Path]:
    """Wait until nobody holds any of these signs.

    Args:
        paths: The signs.
        seconds: Longest wait.

    Returns:
        Those that are still held.
    """
    until = time.monotonic() + seconds
    while (left := [path for path in paths if is_held(path)]) and time.monotonic() < until:
        time.sleep(0.02)
    return left
