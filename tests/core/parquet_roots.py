"""Parquet tables below a root, as the engines lay them out, written from tables in DuckDB."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from din_core.config import SequenceConfig, SourceConfig
from din_core.engines import parquet_views
from din_core.engines.parquet_tables import Manifest, ParquetRoot
from din_core.tables.sequences import build

TABLES = (
    "users", "events", "user_sequences", "negatives", "interactions", "items", "attributes",
)  # fmt: skip
VIEWS = ("sample_bounds", "column_roles")


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
    tables = {name: parquet_views.write_out(con, root, name, buckets=buckets) for name in TABLES}
    views = {
        name: str(select).split(" AS ", 1)[1].rstrip(";")
        for name, select in con.execute(
            "select view_name, sql from duckdb_views() where not internal"
        ).fetchall()
        if name in VIEWS
    }
    root.replace_manifest(Manifest(buckets, tables, views))
    return root


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
