"""The vocabularies that a model was trained with, as Parquet files beside it.

An index means something only together with the vocabulary it comes from, and a log that grows gets
another one. Whoever serves a model looks ids up in these files (see ``docs/serving.md``). How large
the vocabularies are is :class:`din_core.network.vocabulary.Vocabulary`'s.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from din_core import arrow_without_pandas, store
from din_core.store.sql_files import quote
from din_core.tables.attributes import Attribute

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


def indices(folder: Path) -> dict[str, Any]:
    """Read which index each id has, beside a model.

    Args:
        folder: The model's, as :func:`write` filled it.

    Returns:
        By index column, as ``item_idx`` or ``cate_idx``, a table of pyarrow with the columns
        ``idx`` and ``id``, ids as text; of those columns only that the model reads.
    """
    from pyarrow import compute

    choose: Any = compute  # pyarrow has no types
    directory = folder / FOLDER
    attributes = arrow_without_pandas.read_parquet(directory / "attributes.parquet")
    found: dict[str, Any] = {
        Attribute(name).index_name: _as_text(
            attributes.filter(choose.equal(attributes["attribute"], name)), "value_idx", "value"
        )
        for name in attributes["attribute"].unique().to_pylist()
    }
    for table, what in (("items", "item"), ("users", "user")):
        if (file := directory / f"{table}.parquet").is_file():
            columns = f"{what}_idx", f"{what}_id"
            found[columns[0]] = _as_text(arrow_without_pandas.read_parquet(file, columns), *columns)
    return found


def _as_text(rows: Any, index: str, identity: str) -> Any:
    import pyarrow as pa

    return pa.table({"idx": rows[index], "id": rows[identity].cast(pa.string())})
