"""Views of the pipeline's database over Parquet tables, and tables written out as such.

The database's own commit decides which version of a table holds: a view names the folder that it
reads, and is replaced in the transaction that makes the table. The manifest of the root follows it:
what it has to name is read off the views (:func:`as_database`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from din_core import store
from din_core.engines.errors import EngineError
from din_core.engines.parquet_tables import BUCKET, Manifest, ParquetRoot, ParquetTable
from din_core.store.query_relations import select_of
from din_core.store.sql_files import literal, quote
from din_core.store.table_files import files_in

if TYPE_CHECKING:
    import duckdb

_BUCKET_OF = re.compile(rf"/{BUCKET}=(\d+)/")


def create(con: duckdb.DuckDBPyConnection, root: ParquetRoot, name: str, folder: str) -> None:
    """Make the view of a table, comments included, in the caller's transaction.

    Args:
        con: The pipeline's database.
        root: Where the tables lie.
        name: The table.
        folder: Its version, complete.
    """
    # Each by its name: one that is gone is an error then, and not some rows fewer.
    files = ", ".join(map(literal, root.files(folder)))
    read = f"read_parquet([{files}], hive_partitioning = false)"
    described = con.execute(f"describe select * from {read}").fetchall()
    # With their types: a file of another table that has the same columns is an error then.
    columns = ", ".join(
        f"file.{quote(str(column))}::{kind} as {quote(str(column))}"
        for column, kind, *_ in described
    )
    store.create_view_as(con, name, f"select {columns} from {read} as file")


def folder_of(con: duckdb.DuckDBPyConnection, root: ParquetRoot, name: str) -> str | None:
    """Return the version that a view reads, below the root; None of any other relation.

    Args:
        con: The pipeline's database.
        root: Where the tables lie.
        name: A relation.
    """
    return folder_of_files(root, files_of(con, name))


def folder_of_files(root: ParquetRoot, files: Sequence[str]) -> str | None:
    """Return the version that files belong to, below the root; None of those that lie elsewhere.

    Args:
        root: Where the tables lie.
        files: Of one version, from :func:`files_of`.
    """
    place = root.url_of("").rstrip("/") + "/"
    if not files or not files[0].startswith(place):
        return None
    table, version, *_ = files[0].removeprefix(place).split("/")
    return f"{table}/{version}"


def files_of(con: duckdb.DuckDBPyConnection, name: str) -> list[str]:
    """Return the files that a view reads; none of any other relation.

    Args:
        con: The pipeline's database.
        name: A relation.
    """
    return files_in(words_of(con, name))


def words_of(con: duckdb.DuckDBPyConnection, name: str) -> str:
    """Return the ``select`` of a view as DuckDB keeps it; nothing of any other relation.

    Args:
        con: The pipeline's database.
        name: A relation.
    """
    found = con.execute(
        "select sql from duckdb_views() where view_name = ? and not internal "
        "and database_name = current_database()",
        [name],
    ).fetchall()
    return select_of(str(found[0][0])) if found else ""


def as_database(
    con: duckdb.DuckDBPyConnection, root: ParquetRoot, manifest: Manifest, views: Collection[str]
) -> Manifest:
    """Return a manifest that names what the views of the database read.

    A run that is killed between the commit and the swap of the manifest leaves one that names
    versions of before, and a manifest that is lost names none. What the database does not know, or
    has a table of its own for, stays as it is.

    Args:
        con: The pipeline's database.
        root: Where the tables lie.
        manifest: What was read there.
        views: The views that belong there, where the database has them.
    """
    tables, words = dict(manifest.tables), dict(manifest.views)
    last_bucket = -1
    for name, kind in store.relations(con).items():
        files = files_of(con, name) if kind == "view" else []
        folder = folder_of_files(root, files)
        if folder is not None:
            is_named = name in tables and tables[name].folder == folder
            # What is gone is told where it is read.
            if not is_named and {*files} <= {*root.files(folder)}:
                of_files = [int(each) for each in _BUCKET_OF.findall("\n".join(files))]
                last_bucket = max([last_bucket, *of_files])
                tables[name] = described(con, name, folder, bucketed=bool(of_files))
        elif kind == "view" and name in {*views, *words}:
            words[name] = words_of(con, name)
    if not tables:
        return manifest  # Nothing lies here, so nothing is behind.
    # A copy of what was a table once, or the other way around.
    words = {name: each for name, each in words.items() if name not in tables}
    # With fewer users than buckets the last of them are empty, and might as well not be.
    buckets = manifest.buckets if manifest.tables or last_bucket < 0 else last_bucket + 1
    return Manifest(buckets, tables, words)


def require_held(con: duckdb.DuckDBPyConnection, root: ParquetRoot, names: Iterable[str]) -> None:
    """Refuse tables below a root that are not those of the database.

    Args:
        con: The pipeline's database.
        root: Where the tables lie.
        names: Tables and views; of a view nothing is asked.

    Raises:
        EngineError: The database has another version of a table than the manifest names.
    """
    held = root.manifest().tables
    for name in names:
        if name in held and folder_of(con, root, name) != held[name].folder:
            raise EngineError(
                f"'{name}' below {root.url} is not the one of the pipeline's database: it was made "
                "by DuckDB since, or below another DIN_TABLES; make all tables on Spark "
                "(DIN_ENGINE=spark din run --all), or train in one process (din_model: processes: "
                "1)"
            )


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
            f"to {literal(target)} (format parquet, partition_by ({BUCKET}), "
            # The folder is a new one; an object store has none to look into.
            "overwrite_or_ignore true)"
        )
    if not bucket or not root.files(folder):
        # Of a table without rows nothing would be written, not even its columns.
        con.execute(
            f"copy (from {quote(name)}) to {literal(f'{target}/part-0.parquet')} (format parquet)"
        )
    root.flush(folder)
    return described(con, name, folder, bucketed=bucket)
