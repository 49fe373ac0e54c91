"""Folders that a process reads from, so that nobody removes them under it.

A reader holds a shared lock on the folder's manifest. Who removes a folder asks for the lock alone,
and leaves what somebody holds. Nothing but Python's own library is imported here, so that a program
which serves a model can use it. Of a killed process nothing is left: its locks go with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import weakref
from collections.abc import Generator
from pathlib import Path

from din_core.manifests import MANIFEST


def hold_while_alive(reader: object, folder: Path) -> None:
    """Hold a folder as long as an object exists.

    Where the file system has no locks, or the folder no manifest, nothing is held.

    Args:
        reader: What reads from the folder.
        folder: The folder.
    """
    with contextlib.suppress(OSError):
        descriptor = os.open(folder / MANIFEST, os.O_RDONLY)
        weakref.finalize(reader, os.close, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)


@contextlib.contextmanager
def alone_with(folder: Path) -> Generator[bool]:
    """Say whether nobody holds a folder, and let nobody begin to inside the block.

    Args:
        folder: The folder; one without a manifest is held by nobody.

    Yields:
        Whether nobody does.
    """
    try:
        descriptor = os.open(folder / MANIFEST, os.O_RDONLY)
    except OSError:
        yield True
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_alone = True
        except BlockingIOError:
            is_alone = False
        except OSError:  # a file system without locks
            is_alone = True
        yield is_alone
    finally:
        os.close(descriptor)
