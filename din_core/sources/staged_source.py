"""A source whose rows are staged as ``source_rows``, whatever engine holds them.

Which rows can be used is asked of the engine, by the files of ``sql/ingest``. How rows get there is
said by :mod:`~din_core.sources.staging` (DuckDB) and :mod:`~din_core.sources.staged_parquet`
(Spark).
"""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from din_core.engines.engine import Engine
from din_core.sources.content_hashes import hash_together
from din_core.sources.rendering import IngestContext

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Staged:
    """What the staging found in the content.

    Attributes:
        digests: Hash of each file's content, in hexadecimal.
        integers: Columns that are staged as BIGINT, the others are VARCHAR.
        rows: Rows that were read, good and bad.
        continued: Lines that belong to a quoted value of an earlier line.
        notes: What of the text may have been read otherwise than it was meant, one sentence each.
    """

    digests: tuple[str, ...]
    integers: frozenset[str]
    rows: int
    continued: int
    notes: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """Hash of the whole content, in hexadecimal."""
        return hash_together(self.digests)


@dataclass(frozen=True)
class Progress:
    """How far the reading is.

    Attributes:
        bytes_read: Bytes of the files on disk that have been read.
        bytes_total: Bytes of all files.
        rows: Rows read so far.
    """

    bytes_read: int
    bytes_total: int
    rows: int


class StagedSource(abc.ABC):
    """Rows of a source on an engine.

    Args:
        engine: The engine.
        con: The pipeline's database.
        found: What the content was.
    """

    def __init__(self, engine: Engine, con: duckdb.DuckDBPyConnection, found: Staged) -> None:
        self.engine, self.con, self.found = engine, con, found

    def read(self, name: str, context: IngestContext, **options: Any) -> Sequence[Sequence[Any]]:
        """Return the rows of a query of ``sql/ingest``, in no order that means anything.

        Args:
            name: The file.
            context: What it is rendered with.
            **options: What it takes beside that.
        """
        select = self.engine.render(name, **context.variables(), **options)
        return self.engine.query(self.con, select).rows

    @abc.abstractmethod
    def empty_words(self, columns: Sequence[str]) -> None:
        """Let each word for nothing in some columns of text be the empty value.

        Args:
            columns: The columns.
        """

    @abc.abstractmethod
    def restore_raw(self, judging: IngestContext) -> None:
        """Fetch, for rows that the SQL rejects, what was written: ``raw``.

        Args:
            judging: What the template ``rejected_rows`` takes, ``coding`` included.

        Raises:
            SourceError: A file is not the one that was read before.
        """

    @abc.abstractmethod
    def rejected_alone(self) -> contextlib.AbstractContextManager[None]:
        """Let ``source_rows`` be those that are rejected, whole, where that is all that is asked.

        Only after :meth:`restore_raw`, and an engine may leave all of them there.
        """

    @abc.abstractmethod
    def discard(self) -> None:
        """Give back the space of the staged rows, once the tables are made of them."""
