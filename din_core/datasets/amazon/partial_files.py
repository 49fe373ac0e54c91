"""A file that is still arriving: ``<target>.part``, locked, with a note of what it is a part of.

Nothing here knows a network; :mod:`din_core.datasets.amazon.downloads` fills the part.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from din_core.errors import DinError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class DownloadError(DinError, RuntimeError):
    """A file could not be fetched or written: which, what came instead, and the way out."""


@dataclass(frozen=True)
class Origin:
    """What the server said about the whole file when its first byte was received.

    Attributes:
        url: Where the bytes come from.
        validator: A strong ``ETag`` or else ``Last-Modified``, as ``If-Range`` takes it; None
            where the server gives neither.
        total: Bytes of the whole file, None where unknown.
    """

    url: str
    validator: str | None
    total: int | None


class PartialFile:
    """``<target>.part``, open and locked; build it by :func:`open_part`.

    Attributes:
        target: The file it becomes.
        origin: What it is a part of; None while it is empty.
        size: Bytes received so far.
        pieced: True when the bytes come from more than one answer of a server.
    """

    def __init__(self, target: Path, descriptor: int) -> None:
        self.target = target
        self.path = _part_of(target)
        self._note = _note_of(target)
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size
        self.origin = self._read_note() if self.size else None
        self.pieced = self.size > 0
        if self.origin is None:
            # Bytes of unknown origin cannot be continued.
            self._truncate()

    def _read_note(self) -> Origin | None:
        try:
            note = cast("dict[str, Any]", json.loads(self._note.read_text(encoding="utf-8")))
            return Origin(url=note["url"], validator=note["validator"], total=note["total"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _truncate(self) -> None:
        if self.size:
            os.ftruncate(self._descriptor, 0)
        self.size, self.pieced, self.origin = 0, False, None

    def restart(self, origin: Origin | None = None) -> None:
        """Drop every byte received; the next ones are the first of ``origin``."""
        with explained(self.path):
            self._truncate()
            if origin is not None:
                self._note.write_text(json.dumps(asdict(origin)), encoding="utf-8")
        self.origin = origin

    def write(self, chunk: bytes) -> None:
        """Append bytes; a full disk raises :class:`DownloadError` and keeps what was written."""
        view = memoryview(chunk)
        with explained(self.path):
            while view:
                written = os.write(self._descriptor, view)
                self.size += written
                view = view[written:]

    def check_space(self, needed: int) -> None:
        """Raise :class:`DownloadError` when the disk has fewer than ``needed`` bytes left."""
        free = shutil.disk_usage(self.path.parent).free
        if needed > free:
            raise DownloadError(
                f"{self.target}: {needed:,} more bytes are needed and the disk has {free:,} left; "
                "free some space or choose another folder"
            )

    def publish(self) -> None:
        """Let the finished file appear under its name, whole, in one step."""
        with explained(self.path):
            os.fsync(self._descriptor)
            self.path.replace(self.target)
            self._note.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove the part: what was received is of no use."""
        self._truncate()
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)


def _part_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _note_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.part.json")


def forget_part(target: Path) -> None:
    """Remove the note that a kill between the last two steps of publishing leaves behind."""
    with explained(target):
        if not _part_of(target).exists():
            _note_of(target).unlink(missing_ok=True)


@contextmanager
def open_part(target: Path) -> Generator[PartialFile]:
    """Open what is there of ``target`` (or an empty part) under a lock.

    Raises:
        DownloadError: The folder cannot be written, or another process holds the part.
    """
    path = _part_of(target)
    with explained(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        if not _locked(descriptor, path):
            raise DownloadError(
                f"{path}: another process is fetching this file; wait for it, then run again"
            )
        with explained(path):
            part = PartialFile(target, descriptor)
        try:
            yield part
        finally:
            if part.size == 0:
                part.discard()
    finally:
        os.close(descriptor)


def _locked(descriptor: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    # Between open and lock another process may have finished: then this descriptor is its target.
    return path.exists() and os.path.samestat(os.fstat(descriptor), path.stat())


@contextmanager
def explained(path: Path) -> Generator[None]:
    """Turn the operating system's refusal to write ``path`` into a sentence with the way out."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            way_out = "free some space and run again"
        else:
            way_out = "check the folder's name and permissions or choose another folder"
        raise DownloadError(f"{path}: cannot be written ({error.strerror}); {way_out}") from error
