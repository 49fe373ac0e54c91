"""What a source looks like from outside: its files, their size and times, without their content.

Whether content changed is said by its hash. A stamp says when the hash need not be computed again.
"""

from __future__ import annotations

import datetime
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

from din_core.sources.errors import SourceError
from din_core.sources.files import SourceFile, changed, find_files
from din_core.sources.parquet_rows import open_parquet
from din_core.sources.places import state_of

#: A file that changed later than this before it was looked at may change again unseen: two changes
#: within one tick of a file system's clock (two seconds on the coarsest) have one time.
_UNSAFE_SECONDS = 2.0


@dataclass(frozen=True)
class SourceLook:
    """A source from outside.

    Attributes:
        files: How many files it has.
        bytes: Their size on disk.
        modified: When the latest of them was written, in UTC.
        stamp: Changes with the place, the inode, the size or a time of a file, and so whenever
            somebody writes to one. The time of a file's last change is among them, which nobody
            sets: a copy that keeps the modification time shows, too.
        is_at_rest: Whether an equal stamp means equal content: no file changed just now.
        rows: Rows of all files, where each is Parquet and says so; None of text.
    """

    files: int
    bytes: int
    modified: datetime.datetime
    stamp: str
    is_at_rest: bool
    rows: int | None


def look_at(path: str) -> SourceLook:
    """Look at a source from outside; no more than the beginning of a file is read.

    Args:
        path: A file or a glob, as :attr:`din_core.config.SourceConfig.path`.

    Raises:
        SourceError: There is no such file, or it cannot be read.
    """
    files = find_files(path)
    now = time.time()
    digest = hashlib.sha256()
    modified, latest = 0.0, 0.0
    for file in files:
        try:
            state = state_of(file.path)
        except OSError as error:
            raise changed(file) from error
        stamp = str(file.path), file.name, *state.identity, state.changed
        digest.update(repr(stamp).encode("utf-8", "surrogateescape"))
        modified = max(modified, state.modified)
        latest = max(latest, state.changed)
    return SourceLook(
        files=len(files),
        bytes=sum(file.size for file in files),
        modified=datetime.datetime.fromtimestamp(modified, datetime.UTC),
        stamp=digest.hexdigest()[:32],
        is_at_rest=latest < now - _UNSAFE_SECONDS,
        rows=_rows(files),
    )


def _rows(files: Sequence[SourceFile]) -> int | None:
    if any(file.kind != "parquet" for file in files):
        return None
    try:
        return sum(_rows_of(file) for file in files)
    except (OSError, ValueError, SourceError):  # damaged; whoever reads its rows says so
        return None


def _rows_of(file: SourceFile) -> int:
    with open_parquet(file.path) as parquet:
        return int(parquet.metadata.num_rows)
