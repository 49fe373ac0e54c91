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
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from din_core.warehouse.errors import WarehouseError

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def run_lock(
    path: Path | str, *, owner: str, on_wait: Callable[[str], None] | None = None
) -> Generator[None]:
    """Hold the lock of a pipeline's home; wait for whoever has it, and say for whom.

    Args:
        path: The lock file. It stays behind, empty, after the run; that is harmless.
        owner: Who is taking it, for the others to read: "run 3fa9 (make run)".
        on_wait: Called once with a sentence when somebody else has it; by default it is logged.

    Yields:
        Nothing; the lock is held inside the block. A killed holder's lock is released by the
        kernel, no clean-up needed.

    Raises:
        WarehouseError: The lock file cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock_file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise WarehouseError(
            f"{path}: {error.strerror}; choose a writable home with DIN_HOME"
        ) from error
    with lock_file:
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            (on_wait or logger.info)(f"waiting for {_holder(lock_file)}, who has {path}")
            fcntl.flock(lock_file, fcntl.LOCK_EX)
        _write(
            lock_file,
            json.dumps({"owner": owner, "pid": os.getpid(), "since": _now()}),
        )
        try:
            yield
        finally:
            # An emptied file cannot name a holder who has left; closing it releases the lock.
            _write(lock_file, "")


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"


def _write(lock_file: TextIO, text: str) -> None:
    # A full disk must not stop a run at its lock: the description is a courtesy.
    with contextlib.suppress(OSError):
        lock_file.seek(0)
        lock_file.truncate()
        lock_file.write(text)
        lock_file.flush()


def _holder(lock_file: TextIO) -> str:
    lock_file.seek(0)
    try:
        holder = json.loads(lock_file.read())
        return f"{holder['owner']} (process {holder['pid']}, since {holder['since']} UTC)"
    except (ValueError, KeyError, TypeError):
        # Taken this very moment, before its holder wrote its name.
        return "another run"
