"""A source staged in temporary tables of the pipeline's database."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from din_core.engines.engine import DUCKDB
from din_core.sources import staging
from din_core.sources.layout import Layout
from din_core.sources.rendering import IngestContext
from din_core.sources.staged_source import Progress, StagedSource
from din_core.store import sql_files

if TYPE_CHECKING:
    import duckdb


class StagedTables(StagedSource):
    """Rows of a source in DuckDB, where the temporary view ``source_rows`` has them.

    Args:
        con: The connection; what is made is temporary and goes with it.
        layout: The source.
        on_progress: Told after each block how far it is.

    Raises:
        SourceError: A file is damaged, or changed while it was read.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        layout: Layout,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        super().__init__(DUCKDB, con, staging.load(con, layout, on_progress))
        self._layout = layout

    def empty_words(self, columns: Sequence[str]) -> None:
        """Update the rows; see :meth:`StagedSource.empty_words`."""
        staging.empty_words(self.con, columns)

    def restore_raw(self, judging: IngestContext) -> None:
        """Read just those lines again; see :meth:`StagedSource.restore_raw`."""
        rejecting = sql_files.render("rejected_rows", **judging.variables())
        staging.restore_raw(self.con, self._layout, rejecting, self.found.digests)

    def rejected_alone(self) -> contextlib.AbstractContextManager[None]:
        """Leave all rows there: those that are rejected are found at once."""
        return contextlib.nullcontext()

    def discard(self) -> None:
        """Drop the temporary tables."""
        staging.discard(self.con)
