"""Connections, transactions, and tables made from the SQL files.

DuckDB lets one process write or many read. So a connection here is short, always closed, and
explains itself when another process holds the file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import duckdb

from din_core.machine import limits
from din_core.store import kept_instance, sql_files, table_files
from din_core.store.errors import StoreError, damage, explain, shortage

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


@contextlib.contextmanager
def connect(
    path: Path | str,
    *,
    read_only: bool = False,
    filesystem: AbstractFileSystem | None = None,
    memory_limit: str | None = None,
    threads: int | None = None,
    temp_directory: Path | str | None = None,
) -> Generator[duckdb.DuckDBPyConnection]:
    """Open a database file, and close it whatever happens.

    Args:
        path: The file, or ``":memory:"``. Its folder is made when writing.
        read_only: Open for reading; several processes may, as long as none writes.
        filesystem: Where Parquet files lie that its views read, such as an object store; folders of
            this machine need none.
        memory_limit: DuckDB's limit, as ``"6GB"``; by default four fifths of the memory that this
            process may use. What does not fit goes to ``temp_directory``.
        threads: DuckDB's threads; by default as many as are of use to a file's tables
            (:mod:`din_core.store.threads`), and in memory the cores that this process may use.
        temp_directory: Where DuckDB spills; by default beside the file.

    Yields:
        The open connection.

    Raises:
        StoreError: The file is missing, no database, held by another process, or damaged; the
            last also where a query inside the block meets the damage. Or the disk or the memory
            came to its end inside the block.
    """
    in_memory = str(path) == ":memory:"
    if not in_memory:
        path = Path(path)
        if read_only and not path.exists():
            raise StoreError(
                f"{path}: no such database; run the pipeline once (make run) to create it"
            )
        if not read_only:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(f"{path.parent}: {error.strerror}") from error
    settings = {"memory_limit": memory_limit or default_memory_limit()}
    if threads is not None or in_memory:
        settings["threads"] = str(threads or limits.cores())
    if temp_directory is not None:
        settings["temp_directory"] = str(temp_directory)
    if not read_only:
        # A table that is made goes to the file at once, and not by way of the log.
        settings["checkpoint_threshold"] = "1MB"
    with contextlib.ExitStack() as stack:
        try:
            connection = stack.enter_context(
                kept_instance.opened(path, read_only=read_only, settings=settings)
            )
        except duckdb.Error as error:
            raise explain(path, error) from error
        try:
            if filesystem is not None:
                _register(connection, filesystem)
            yield connection
        except duckdb.Error as error:
            # What a damaged file holds shows only when it is read. In memory there is no such file;
            # an attached one is its caller's.
            if not in_memory and (damaged := damage(path, error)):
                raise damaged from error
            if lost := table_files.explain(connection, error):
                raise lost from error
            if short := shortage(path, error):
                raise short from error
            raise


def _register(con: duckdb.DuckDBPyConnection, filesystem: AbstractFileSystem) -> None:
    protocol = filesystem.protocol
    name = protocol if isinstance(protocol, str) else protocol[0]
    # Connections of one process to one file share what is registered.
    if not con.filesystem_is_registered(name):
        con.register_filesystem(filesystem)


class Limits(TypedDict):
    """What a connection may use, as :func:`connect` takes it."""

    memory_limit: str
    threads: int
    temp_directory: str


def limits_of(con: duckdb.DuckDBPyConnection) -> Limits:
    """Return what a connection may use, for another one that takes its place."""
    names = ", ".join(f"current_setting({sql_files.literal(each)})" for each in _LIMITS)
    [(memory_limit, threads, temp_directory)] = con.execute(f"select {names}").fetchall()
    return Limits(memory_limit=memory_limit, threads=threads, temp_directory=temp_directory)


_LIMITS = ("memory_limit", "threads", "temp_directory")


def default_memory_limit() -> str:
    """Return four fifths of the memory that this process may use, as DuckDB takes it."""
    return f"{limits.memory() * 4 // 5 >> 20}MiB"


@contextlib.contextmanager
def transaction(con: duckdb.DuckDBPyConnection) -> Generator[None]:
    """Keep everything that happens inside, or, after an exception, nothing of it.

    Args:
        con: A connection without an open transaction.
    """
    con.execute("begin transaction")
    try:
        yield
    except BaseException:
        # The engine may have given up the transaction by itself, as after a failed commit or on
        # a full disk; what the caller must see is the first error.
        with contextlib.suppress(duckdb.Error):
            con.execute("rollback")
        raise
    con.execute("commit")


def create_table(
    con: duckdb.DuckDBPyConnection, name: str, *, variant: str | None = None, **options: object
) -> int:
    """Make a table from its SQL file, inside the caller's transaction, comments included.

    Args:
        con: The connection.
        name: Name of the table and of its file.
        variant: Variant of the file, as ``popularity`` of ``negatives``.
        **options: The template's options.

    Returns:
        Rows of the table.
    """
    select = sql_files.render(name, variant=variant, **options)
    _make_room(con, name, kind="table")
    answer = con.execute(f"create or replace table {sql_files.quote(name)} as\n{select}").fetchone()
    _comment(con, name, kind="table")
    return int(answer[0]) if answer else 0


def create_view(
    con: duckdb.DuckDBPyConnection, name: str, *, variant: str | None = None, **options: object
) -> None:
    """Make a view from its SQL file, inside the caller's transaction, comments included.

    Args:
        con: The connection.
        name: Name of the view and of its file.
        variant: Variant of the file.
        **options: The template's options.
    """
    create_view_as(con, name, sql_files.render(name, variant=variant, **options))


def create_view_as(con: duckdb.DuckDBPyConnection, name: str, select: str) -> None:
    """Make a view of a query, inside the caller's transaction, with the comments of its name.

    Args:
        con: The connection.
        name: Name of the view.
        select: The query.
    """
    _make_room(con, name, kind="view")
    con.execute(f"create or replace view {sql_files.quote(name)} as\n{select}")
    _comment(con, name, kind="view")


def _make_room(con: duckdb.DuckDBPyConnection, name: str, *, kind: str) -> None:
    """Drop a relation of the other kind, which an earlier version of this program made."""
    other = "view" if kind == "table" else "table"
    # Not `relations`: to be told of all of them takes twice as long, for each table that is made.
    found = con.execute(
        f"select 1 from duckdb_{other}s() where {other}_name = {sql_files.literal(name)} "
        "and database_name = current_database() and schema_name = current_schema()"
    ).fetchone()
    if found:
        con.execute(f"drop {other} {sql_files.quote(name)}")


def _comment(con: duckdb.DuckDBPyConnection, name: str, *, kind: str) -> None:
    nothing = dict[str | None, str | None].fromkeys([None, *column_types(con, name)])
    _describe(con, name, kind, nothing)


def _describe(
    con: duckdb.DuckDBPyConnection, name: str, kind: str, said: Mapping[str | None, str | None]
) -> None:
    """Comment on a relation, by None, and its columns, by name, where it is not said already."""
    described = sql_files.schema(name)
    table = sql_files.quote(name)
    statements: list[str] = []
    for column, text_before in said.items():
        thing = f"{kind} {table}" if column is None else f"column {table}.{sql_files.quote(column)}"
        text = described.description if column is None else described.column(column)
        if text and text != text_before:
            statements.append(f"comment on {thing} is {sql_files.literal(text)};")
    if statements:
        con.execute("\n".join(statements))


def describe_all(con: duckdb.DuckDBPyConnection) -> None:
    """Give every table and view the comments that ``sql/schema.yml`` has for it by now."""
    kinds = relations(con)
    said: dict[str, dict[str | None, str | None]] = {name: {} for name in kinds}
    for name, column, text in con.execute(
        "select table_name, null, comment from duckdb_tables() "
        "where database_name = current_database() and schema_name = current_schema() "
        "union all select view_name, null, comment from duckdb_views() "
        "where database_name = current_database() and schema_name = current_schema() "
        "union all select table_name, column_name, comment from duckdb_columns() "
        "where database_name = current_database() and schema_name = current_schema()"
    ).fetchall():
        if name in said:
            said[name][column] = text
    for name, kind in kinds.items():
        _describe(con, name, kind, said[name])


def relations(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return the tables and views of the database, each with its kind: ``table`` or ``view``."""
    found = con.execute(
        "select table_name, 'table' from duckdb_tables() "
        "where database_name = current_database() and schema_name = current_schema() "
        "union all "
        "select view_name, 'view' from duckdb_views() "
        "where database_name = current_database() and schema_name = current_schema()"
    ).fetchall()
    return {str(name): str(kind) for name, kind in found}


def column_types(con: duckdb.DuckDBPyConnection, name: str) -> dict[str, str]:
    """Return the type of each column of a table or view, in their order, as DuckDB spells it."""
    described = con.execute(f"describe {sql_files.quote(name)}").fetchall()
    return {str(column): str(kind) for column, kind, *_ in described}


def row_count(con: duckdb.DuckDBPyConnection, name: str) -> int:
    """Count the rows of a table or view."""
    return int(con.execute(f"select count(*) from {sql_files.quote(name)}").fetchall()[0][0])


def unregister(con: duckdb.DuckDBPyConnection, name: str) -> None:
    """Take back what was registered under a name, also after a query of the transaction failed.

    An aborted transaction refuses it and rolls it back itself. What made the query fail is then
    what is told, not the refusal.

    Args:
        con: Connection.
        name: The name.
    """
    with contextlib.suppress(duckdb.TransactionException):
        con.unregister(name)
