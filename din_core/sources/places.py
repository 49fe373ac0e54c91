"""Where a file of a source is: in a folder, or at a URL that fsspec knows (``s3://bucket/log.csv``).

A :class:`RemotePath` has what of :class:`pathlib.Path` the readers ask for, so that they are the
same for both. What may go wrong at a URL is an ``OSError``, as it is in a folder.
"""

from __future__ import annotations

import contextlib
import posixpath
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from din_core.sources.errors import SourceError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


@dataclass(frozen=True)
class RemotePath:
    """A file at a URL.

    Attributes:
        url: The URL.
    """

    url: str

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        """The last part of its path."""
        return posixpath.basename(self.url)

    def open(self, mode: str = "rb") -> Any:
        """Open the file to be read; a context manager.

        Raises:
            OSError: It is not there, or nobody may read it.
        """
        filesystem, key = _found(self.url)
        with _as_os_errors():
            return filesystem.open(key, mode)


# What filesystems (SFTP and SMB, HDFS) call the time of the last look: to read a file changes it.
_LAST_READ = {"time", "atime", "accessTime"}

#: A file, wherever it is.
Place = Path | RemotePath


@dataclass(frozen=True)
class FileState:
    """A file from outside.

    Attributes:
        size: Bytes.
        identity: What changes with the file: of a local one device, inode, size and the time of
            the last change of its content; of another one what its store says of it, but for when
            it was read.
        modified: Time of the last change of its content, in seconds since 1970.
        changed: Time of the last change of anything about it.
    """

    size: int
    identity: tuple[object, ...]
    modified: float
    changed: float


def is_url(path: str) -> bool:
    """Whether a path is a URL; one that a folder of this machine has is not."""
    return "://" in path


def state_of(place: Place) -> FileState:
    """Look at a file from outside.

    Raises:
        OSError: It is not there, nobody may look, or its size is not told.
    """
    if isinstance(place, Path):
        status = place.stat()
        identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        return FileState(
            status.st_size, identity, status.st_mtime, max(status.st_mtime, status.st_ctime)
        )
    filesystem, key = _found(place.url)
    with _as_os_errors():
        filesystem.invalidate_cache()
        details: dict[str, Any] = filesystem.info(key)
        try:
            modified = filesystem.modified(key).timestamp()
        except NotImplementedError:
            modified = time.time()  # it may have changed just now, as far as anybody can tell
    if details["size"] is None:
        raise OSError("its server does not say how large it is")
    told = tuple(
        sorted((name, str(value)) for name, value in details.items() if name not in _LAST_READ)
    )
    return FileState(int(details["size"]), told, modified, modified)


def find_remote(pattern: str) -> list[RemotePath]:
    """Resolve a URL or a glob of them, in the order of their paths.

    Args:
        pattern: A URL, or a glob as ``s3://logs/2024-*.csv.gz``.

    Raises:
        SourceError: Nothing is there, it is a folder, or what speaks to the store is not installed.
    """
    try:
        filesystem, key = _found(pattern)
        with _as_os_errors():
            filesystem.invalidate_cache()
            if filesystem.isfile(key):
                return [RemotePath(pattern)]
            if filesystem.isdir(key):
                raise SourceError(
                    f"{pattern}: this is a folder; name a file in it, or a glob as "
                    f"'{pattern.rstrip('/')}/*.csv'"
                )
            found = cast("dict[str, Any]", filesystem.glob(key, detail=True))
    except OSError as error:
        raise SourceError(f"{pattern}: {error}; check the URL and who may read there") from error
    files = sorted(path for path, details in found.items() if details["type"] == "file")
    if not files:
        raise SourceError(f"{pattern}: there is no such file; check the URL")
    return [RemotePath(str(filesystem.unstrip_protocol(path))) for path in files]


def _found(url: str) -> tuple[AbstractFileSystem, str]:
    from fsspec.core import url_to_fs

    try:
        filesystem, key = cast("tuple[AbstractFileSystem, str]", url_to_fs(url))
    except (ImportError, ValueError) as error:
        raise SourceError(f"{url}: this place cannot be read: {error}") from error
    return filesystem, key


@contextlib.contextmanager
def _as_os_errors() -> Generator[None]:
    """Let what a store's own library raises be an ``OSError``, as most of them have it."""
    try:
        yield
    except (OSError, SourceError, NotImplementedError):
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
