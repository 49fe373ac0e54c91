"""Which files a source is made of, and their plain bytes: globs, names, compression, content hash.

What the bytes mean is :mod:`din_core.sources.csv_blocks`'s business (text) or
:mod:`din_core.sources.parquet_rows`'s. Compression is read off a file's first bytes, not its name,
so a ``.csv`` that is gzipped in truth works all the same.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import pyarrow as pa

from din_core.sources.errors import SourceError

Kind = Literal["text", "parquet"]

_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


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
        compression: ``gzip``, ``zstd``, ``bz2``, or None.
        size: Bytes on disk.
    """

    path: Path
    name: str
    kind: Kind
    compression: str | None
    size: int


def find_files(pattern: str) -> list[SourceFile]:
    """Resolve a path or a glob to files, in the order of their paths.

    Args:
        pattern: A path, or a glob as ``logs/2024-*.csv.gz`` (``**`` descends).

    Returns:
        One entry per file, at least one.

    Raises:
        SourceError: Nothing is there, or it is a folder, empty, unreadable or in a format that is
            not read.
    """
    if Path(pattern).exists():
        paths = [Path(pattern)]
    else:
        found = glob.glob(pattern, recursive=True)  # noqa: PTH207 (the pattern may be absolute)
        paths = [path for path in map(Path, found) if not path.is_dir()]
        paths.sort(key=Path.as_posix)
        if not paths and glob.has_magic(pattern):
            raise SourceError(
                f"{pattern}: no file matches this pattern (seen from {Path.cwd()}); check the path"
            )
        if not paths:
            raise SourceError(
                f"{pattern}: there is no such file (seen from {Path.cwd()}); check the path"
            )
    return [_inspect(path, name) for path, name in zip(paths, _names(paths), strict=True)]


def _names(paths: Sequence[Path]) -> list[str]:
    names = [path.name for path in paths]
    if names != sorted(set(names)):
        common = os.path.commonpath([path.parent.absolute() for path in paths])
        names = [path.absolute().relative_to(common).as_posix() for path in paths]
    return names


def _inspect(path: Path, name: str) -> SourceFile:
    if path.is_dir():
        raise SourceError(
            f"{path}: this is a folder; name a file in it, or a glob as '{path / '*.csv'}'"
        )
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}; make the file readable") from error
    if not start and path.is_file():
        raise SourceError(f"{path}: the file is empty; it needs a header line and rows")
    if start == b"PAR1":
        return SourceFile(path, name, "parquet", None, size)
    if start == b"PK\x03\x04":
        raise SourceError(
            f"{path}: this is a zip archive or a spreadsheet; unpack it, or save it as CSV"
        )
    for magic, compression in _COMPRESSIONS.items():
        if start.startswith(magic):
            return SourceFile(path, name, "text", compression, size)
    return SourceFile(path, name, "text", None, size)


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

    def __init__(self, stream: Any, raw: Any, path: Path) -> None:
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
            except OSError as error:
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

    def position(self) -> int:
        """Return how many bytes of the file on disk have been read."""
        return int(self._raw.tell())


@contextlib.contextmanager
def open_text(file: SourceFile) -> Generator[HashedStream]:
    """Open the decompressed bytes of a text file.

    Args:
        file: A file of kind ``text``.

    Yields:
        A stream with ``read(size)``, ``position()`` (bytes of the file on disk) and ``sha256`` (of
        what has been read, decompressed).

    Raises:
        SourceError: The text is UTF-16, or (while reading) the compressed data is damaged.
    """
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(pa.OSFile(str(file.path), "rb"))
        stream = raw
        if file.compression is not None:
            stream = stack.enter_context(pa.CompressedInputStream(raw, file.compression))
        yield HashedStream(stream, raw, file.path)


def refuse_other_encodings(file: SourceFile, start: bytes) -> None:
    """Refuse text that is not bytes with ASCII in them, as UTF-16 is not.

    Args:
        file: The file, for the message.
        start: Its first bytes, decompressed.

    Raises:
        SourceError: The text is UTF-16 or UTF-32, or no text at all.
    """
    if start.startswith(_UTF_16) or b"\0" in start[:4096]:
        what = "UTF-16" if start.startswith(_UTF_16) or start[1:2] == b"\0" else "not text"
        raise SourceError(
            f"{file.path}: this is {what}, and UTF-8 is expected; convert it, for example with "
            f"`iconv -f UTF-16 -t UTF-8 {file.path.name}`"
        )
    if not start:
        raise SourceError(f"{file.path}: the file is empty; it needs a header line and rows")
