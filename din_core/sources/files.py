"""Which files a source is made of, and their plain bytes: globs, names, compression, content hash.

What a file is by its first bytes is said by :mod:`din_core.sources.formats`; what its rows are, by
:mod:`din_core.sources.csv_blocks` (text) and :mod:`din_core.sources.parquet_rows`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import glob
import hashlib
import lzma
import os
import stat
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, Protocol

import pyarrow as pa

from din_core.sources.errors import SourceError
from din_core.sources.formats import START_BYTES, Kind, recognise
from din_core.sources.globs import expand, once_each
from din_core.sources.places import FileState, Place, RemotePath, find_remote, is_url, state_of
from din_core.sources.xz_streams import XzStream

_PACKED = {".gz", ".zst", ".bz2", ".xz", ".lz4"}
_NO_FILES = {
    stat.S_IFIFO: "a pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True)
class SourceFile:
    """One file of a source.

    Attributes:
        path: Where it is.
        name: What the tables call it: its base name, or its path from the folder that all share
            where base names are not unique or would sort otherwise than the paths: rows of one
            time are taken in the order of the names. Never an absolute path, so that results do
            not depend on the machine.
        kind: ``text`` (delimited) or ``parquet``.
        compression: ``gzip``, ``zstd``, ``bz2``, ``xz``, ``lz4``, or None.
        size: Bytes on disk.
        identity: What changes with the file (:class:`~din_core.sources.places.FileState`).
        other_names: Further paths by which the pattern names it. It is read once.
    """

    path: Place
    name: str
    kind: Kind
    compression: str | None
    size: int
    identity: tuple[object, ...]
    other_names: tuple[str, ...] = ()


def find_files(pattern: str) -> list[SourceFile]:
    """Resolve a path, a URL or a glob to files, in the order of their paths.

    Args:
        pattern: A path or a URL, or a glob as ``logs/2024-*.csv.gz`` (``**`` descends).

    Returns:
        One entry per file, at least one; a file to which several names lead is one.

    Raises:
        SourceError: Nothing is there, or it is a folder, a pipe or a device, empty, unreadable or
            in a format that is not read.
    """
    if is_url(pattern):
        remote = find_remote(pattern)
        names = _names([PurePosixPath(path.url) for path in remote])
        return [_inspect_remote(path, name) for path, name in zip(remote, names, strict=True)]
    if exists(pattern):
        paths = [Path(pattern)]
    else:
        paths = [path for path in map(Path, expand(pattern)) if not path.is_dir()]
        paths.sort(key=Path.as_posix)
        if not paths and glob.has_magic(pattern):
            raise SourceError(
                f"{pattern}: no file matches this pattern (seen from {Path.cwd()}); check the path"
            )
        if not paths:
            raise SourceError(
                f"{pattern}: there is no such file (seen from {Path.cwd()}); check the path"
            )
    others = once_each(paths)
    names = _names([path.absolute() for path in others])
    files = [_inspect(path, name) for path, name in zip(others, names, strict=True)]
    return [
        dataclasses.replace(file, other_names=tuple(map(str, also)))
        for file, also in zip(files, others.values(), strict=True)
    ]


def exists(path: str) -> bool:
    """Whether there is a file or folder of exactly that name.

    Raises:
        SourceError: Nobody may look there, or the name is too long.
    """
    if "\0" in path:
        raise SourceError(f"{path!r}: a path has no NUL in it; check the path")
    try:
        return Path(path).exists()
    except OSError as error:  # no folder on the way may be looked into, or the name is too long
        raise SourceError(f"{path}: {error.strerror}; check the path") from error


def _names(paths: Sequence[PurePath]) -> list[str]:
    names = [path.name for path in paths]
    if names != sorted(set(names)):
        common = os.path.commonpath([path.parent for path in paths])
        names = [path.relative_to(common).as_posix() for path in paths]
    return names


def _inspect_remote(path: RemotePath, name: str) -> SourceFile:
    try:
        state = state_of(path)
        with path.open() as file:
            start: bytes = file.read(START_BYTES)
    except OSError as error:
        raise SourceError(f"{path}: {error}; make the file readable") from error
    return _recognised(path, name, start, state)


def _inspect(path: Path, name: str) -> SourceFile:
    if path.is_dir():
        raise SourceError(
            f"{path}: this is a folder; name a file in it, or a glob as '{path / _glob_of(path)}'"
        )
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        shown = str(path).encode(errors="surrogateescape").decode(errors="backslashreplace")
        raise SourceError(f"{shown}: the name of the file is not UTF-8; rename it") from error
    try:
        status = path.stat()
        # Opening a pipe would wait for somebody to write into it.
        if not stat.S_ISREG(status.st_mode):
            what = _NO_FILES.get(stat.S_IFMT(status.st_mode), "no regular file")
            raise SourceError(
                f"{path}: this is {what}, and a log is read more than once; write it to a file, "
                "and name that"
            )
        with path.open("rb") as file:
            start = file.read(START_BYTES)
        state = state_of(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):
            why = f"{path}: this link leads to no file; check where it points"
            raise SourceError(why) from error
        raise SourceError(f"{path}: {error.strerror}; make the file readable") from error
    return _recognised(path, name, start, state)


def _glob_of(folder: Path) -> str:
    """Return a pattern for files such as the first one in a folder, or in those below it."""
    for pattern in ("*", "**/*"):
        with contextlib.suppress(OSError):
            for path in folder.glob(pattern):
                if path.is_file() and not path.name.startswith((".", "_")):
                    is_packed = path.suffix in _PACKED and len(path.suffixes) > 1
                    return pattern + "".join(path.suffixes[-2 if is_packed else -1 :])
    return "*.csv"


def _recognised(path: Place, name: str, start: bytes, state: FileState) -> SourceFile:
    if not start:
        raise SourceError(f"{path}: the file is empty; it needs a header line and rows")
    kind, compression = recognise(start, path)
    return SourceFile(path, name, kind, compression, state.size, state.identity)


def changed(file: SourceFile) -> SourceError:
    """Return the error of a file that is not what it was when the reading began."""
    return SourceError(
        f"{file.path}: the file changed while it was read; nothing was kept of it. Run again when "
        "nobody writes to it, or read a copy"
    )


def refuse_changed(file: SourceFile) -> None:
    """Make sure that a file is still the one that :func:`find_files` saw.

    Raises:
        SourceError: It is another one, has grown, or was written to.
    """
    try:
        same = state_of(file.path).identity == file.identity
    except OSError:
        same = False
    if not same:
        raise changed(file)


class ByteStream(Protocol):
    """What the readers of text need of a file."""

    def read(self, size: int) -> bytes:
        """Return the next bytes, fewer than ``size`` only at the end."""
        ...


class HashedStream:
    """Decompressed bytes, hashed on their way.

    Attributes:
        sha256: Of what has been read, decompressed.
    """

    def __init__(self, stream: Any, raw: Any, path: Place) -> None:
        self._stream, self._raw, self._path = stream, raw, path
        self.sha256 = hashlib.sha256()

    def read(self, size: int) -> bytes:
        """Return the next bytes, fewer than ``size`` only at the end.

        Raises:
            SourceError: The compressed data is damaged or cut off.
        """
        parts: list[bytes] = []
        while size > 0:
            try:
                part: bytes = self._stream.read(size)
            except (OSError, EOFError, lzma.LZMAError) as error:
                raise SourceError(
                    f"{self._path}: the file is damaged or cut off ({error}); get it again"
                ) from error
            if not part:
                break
            parts.append(part)
            size -= len(part)
        content = parts[0] if len(parts) == 1 else b"".join(parts)
        self.sha256.update(content)
        return content

    def skip_to(self, place: int) -> None:
        """Go on at a byte of plain text; ``sha256`` is then not that of the whole text."""
        self._stream.seek(place)

    def position(self) -> int:
        """Return how many bytes of the file on disk have been read."""
        return int(self._raw.tell())


def _opened(place: Place) -> Any:
    if isinstance(place, Path):
        return pa.OSFile(str(place), "rb")
    return pa.PythonFile(place.open(), mode="r")


@contextlib.contextmanager
def open_text(file: SourceFile) -> Generator[HashedStream]:
    """Open the decompressed bytes of a text file.

    Args:
        file: A file of kind ``text``.

    Yields:
        A stream with ``read(size)``, ``position()`` (bytes of the file on disk) and ``sha256`` (of
        what has been read, decompressed).

    Raises:
        SourceError: The file is gone, or (while reading) the compressed data is damaged.
    """
    with contextlib.ExitStack() as stack:
        try:
            raw = stack.enter_context(_opened(file.path))
        except OSError as error:
            raise changed(file) from error
        stream: Any = raw
        if file.compression == "xz":
            stream = XzStream(raw)
        elif file.compression is not None:
            stream = stack.enter_context(pa.CompressedInputStream(raw, file.compression))
        yield HashedStream(stream, raw, file.path)
