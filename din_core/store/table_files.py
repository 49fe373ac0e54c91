"""Tables that lie in Parquet: which file of which table a query could not read, and why.

DuckDB names the file for some kinds of damage. Where bytes in the middle are wrong it often says no
more than what its decoder met; where a file is another table's it names a column. Then each file is
looked at alone.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import duckdb

from din_core.store.errors import StoreError
from din_core.store.query_relations import select_of
from din_core.store.sql_files import literal

# What a view over files reads, as DuckDB keeps its text.
_LIST = re.compile(r"read_parquet\(list_value\(((?:'(?:[^']|'')*'(?:, )?)+)\)")
_FILE = re.compile(r"'((?:[^']|'')*)'")
# A file of a version of a table, as :mod:`din_core.engines.parquet_tables` lays them out.
_VERSION_OF_TABLE = re.compile(r"/\w+/[0-9a-f]{12}/")
_TABLE_FILE = re.compile(r"(?P<path>[^\s'\"]*/(?P<table>\w+)/[0-9a-f]{12}/[^'\"]*\.parquet)")
# Those that DuckDB raises of a file that it names.
_NAMES_FILE = (duckdb.IOException, duckdb.InvalidInputException, duckdb.ConversionException)
# Those of columns that are not there, or of another type.
_OF_COLUMNS = (duckdb.BinderException, duckdb.InvalidInputException, duckdb.ConversionException)


# A file that is being written is not to blame.
_NO_ROOM = tuple(
    os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
)


@dataclass(frozen=True)
class TableFiles:
    """A table that lies in files.

    Attributes:
        name: The table.
        files: Its files.
        select: Makes the query of its rows, of one file alone; each column has its type there.
    """

    name: str
    files: Sequence[str]
    select: Callable[[str], str]


def files_in(select: str) -> list[str]:
    """Return the files that a view reads; none of a query that reads none.

    Args:
        select: The view's query, as DuckDB keeps it.
    """
    read = _LIST.search(select)
    return [each.replace("''", "'") for each in _FILE.findall(read[1])] if read else []


def of_views(con: duckdb.DuckDBPyConnection) -> list[TableFiles]:
    """Return the tables that the views of a connection's databases read from files."""
    found = con.execute("select view_name, sql from duckdb_views() where not internal").fetchall()
    views = [(str(name), select_of(str(sql))) for name, sql in found]
    return [
        TableFiles(name, files, _of_one_file(select))
        for name, select in views
        if (files := [file for file in files_in(select) if _VERSION_OF_TABLE.search(file)])
    ]


def _of_one_file(select: str) -> Callable[[str], str]:
    def of(file: str) -> str:
        return _LIST.sub(lambda _: f"read_parquet(list_value({literal(file)})", select)

    return of


class Fault(NamedTuple):
    """A file that could not be read.

    Attributes:
        table: The table that it is of.
        file: The file.
        why: What DuckDB says of it.
    """

    table: str
    file: str
    why: str

    def sentence(self) -> str:
        """Say it, with the way out."""
        return (
            f"{self.file}: a file of the table '{self.table}' is gone, damaged or another one's "
            f"({self.why}); make the tables again (din run --all). Where that ends here, too, "
            "since ids keep their indices by what was there, move pipeline.duckdb away before: all "
            "in it is made from the source, and ids are numbered anew"
        )


def find_fault(
    con: duckdb.DuckDBPyConnection, error: duckdb.Error, tables: Iterable[TableFiles] | None = None
) -> Fault | None:
    """Find the file of a table that is gone, damaged, or another table's.

    Args:
        con: The connection that met it; no transaction is open any more.
        error: What DuckDB raised.
        tables: Those that were read; by default what views read.

    Returns:
        The file; None where none is to blame.
    """
    text = " ".join(str(error).split())
    if any(trouble in text for trouble in _NO_ROOM):
        return None
    try:
        tables = of_views(con) if tables is None else list(tables)
        if isinstance(error, _OF_COLUMNS) and (foreign := find_foreign(con, tables)):
            return foreign
        if isinstance(error, _NAMES_FILE) and (named := _named(text, tables)):
            return Fault(*named, str(error).splitlines()[0])
        # What its libraries raise is of no class of its own.
        if type(error) is duckdb.Error or "parquet" in text.lower():
            return find_damaged(con, tables)
    except duckdb.Error:  # it cannot be asked any more
        pass
    return None


def find_damaged(con: duckdb.DuckDBPyConnection, tables: Iterable[TableFiles]) -> Fault | None:
    """Find a file that cannot be read; every value is.

    Args:
        con: As of :func:`find_fault`.
        tables: The tables.
    """
    return _first(con, tables, _damage)


def find_foreign(con: duckdb.DuckDBPyConnection, tables: Iterable[TableFiles]) -> Fault | None:
    """Find a file that has not the columns of its table; only the ends of the files are read.

    Args:
        con: As of :func:`find_fault`.
        tables: The tables.
    """
    alike = (replace(table, files=_one_of_each_kind(con, table.files)) for table in tables)
    return _first(con, alike, _other_columns)


def explain(
    con: duckdb.DuckDBPyConnection, error: duckdb.Error, tables: Iterable[TableFiles] | None = None
) -> StoreError | None:
    """Recognise that a table that lies in Parquet cannot be reached, or a file of it be read.

    Args:
        con: As of :func:`find_fault`.
        error: Likewise.
        tables: Likewise.

    Returns:
        The error to raise instead; None where no such file is to blame.
    """
    if "httpfs" in str(error):
        return StoreError(
            "tables lie in an object store that this process was not told of; let DIN_TABLES name "
            "their place, as it did for the run that made them"
        )
    found = find_fault(con, error, tables)
    return StoreError(found.sentence()) if found else None


def _named(text: str, tables: Iterable[TableFiles]) -> tuple[str, str] | None:
    """Return the table and the file that DuckDB names; one that no view reads by its place."""
    for table, file in _each(tables):
        if file in text:
            return table.name, file
    found = _TABLE_FILE.search(text)
    return (found["table"], found["path"]) if found else None


def _each(tables: Iterable[TableFiles]) -> Iterator[tuple[TableFiles, str]]:
    return ((table, file) for table in tables for file in table.files)


def _first(
    con: duckdb.DuckDBPyConnection,
    tables: Iterable[TableFiles],
    look: Callable[[duckdb.DuckDBPyConnection, TableFiles, str], str | None],
) -> Fault | None:
    for table, file in _each(tables):
        if why := look(con, table, file):
            return Fault(table.name, file, why)
    return None


def _one_of_each_kind(con: duckdb.DuckDBPyConnection, files: Sequence[str]) -> Sequence[str]:
    """Return one of the files that have the same columns, for each kind; one query for all."""
    if len(files) < 2:
        return files
    listed = ", ".join(map(literal, files))
    try:
        found = con.execute(
            "select min(file_name) from (select file_name, list_sort(list(row(name, type, "
            "converted_type, logical_type)::text)) as kind "
            f"from parquet_schema([{listed}]) group by file_name) group by kind"
        ).fetchall()
    except (duckdb.Error, OSError):  # one is no such file: each is looked at alone
        return files
    return [str(file) for (file,) in found]


def _other_columns(con: duckdb.DuckDBPyConnection, table: TableFiles, file: str) -> str | None:
    """Say in what a file differs from its table's; only its end is read."""
    own = f"select * from read_parquet([{literal(file)}], hive_partitioning = false)"
    try:
        wanted = con.execute(f"describe {table.select(file)}").fetchall()
        types = {column: kind for column, kind, *_ in con.execute(f"describe {own}").fetchall()}
    except duckdb.BinderException as error:
        return str(error).splitlines()[0]
    except (duckdb.Error, OSError):
        return None
    for column, kind, *_ in wanted:
        if types.get(column, kind) != kind:
            return f"its column '{column}' is {types[column]}, and {kind} in the table"
    return None


def _damage(con: duckdb.DuckDBPyConnection, table: TableFiles, file: str) -> str | None:
    """Say what is met in a file; each value of it is read."""
    try:
        con.execute(f"select max(hash(row)) from ({table.select(file)}) as row").fetchall()
    except (duckdb.Error, OSError) as error:
        return str(error).strip().splitlines()[0]
    return None
