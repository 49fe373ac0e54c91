"""Tables built from a handful of rows, written as tuples."""

from din_core.config import SequenceConfig, SourceConfig
from din_core.tables import sequences


def build(con, rows, *, columns="user_id, item_id, time", attributes=(), users=(), **config):
    """Build from rows of (user, item, time, ...), which are lines 2, 3, ... of one file."""
    values = ", ".join(
        f"({', '.join('null' if value is None else repr(value) for value in row)}, 'a.csv', {line})"
        for line, row in enumerate(rows, start=2)
    )
    con.execute(
        f"create or replace table interactions as "
        f"select * from (values {values}) as log ({columns}, file, line)"
    )
    source = SourceConfig(path="", item_attribute_cols=attributes, user_attribute_cols=users)
    return sequences.build(con, source, SequenceConfig(**config))
