"""Parquet tables below a root, as the engines lay them out, written from tables in DuckDB."""

import posixpath
from dataclasses import replace

import numpy as np
import pyarrow as pa

from din_core.config import SequenceConfig, SourceConfig
from din_core.engines.parquet_tables import BUCKET, Manifest, ParquetRoot, ParquetTable
from din_core.store.sql_files import literal, quote
from din_core.tables.sequences import build

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


#: How many events a user has, by the remainder of its index: shards are uneven, and one has no
#: training sample.
EVENTS = {0: 5, 1: 2, 2: 9, 3: 4}
SEQUENCES = SequenceConfig(max_history=4, negatives_per_positive=2)


def build_uneven_log(con, *, n_users=41, labelled=False, sequences=SEQUENCES):
    """Make the tables of a log with a number and an attribute of every kind.

    User 2 has interacted with each of the 13 items before its last two events, so that training
    can draw nothing for it.
    """
    random = np.random.default_rng(0)
    rows = []
    for user in range(1, n_users + 1):
        items = [*range(1, 14), 1, 2] if user == 2 else random.integers(1, 14, EVENTS[user % 4])
        for number, item in enumerate(items):
            rows.append((
                user, int(item), 86_400 * number + user, None if item == 5 else int(item) % 3,
                "xyz"[user % 3], None if item == 7 else 1.5 * int(item), 20.0 + user,
                float(random.integers(0, 24)), int(number % 3 != 1),
            ))  # fmt: skip
    names = ("user_id", "item_id", "time", "cate_id", "country", "price", "age", "hour", "label")
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    if not labelled:
        del columns["label"]
    else:
        sequences = replace(sequences, negatives_per_positive=1)  # an option of sampling alone
    log = pa.table({**columns, "line": range(2, len(rows) + 2)})  # noqa: F841 (found by its name)
    con.execute("create table interactions as select *, 'log.csv' as file from log")
    source = SourceConfig(
        path="",
        item_attribute_cols=("cate_id",),
        user_attribute_cols=("country",),
        item_dense_cols=("price",),
        user_dense_cols=("age",),
        context_dense_cols=("hour",),
    )
    build(con, source, sequences)
