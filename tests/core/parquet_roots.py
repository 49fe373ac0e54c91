"""Parquet tables below a root, as the engines lay them out, written from tables in DuckDB."""

import posixpath

from din_core.engines.parquet_tables import BUCKET, Manifest, ParquetRoot, ParquetTable
from din_core.store.sql_files import literal, quote

OF_USERS = ("users", "events", "user_sequences", "negatives", "interactions")
TABLES = (*OF_USERS, "items", "attributes", "column_roles")


def write_root(con, url, buckets=4):
    """Write the tables of a database below a root.

    Args:
        con: With the tables of :func:`din_core.tables.sequences.build`.
        url: Of the root.
        buckets: How many.
    """
    root = ParquetRoot(url, buckets=buckets)
    if not root.is_local:
        con.register_filesystem(root.filesystem)
    tables = {name: _written(con, root, name, buckets) for name in TABLES}
    (select,) = con.execute(
        "select sql from duckdb_views() where view_name = 'sample_bounds'"
    ).fetchone()
    views = {"sample_bounds": select.split(" AS ", 1)[1].rstrip(";")}
    root.replace_manifest(Manifest(buckets, tables, views))
    return root


def _written(con, root, name, buckets):
    columns = {row[0]: row[1] for row in con.execute(f"describe {quote(name)}").fetchall()}
    folder = root.new_folder(name)
    place = root.url_of(folder)
    root.filesystem.makedirs(posixpath.join(root._root, folder), exist_ok=True)
    bucketed = name in OF_USERS
    if bucketed:
        bucket = "line" if name == "interactions" else "user_idx"
        con.execute(
            f"copy (select *, {bucket} % {buckets} as {BUCKET} from {quote(name)}) "
            f"to {literal(place)} (format parquet, partition_by ({BUCKET}))"
        )
    else:
        con.execute(f"copy {quote(name)} to {literal(f'{place}/part.parquet')} (format parquet)")
    rows = con.execute(f"select count(*) from {quote(name)}").fetchone()[0]
    return ParquetTable(folder, columns, rows, bucketed)
