"""Tables on an engine beside DuckDB: hand rows over, build, copy them back, compare."""

from pyspark.sql.pandas.types import from_arrow_schema

from din_core import store
from din_core.engines import translation


def load(spark, con, table):
    """Hand a table of DuckDB to the engine, over two partitions in an order of no meaning."""
    rows = con.sql(f"from {table}").to_arrow_table()
    # Without rows pyspark wants to be told the types.
    schema = None if rows.num_rows else from_arrow_schema(rows.schema)
    spark.createDataFrame(rows, schema).repartition(2).createOrReplaceTempView(table)


def build(spark, con, name, variant, variables):
    """Build a table on the engine, for the next ones to read, and copy it to a DuckDB of its own.

    Args:
        spark: The session, with the tables before it as views.
        con: The connection that receives the rows.
        name: A file of ``sql/``.
        variant: Its variant, or None.
        variables: Of a :class:`din_core.tables.template_context.TemplateContext`.
    """
    frame = spark.sql(translation.render(name, variant=variant, **variables))
    rows = frame.toArrow()
    if rows.num_rows:
        # The next table reads these rows instead of computing them again.
        frame = spark.createDataFrame(rows).repartition(2)
    frame.createOrReplaceTempView(name)
    con.execute(f"create or replace table {name} as from rows")


def columns_of(con, table):
    """Names, not types: Spark numbers rows in 32 bits, DuckDB in 64."""
    return [row[0] for row in con.execute(f"describe {table}").fetchall()]


def rows_of(con, table):
    """Rows in an order of their own: tables promise none, and several may be equal."""
    return sorted(con.execute(f"from {table}").fetchall(), key=repr)


def assert_equal(theirs, ours, table):
    """The same columns, the same rows, the same data version."""
    assert columns_of(theirs, table) == columns_of(ours, table), table
    assert rows_of(theirs, table) == rows_of(ours, table), table
    assert store.content_version(theirs, table) == store.content_version(ours, table), table
