"""What goes wrong with a database file, in sentences that say who is in the way and what to do."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import duckdb

from din_core.errors import DinError

# How DuckDB speaks of bytes that are not what it wrote, of its file and of the log beside it.
_DAMAGE = re.compile(
    r"not a valid DuckDB database file|Corrupt (?:database|WAL) file|Failure while replaying WAL"
    r"|Could not read enough bytes from file|Serialization Error|computed checksum"
)
_FILE_READ = re.compile(r'read enough bytes from file "(?P<path>.+?)"')
_HOLDER = re.compile(r"held in (?P<program>.+?) \(PID (?P<pid>\d+)\)")

_DISK_TROUBLES = tuple(
    os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
)
_REFUSALS = tuple(os.strerror(code) for code in (errno.EACCES, errno.EPERM, errno.EROFS))


class StoreError(DinError):
    """A database file cannot be opened, written or published; the message says the way out."""


def folder_in_place_of(*files: Path | str) -> StoreError | None:
    """Say that a folder stands where a file belongs, as Docker makes one for a mount.

    Args:
        files: Files that are to be written.

    Returns:
        The error to raise; None where none of them is a folder.
    """
    for file in map(Path, files):
        if file.is_dir():
            return StoreError(
                f"{file} is a folder, where a file belongs; move it away, and run again"
            )
    return None


def explain(path: Path | str, error: duckdb.Error) -> StoreError:
    """Turn an engine's error about a file into a sentence with a way out.

    Args:
        path: The database file.
        error: What DuckDB raised.

    Returns:
        The error to raise instead.
    """
    text = str(error)
    if holder := _HOLDER.search(text):
        return StoreError(
            f"{path}: process {holder['pid']} ({holder['program']}) has this file open; close it "
            "there. To look at results, open the published warehouse.duckdb read-only instead"
        )
    if "Could not set lock" in text:
        return StoreError(
            f"{path}: another process has this file open; close it there. To look at results, "
            "open the published warehouse.duckdb read-only instead"
        )
    if "different configuration" in text or "Unique file handle conflict" in text:
        return StoreError(
            f"{path}: this process has the file open already, once for reading and once for "
            "writing; close the other connection first"
        )
    return (
        damage(path, error)
        or shortage(path, error)
        or folder_in_place_of(path, f"{path}.wal")
        or StoreError(f"{path}: {text}")
    )


def damage(path: Path | str, error: duckdb.Error) -> StoreError | None:
    """Recognise damage to a database file, which may show at its opening or in any later query.

    Args:
        path: The database file.
        error: What DuckDB raised.

    Returns:
        The error to raise instead; None where the file is not to blame.
    """
    text = " ".join(str(error).split())
    if not _DAMAGE.search(text):
        return None
    if (read := _FILE_READ.search(text)) and read["path"] not in (str(path), f"{path}.wal"):
        return None  # another file, such as a source
    name = Path(path).name
    return StoreError(
        f"{path}: damaged, or not a DuckDB database ({text}); move {name} away, and {name}.wal "
        "where it is there, and run again: everything in it is made from the source"
    )


def shortage(path: Path | str, error: duckdb.Error) -> StoreError | None:
    """Recognise what any statement can meet: no room, no memory, or a file that is not ours.

    Args:
        path: The database file.
        error: What DuckDB raised.

    Returns:
        The error to raise instead; None where the machine is not to blame.
    """
    text = str(error)
    if any(trouble in text for trouble in _DISK_TROUBLES):
        return StoreError(
            f"{path}: the disk cannot take more ({text}); make room there, or let DIN_HOME name a "
            "folder on another disk, and run again: what was committed stays"
        )
    if any(refusal in text for refusal in _REFUSALS):
        return StoreError(
            f"{path}: may not be opened or written ({text}); give this user the right to read and "
            "write it and its folder, or let DIN_HOME name a folder of this user's, and run "
            "again: what was committed stays"
        )
    if "Out of Memory Error" in text:
        return StoreError(
            f"{path}: {text}; what was committed stays. Give DuckDB more memory, or a disk with "
            "room to spill to (resources: store: config: memory_limit)"
        )
    return None
