"""One SQL, two dialects: a file of ``sql/`` in the words of Spark.

A file is rendered with ``engine="spark"``, which only the macros ask for in which the engines
differ, and translated by sqlglot. That a translation parses proves nothing: what is let through is
on a list, and each entry of it is tested row for row on real engines.
"""

from __future__ import annotations

from din_core.engines.errors import EngineError
from din_core.store import sql_files

#: What our SQL may call and Spark may be asked: functions by the names that sqlglot has for them.
FUNCTIONS: frozenset[str] = frozenset()


def render(name: str, *, variant: str | None = None, **options: object) -> str:
    """Render a file of ``sql/`` for Spark.

    Args:
        name: A table or check, as of :func:`din_core.store.sql_files.render`.
        variant: Its variant, or None.
        **options: The template's variables.

    Raises:
        EngineError: sqlglot is not installed.
        SqlFileError: As :func:`din_core.store.sql_files.render`.
    """
    return translate(sql_files.render(name, variant=variant, engine="spark", **options))


def tables_of(select: str) -> frozenset[str]:
    """Return the names of the relations that a query in Spark's words reads.

    Args:
        select: From :func:`render`.
    """
    import sqlglot
    from sqlglot import exp

    tree = sqlglot.parse_one(select, read="spark")
    own = {each.alias for each in tree.find_all(exp.CTE)}
    return frozenset(each.name for each in tree.find_all(exp.Table)) - own


def translate(select: str) -> str:
    """Translate a ``select`` of DuckDB's dialect to Spark's.

    The order of the outermost query is dropped: a table has none, and a cluster would sort for
    nothing.

    Args:
        select: One statement, in DuckDB's words.

    Raises:
        EngineError: sqlglot is not installed.
        sqlglot.errors.UnsupportedError: Spark has no words for it.
    """
    try:
        import sqlglot
    except ImportError as error:
        raise EngineError(
            "the tables are to be made on Spark, but sqlglot is not installed; install the extra: "
            "pip install 'din-assets[spark]'"
        ) from error
    tree = sqlglot.parse_one(select, read="duckdb")
    tree.set("order", None)
    return tree.sql(dialect="spark", comments=False, unsupported_level=sqlglot.ErrorLevel.RAISE)
