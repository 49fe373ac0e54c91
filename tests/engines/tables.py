"""Tables on an engine beside DuckDB: make them, ask for them, compare."""

from din_core import store
from din_core.tables import sequences
from din_core.tables.lineage import lineage


def build(con, engine, source, config):
    """Make all tables of sql/sequences of ``interactions``, asset by asset, as a run does."""
    for name in (*sequences.tables(), "samples"):
        with engine.transaction(), store.transaction(con):
            sequences.build_table(con, name, source, config, engine)


def asked(con, engine, name):
    """What the engine itself says of a relation, its columns and its rows."""
    columns, rows = engine.query(con, f"select * from {name}")
    return list(columns), sorted((tuple(map(_plain, row)) for row in rows), key=repr)


def _plain(value):
    return list(value) if isinstance(value, list | tuple) else value


def answered(con, name):
    """The same of DuckDB."""
    rows = con.execute(f"from {name}").fetchall()
    return [*store.column_types(con, name)], sorted(rows, key=repr)


def assert_equal(theirs, ours, name):
    """The same columns, the same rows, the same data version.

    Types may differ: Spark numbers rows in 32 bits, DuckDB in 64.
    """
    assert answered(theirs, name) == answered(ours, name), name
    assert store.content_version(theirs, name) == store.content_version(ours, name), name


def assert_relations_equal(theirs, engine, ours):
    """All of sql/sequences: the tables as Parquet, and what the engine makes of the views."""
    for name in (*sequences.tables(), *sequences.samples_relations()):
        assert_equal(theirs, ours, name)
        if lineage().files[name].head.kind == "view":
            assert asked(theirs, engine, name) == answered(ours, name), name
