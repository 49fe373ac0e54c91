"""One run at a time: a lock that the kernel drops when its holder dies.

The lock is on a file of its own. Locking the database file would be wrong: opening and closing it
in the process that works on it drops DuckDB's own lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import socket
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from din_core.store.errors import StoreError, folder_in_place_of

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.2


@contextlib.contextmanager
def run_lock(
    path: Path | str,
    *,
    owner: str,
    on_wait: Callable[[str], object] | None = None,
    way_out: str = "choose a writable home with DIN_HOME",
) -> Generator[None]:
    """Hold the lock of a pipeline's home; wait for whoever has it, and say for whom.

    Args:
        path: The lock file. It stays behind, empty, after the run; that is harmless.
        owner: Who is taking it, for the others to read: "run 3fa9 (make run)".
        on_wait: Called with a sentence when somebody else has it, and again whenever that is
            somebody else, or the holder was suspended meanwhile; by default it is logged.
        way_out: What to do where the file cannot be written or locked.

    Yields:
        Nothing; the lock is held inside the block. A killed holder's lock is released by the
        kernel, no clean-up needed.

    Raises:
        StoreError: The lock file cannot be written, or its file system has no locks.
    """
    path = Path(path)
    with contextlib.ExitStack() as stack:
        try:
            lock_file = _take(path, on_wait or logger.info)
        except (FileExistsError, NotADirectoryError) as error:
            raise StoreError(f"{path.parent} is not a folder; {way_out}") from error
        except OSError as error:
            raise folder_in_place_of(path) or StoreError(
                f"{path}: {error.strerror}; {way_out}"
            ) from error
        stack.enter_context(lock_file)
        holder = {"owner": owner, "pid": os.getpid(), "host": socket.gethostname(), "since": _now()}
        _write(lock_file, json.dumps(holder))
        try:
            yield
        finally:
            # An emptied file cannot name a holder who has left; closing it releases the lock.
            _write(lock_file, "")


def _take(path: Path, on_wait: Callable[[str], object]) -> TextIO:
    """Wait for the lock and return its open file."""
    said = None
    # Whoever took it this very moment has not written its name yet; on a full disk it never will.
    nameless = None
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock_file = path.open("a+", encoding="utf-8")
        try:
            while not _is_free(lock_file):
                holder = _holder(lock_file) or nameless
                if holder not in {said, None}:
                    said = holder
                    on_wait(f"waiting for {holder}, who has {path}")
                time.sleep(_POLL_SECONDS)
                nameless = "another run"
            # Whoever cleared the folder away meanwhile has taken the file's name from it.
            if _is_at(path, lock_file):
                return lock_file
        except BaseException:
            lock_file.close()
            raise
        lock_file.close()


def _is_at(path: Path, lock_file: TextIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(lock_file.fileno()))
    except FileNotFoundError:
        return False


def _is_free(lock_file: TextIO) -> bool:
    """Take the lock if nobody has it."""
    try:
        fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"


def _write(lock_file: TextIO, text: str) -> None:
    # A full disk must not stop a run at its lock: the description is a courtesy.
    with contextlib.suppress(OSError):
        lock_file.seek(0)
        lock_file.truncate()
        lock_file.write(text)
        lock_file.flush()


def _holder(lock_file: TextIO) -> str | None:
    """Who has the lock, as far as it is known; None where its name is not written yet."""
    lock_file.seek(0)
    try:
        holder = json.loads(lock_file.read())
        name = f"{holder['owner']} (process {holder['pid']}, since {holder['since']} UTC)"
        pid, host = int(holder["pid"]), str(holder["host"])
    except (ValueError, KeyError, TypeError):
        return None
    if host != socket.gethostname():
        return f"{name} on {host}"
    if _is_suspended(pid):
        return f"{name}, which is suspended (kill -CONT {pid} lets it go on)"
    return name


def _is_suspended(pid: int) -> bool:
    """Whether a process is stopped, as by Ctrl-Z; False where the system does not tell."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == "T"
