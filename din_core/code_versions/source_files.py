"""Source files as they lie on the disk, so that what was read of them once is not read again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class Stamp(NamedTuple):
    """A file, by what changes when somebody edits it.

    Attributes:
        path: The file.
        changed: Time of its last change, in nanoseconds since 1970.
        size: Bytes.
    """

    path: str
    changed: int
    size: int


def stamps(*roots: Path) -> tuple[Stamp, ...]:
    """Return the files below some folders, by their names, but for what Python compiled.

    It is asked some times for everything that is made: pathlib would take ten times as long.

    Args:
        roots: The folders.
    """
    found: list[Stamp] = []
    waiting = [os.fspath(root) for root in roots]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name != "__pycache__":
                        waiting.append(entry.path)
                elif entry.is_file() and not entry.name.endswith(".pyc"):
                    status = entry.stat()
                    found.append(Stamp(entry.path, status.st_mtime_ns, status.st_size))
    return tuple(sorted(found))
