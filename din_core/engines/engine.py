"""What makes the tables: DuckDB itself, or a cluster whose tables DuckDB reads.

Either way the pipeline's database has a relation of each table's name when a table is made, so that
whatever comes later asks one place.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from din_core import store
from din_core.store import sql_files

if TYPE_CHECKING:
    import duckdb


class Answer(NamedTuple):
    """What a query gave.

    Attributes:
        columns: Names of its columns.
        rows: Its rows, in no order that means anything.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


class Engine(Protocol):
    """Makes tables and views from the files of ``sql/`` and answers queries over them."""

    @property
    def name(self) -> str:
        """The engine, as it is chosen and shown."""
        ...

    def transaction(self) -> contextlib.AbstractContextManager[None]:
        """Let what is made inside hold when the block ends well, and nothing of it otherwise.

        It goes around the transaction of the pipeline's database, whose commit decides.
        """
        ...

    def create_table(
        self,
        con: duckdb.DuckDBPyConnection,
        name: str,
        *,
        variant: str | None = None,
        **options: object,
    ) -> int:
        """Make a table from its file; return its rows.

        Args:
            con: The pipeline's database, in a transaction.
            name: Name of the table and of its file.
            variant: Variant of the file.
            **options: The template's options.
        """
        ...

    def create_view(
        self,
        con: duckdb.DuckDBPyConnection,
        name: str,
        *,
        variant: str | None = None,
        **options: object,
    ) -> None:
        """Make a view from its file; arguments as of :meth:`create_table`."""
        ...

    def query(self, con: duckdb.DuckDBPyConnection, select: str) -> Answer:
        """Answer a query, in the words of :meth:`render`, over the tables as they are now."""
        ...

    def hand_over(self, con: duckdb.DuckDBPyConnection, name: str) -> None:
        """Let the queries that follow read a temporary table of the connection."""
        ...

    def render(self, name: str, *, variant: str | None = None, **options: object) -> str:
        """Render a file of ``sql/`` as :meth:`query` takes it."""
        ...


class _DuckDb:
    """The pipeline's database itself."""

    name = "duckdb"

    def transaction(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def create_table(
        self,
        con: duckdb.DuckDBPyConnection,
        name: str,
        *,
        variant: str | None = None,
        **options: object,
    ) -> int:
        return store.create_table(con, name, variant=variant, **options)

    def create_view(
        self,
        con: duckdb.DuckDBPyConnection,
        name: str,
        *,
        variant: str | None = None,
        **options: object,
    ) -> None:
        store.create_view(con, name, variant=variant, **options)

    def query(self, con: duckdb.DuckDBPyConnection, select: str) -> Answer:
        found = con.execute(select)
        return Answer([column[0] for column in found.description or ()], found.fetchall())

    def hand_over(self, con: duckdb.DuckDBPyConnection, name: str) -> None:
        """Nothing to do: it reads the table itself."""

    def render(self, name: str, *, variant: str | None = None, **options: object) -> str:
        return sql_files.render(name, variant=variant, **options)


#: The engine of one machine, and what there is without a choice.
DUCKDB: Engine = _DuckDb()
