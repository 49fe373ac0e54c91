"""A bundle in SQL: DuckDB with the function ``din_score(user_id, item_id)``.

Example::

    con = din_core.serving.attach("data/artifacts/bundle/current", "data/warehouse.duckdb")
    con.sql("select item_id, din_score(42, item_id) as s from items order by s desc limit 5")
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from din_core.errors import WrongRequestError
from din_core.serving.ranker import Ranker
from din_core.store.sql_files import literal

FUNCTION = "din_score"
_TYPES = {"int64": "BIGINT", "string": "VARCHAR"}


def attach(
    bundle: Path | str, warehouse: Path | str | None = None, *, threads: int = 1
) -> duckdb.DuckDBPyConnection:
    """Open DuckDB with a bundle's score as a function, beside the published tables.

    ``din_score(user_id, item_id)`` is the score of an item for a user with the history that the
    bundle has of the user; unknown ids count as unknown, NULL gives NULL. It is computed a few
    thousand rows at a time, and fastest where rows of one user stand together. Numbers of the
    moment, which some models take, count as missing, but those of the log (``log_numbers``) are
    counted for its end.

    Args:
        bundle: The bundle's folder, or ``current`` beside its versions.
        warehouse: The published ``warehouse.duckdb``; it is opened read-only, and its tables go by
            their plain names. None for a database of one's own.
        threads: Threads that work on one block.

    Returns:
        A connection to a database in memory; what is written to it goes with it.

    Raises:
        BundleError: There is no bundle, or it is damaged.
        WrongRequestError: The warehouse is not there, or cannot be read.
    """
    ranker = Ranker(bundle, threads=threads)
    con = duckdb.connect()
    try:
        if warehouse is not None:
            _attach_warehouse(con, Path(warehouse))
        kinds = [_TYPES[ranker.bundle.user_ids], _TYPES[ranker.bundle.item_ids]]

        def scores(user_ids: Any, item_ids: Any) -> Any:
            return pa.array(ranker.score_pairs(user_ids, item_ids))

        create: Any = con.create_function  # its types know names of types as an enumeration only
        create(FUNCTION, scores, kinds, "FLOAT", type="arrow")
    except BaseException:
        con.close()
        raise
    return con


def _attach_warehouse(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    if not path.is_file():
        raise WrongRequestError(f"{path}: no such file; 'din run' publishes data/warehouse.duckdb")
    try:
        con.execute(f"attach {literal(str(path))} as warehouse (read_only)")
        con.execute("use warehouse")
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise WrongRequestError(f"{path} cannot be read as a DuckDB database: {reason}") from error
