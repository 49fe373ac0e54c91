"""The vocabularies that a model was trained with, as Parquet files beside it.

An index means something only together with the vocabulary it comes from, and a log that grows gets
another one. Whoever serves a model looks ids up in these files (see ``docs/serving.md``). How large
the vocabularies are is :class:`din_core.network.vocabulary.Vocabulary`'s.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from din_core import store
from din_core.store.sql_files import quote

if TYPE_CHECKING:
    import duckdb

FOLDER = "vocabulary"

#: Table, by which column its rows stand in order.
_ORDER = {
    "items": "item_idx",
    "cates": "1",
    "attributes": "attribute, value_idx",
    "users": "user_idx",
}
#: What of a table is written, where that is not all: whether a log has a user is the log's to say.
_SELECTED = {"users": "* exclude (in_log)"}
#: The tables that :func:`write` reads.
READS = tuple(_ORDER)
_ROWS_OF_A_GROUP = 1 << 18


def write(con: duckdb.DuckDBPyConnection, folder: Path, *, with_users: bool) -> str:
    """Write the vocabularies, each a file ``vocabulary/<table>.parquet`` with the table's columns.

    Args:
        con: Connection to the tables.
        folder: The model's.
        with_users: Whether the model reads the user or what describes the user.

    Returns:
        Hash of what was written: of the rows, whatever the bytes of the files.
    """
    from pyarrow import parquet

    writer: Any = parquet  # pyarrow has no types
    directory = folder / FOLDER
    directory.mkdir()
    digest = hashlib.sha256()
    for table, order in _ORDER.items():
        if table == "users" and not with_users:
            continue
        columns = _SELECTED.get(table, "*")
        rows = con.sql(f"select {columns} from {quote(table)} order by {order}").to_arrow_table()
        writer.write_table(
            rows,
            directory / f"{table}.parquet",
            row_group_size=_ROWS_OF_A_GROUP,
            compression="zstd",
        )
        digest.update(f"{table} {store.content_version(con, table)}\n".encode())
    return digest.hexdigest()[:32]
