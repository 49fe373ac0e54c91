"""The tables below a root, read by DuckDB wherever it runs: the manifest is all that it takes.

Another machine has neither the pipeline's database nor its folder. It has the root, and there the
manifest says which version of each table holds, and what its views are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence

import duckdb

from din_core import store
from din_core.engines.errors import EngineError
from din_core.engines.parquet_tables import MANIFEST, Manifest, ParquetRoot, ParquetTable
from din_core.store.query_relations import UnreadableQueryError, in_order, relations_of
from din_core.store.sql_files import literal, quote
from din_core.store.table_files import TableFiles, find_fault, find_foreign


@contextlib.contextmanager
def open_tables(
    root: ParquetRoot | str, *, memory_limit: str | None = None, threads: int | None = None
) -> Generator[duckdb.DuckDBPyConnection]:
    """Open a database in memory whose relations are the tables and views below a root.

    What it shows are the versions that held when it was opened. A run that makes tables removes
    those two changes later, and a query then says that files are gone: open it again.

    Args:
        root: A folder, or a URL such as ``s3://bucket/prefix``.
        memory_limit: DuckDB's limit, as ``"6GB"``.
        threads: DuckDB's threads.

    Yields:
        A connection. Its tables are views over files: nothing can be changed by it.

    Raises:
        EngineError: There are no tables, one of them is not whole, or the root cannot be read; or a
            query came when a run had removed what was open.

    Example::

        with reading.open_tables("s3://bucket/tables") as con:
            con.sql("select split, count(*) from samples group by split").show()
    """
    root = ParquetRoot(root) if isinstance(root, str) else root
    filesystem = None if root.is_local else root.filesystem
    with store.connect(
        ":memory:", filesystem=filesystem, memory_limit=memory_limit, threads=threads
    ) as con:
        shown = _show(con, root)
        try:
            yield con
        except (duckdb.Error, OSError) as error:
            if gone := _removed_since(root, shown):
                raise EngineError(
                    f"{root.url}: a run has made '{gone}' again, and removed the version that was "
                    "open here; open the tables again"
                ) from error
            raise


def _show(con: duckdb.DuckDBPyConnection, root: ParquetRoot) -> Manifest:
    """Make the views of what holds, again where a run has removed it meanwhile; return it."""
    manifest = root.manifest()
    while True:
        if not manifest.tables:
            raise EngineError(
                f"{root.url}: there are no tables; make them first (DIN_ENGINE=spark "
                f"DIN_TABLES={root.url} din run --all), or name another place"
            )
        try:
            _create_views(con, root, manifest)
        except EngineError:
            now = root.manifest()
            if now == manifest:
                raise
            manifest = now
        else:
            return manifest


def _removed_since(root: ParquetRoot, shown: Manifest) -> str | None:
    """Name a table whose version has been removed because another one holds."""
    held = root.manifest().tables
    for name, table in shown.tables.items():
        if held.get(name) != table and not root.files(table.folder):
            return name
    return None


def _create_views(con: duckdb.DuckDBPyConnection, root: ParquetRoot, manifest: Manifest) -> None:
    for name, table in manifest.tables.items():
        with _explained(con, root, name, table):
            con.execute(f"create or replace view {quote(name)} as {select_of(root, table)}")
    require_whole(con, root, manifest)
    views = {name.lower(): (name, select) for name, select in manifest.views.items()}
    try:
        reads = {name: relations_of(con, select) for name, (_, select) in views.items()}
    except UnreadableQueryError as error:
        raise EngineError(
            f"{root.url}/{MANIFEST} is damaged: a view there is no query ({error}); run din run, "
            "which writes it again"
        ) from error
    for name, select in (views[each] for each in in_order(reads)):
        try:
            con.execute(f"create or replace view {quote(name)} as {select}")
        except (duckdb.BinderException, duckdb.CatalogException) as error:
            raise EngineError(
                f"{root.url}: the view '{name}' does not go with the tables there "
                f"({str(error).splitlines()[0]}): a run is changing their columns, or ended before "
                "it came to the view; open them again when it is done, or run din run"
            ) from error


def select_of(root: ParquetRoot, table: ParquetTable) -> str:
    """Return the query of a version's rows, its columns in their order and of their types.

    Args:
        root: Where it lies.
        table: The version.

    Raises:
        EngineError: It has no files.
    """
    # Where none is left, DuckDB says it of the folder.
    files = root.files(table.folder) or [root.url_of(table.folder) + "/*.parquet"]
    return _select_from(table, files)


def _select_from(table: ParquetTable, files: Sequence[str]) -> str:
    # Of the file's own column, and not of the one that is selected under its name.
    columns = ", ".join(
        f"file.{quote(name)}::{kind} as {quote(name)}" for name, kind in table.columns.items()
    )
    listed = ", ".join(map(literal, files))
    # The bucket is in the path and in no column.
    return f"select {columns} from read_parquet([{listed}], hive_partitioning = false) as file"


def files_of(root: ParquetRoot, name: str, table: ParquetTable) -> TableFiles:
    """Return the files of a version, to look for the one that cannot be read.

    Args:
        root: Where it lies.
        name: The table.
        table: The version.
    """

    def select(file: str) -> str:
        # Its types may be narrower than the table's.
        columns = ", ".join(f"file.{quote(column)}" for column in table.columns)
        read = f"read_parquet([{literal(file)}], hive_partitioning = false)"
        return f"select {columns} from {read} as file"

    return TableFiles(name, root.files(table.folder), select)


def require_whole(
    con: duckdb.DuckDBPyConnection, root: ParquetRoot, manifest: Manifest | None = None
) -> None:
    """Refuse tables with fewer or more rows than were written, or with files of other columns.

    A file that is gone would not be noticed, and Spark reads a column that a file lacks as missing.
    Only the ends of the files are read, in which their rows are counted.

    Args:
        con: Any connection that can read the root.
        root: Where the tables lie.
        manifest: What holds there, if it was read already.

    Raises:
        EngineError: A file of a table is gone, was not written to its end, or is one too many.
    """
    held = root.manifest() if manifest is None else manifest
    for name, table in held.tables.items():
        with _explained(con, root, name, table):
            rows = int(
                con.execute(f"select count(*) from ({select_of(root, table)})").fetchall()[0][0]
            )
        # An object store looks after its objects, and each look would be a request.
        if (rows != table.rows or root.is_local) and (
            foreign := find_foreign(con, [files_of(root, name, table)])
        ):
            raise EngineError(
                f"{foreign.file}: the file is not one of '{name}' ({foreign.why}); {_AGAIN}"
            )
        if rows != table.rows:
            raise EngineError(
                f"{root.url}/{table.folder}: '{name}' has {rows:,} rows there and was written with "
                f"{table.rows:,}: files of it are gone, or others lie among them; {_AGAIN}"
            )


_AGAIN = "make the tables again (din run --all)"


@contextlib.contextmanager
def _explained(
    con: duckdb.DuckDBPyConnection, root: ParquetRoot, name: str, table: ParquetTable
) -> Generator[None]:
    try:
        yield
    except (duckdb.Error, OSError) as error:
        # What a filesystem in Python raised is told last.
        reason = str(error).strip().splitlines()
        told = next((line for line in reason if "Error" in line), reason[-1])
        of_table = [files_of(root, name, table)]
        if isinstance(error, duckdb.Error) and (found := find_fault(con, error, of_table)):
            told = f"{found.file}: {found.why}"
        raise EngineError(
            f"{root.url}: '{name}' cannot be read ({told}); where its files were damaged or "
            f"removed {_AGAIN}"
        ) from error
