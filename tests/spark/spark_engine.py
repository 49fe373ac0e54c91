"""The tables of ``sql/sequences``, built by Spark.

A file is rendered as for DuckDB, but with ``engine="spark"`` (which only the slices of a history
ask for), and translated by sqlglot. pyspark and sqlglot are imported where they are used, because
the suite collects this module without the ``[spark]`` extra as well.
"""

from din_core.store import sql_files


def start(folder):
    """Start Spark on two threads of this machine; what it writes lies in ``folder``."""
    from pyspark.sql import SparkSession

    settings = {
        "spark.driver.memory": "2g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.local.dir": str(folder),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.sql.shuffle.partitions": "2",
        # An overflow is an error, as in DuckDB, instead of a wrapped number.
        "spark.sql.ansi.enabled": "true",
        # A moment becomes a time without a zone by the session's.
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    builder = SparkSession.builder.master("local[2]").appName("same-rows").config(map=settings)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def translate(name, variant, variables):
    """Render a file for Spark; what sqlglot knows it cannot say there is an error."""
    import sqlglot

    select = sql_files.render(name, variant=variant, engine="spark", **variables)
    (translated,) = sqlglot.transpile(
        select,
        read="duckdb",
        write="spark",
        comments=False,
        unsupported_level=sqlglot.ErrorLevel.RAISE,
    )
    return translated


def load(spark, con, table):
    """Hand a table of DuckDB to Spark, spread over two partitions in an order of no meaning."""
    rows = con.sql(f"from {table}").to_arrow_table()
    spark.createDataFrame(rows).repartition(2).createOrReplaceTempView(table)


def build(spark, con, name, variant, variables):
    """Build a table on Spark, for the next ones to read, and copy it to a DuckDB of its own.

    Args:
        spark: The session, with the tables before it as views.
        con: The connection that receives Spark's rows.
        name: A file of ``sql/sequences``.
        variant: Its variant, or None.
        variables: Of a :class:`din_core.tables.template_context.TemplateContext`.
    """
    # The checkpoint holds the rows, so that the next table does not compute this one again.
    frame = spark.sql(translate(name, variant, variables)).localCheckpoint()
    frame.createOrReplaceTempView(name)
    rows = frame.toArrow()  # noqa: F841 (DuckDB finds it by its name)
    con.execute(f"create or replace table {name} as from rows")
