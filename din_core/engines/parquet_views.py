"""Views of the pipeline's database over Parquet tables, and tables written out as such.

The database's own commit decides which version of a table holds: a view names the folder that it
reads, and is replaced in the transaction that makes the table.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from din_core import store
from din_core.engines.parquet_tables import BUCKET, ParquetRoot, ParquetTable
from din_core.store.sql_files import literal, quote

if TYPE_CHECKING:
    import duckdb

_READ = re.compile(r"read_parquet\('((?:[^']|'')*)/\*\*/\*\.parquet'")


def create(con: duckdb.DuckDBPyConnection, root: ParquetRoot, name: str, folder: str) -> None:
    """Make the view of a table, comments included, in the caller's transaction.

    Args:
        con: The pipeline's database.
        root: Where the tables lie.
        name: The table.
        folder: Its version, complete.
    """
    files = literal(f"{root.url_of(folder)}/**/*.parquet")
    read = f"read_parquet({files}, hive_partitioning = false)"
    described = con.execute(f"describe select * from {read}").fetchall()
    columns = ", ".join(quote(str(column)) for column, *_ in described)
    store.create_view_as(con, name, f"select {columns} from {read}")


def folder_of(con: duckdb.DuckDBPyConnection, root: ParquetRoot, name: str) -> str | None:
    """Return the version that a view reads, below the root; None of any other relation.

    Args:
        con: The pipeline's database.
        root: Where the tables lie.
        name: A relation.
    """
    found = con.execute(
        "select sql from duckdb_views() where view_name = ? and not internal "
        "and database_name = current_database()",
        [name],
    ).fetchall()
    read = _READ.search(str(found[0][0])) if found else None
    place = read[1].replace("''", "'") if read else ""
    root_place = root.url_of("")
    return place.removeprefix(root_place).strip("/") if place.startswith(root_place) else None


def described(
    con: duckdb.DuckDBPyConnection, name: str, folder: str, *, bucketed: bool
) -> ParquetTable:
    """Describe the version that a view reads.

    Args:
        con: The pipeline's database.
        name: The view.
        folder: The version.
        bucketed: Whether its files lie in folders by user.
    """
    return ParquetTable(
        folder=folder,
        columns=store.column_types(con, name),
        rows=store.row_count(con, name),
        bucketed=bucketed,
    )


def write_out(
    con: duckdb.DuckDBPyConnection, root: ParquetRoot, name: str, *, buckets: int
) -> ParquetTable:
    """Write a table of the database as Parquet; the database keeps its own.

    Args:
        con: The pipeline's database.
        root: Where the tables lie.
        name: The table.
        buckets: Into how many folders users are spread.
    """
    folder = root.new_folder(name)
    columns = store.column_types(con, name)
    bucket = "user_idx" in columns
    root.make(folder)
    target = root.url_of(folder)
    if bucket:
        con.execute(
            f"copy (select *, user_idx % {buckets} as {BUCKET} from {quote(name)}) "
            f"to {literal(target)} (format parquet, partition_by ({BUCKET}))"
        )
    if not bucket or not root.files(folder):
        # Of a table without rows nothing would be written, not even its columns.
        con.execute(
            f"copy (from {quote(name)}) to {literal(f'{target}/part-0.parquet')} (format parquet)"
        )
    return described(con, name, folder, bucketed=bucket)
