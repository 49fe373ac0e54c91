"""One SQL, two dialects: a file of ``sql/`` in the words of Spark.

A file is rendered with ``engine="spark"``, which only the macros ask for in which the engines
differ, and translated by sqlglot. That a translation parses proves nothing: sqlglot has dropped
parentheses, orders and arguments before. So a query may use what stands on three lists here, and
each entry of them is tested, row for row, on real engines (``tests/engines/test_words.py``).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING

from din_core.engines.errors import EngineError
from din_core.store import sql_files

if TYPE_CHECKING:
    from sqlglot.expressions import Expr

#: Functions that give the same on DuckDB, Sail and Spark, by the names that sqlglot has for them;
#: of some only for the arguments that the tests show.
FUNCTIONS: frozenset[str] = frozenset(
    {
        "ABS",
        "ARRAY_AGG",  # list(): of values that are not NULL, over frames that are not empty
        "ARRAY_DISTINCT",
        "ARRAY_SIZE",  # array_length(); len() is the length of text
        "ARRAY_SORT",  # list_sort(), of lists without NULL
        "BITWISE_OR_AGG",  # bit_or()
        "CASE",
        "CAST",
        "COALESCE",
        "COUNT",
        "DATEDIFF",  # date_diff(), in seconds
        "EXPLODE",  # unnest()
        "FLOOR",
        "GREATEST",
        "LAG",
        "LEAST",
        "LENGTH",  # of text, in characters; of a list it is an error of the engine
        "LN",
        "LOWER",
        "MAX",
        "MD5",
        "MIN",
        "NULLIF",
        "PAD",  # lpad(), of text that is no longer than asked for
        "POWER",
        "REGEXP_EXTRACT",
        "REGEXP_LIKE",  # regexp_matches()
        "REPLACE",
        "ROUND",  # to whole numbers
        "ROW_NUMBER",
        "SLICE",  # of Spark alone: see sql/macros/history.jinja
        "SPLIT_PART",
        "SQRT",
        "STRUCT",  # struct_pack()
        "SUBSTRING",
        "SUM",
        "TRANSFORM",  # list_transform()
        "TRY_CAST",
        "TRY_ELEMENT_AT",  # of Spark alone: see sql/macros/lists.jinja
        "UNIX_TO_TIME",  # make_timestamp(), of microseconds
    }
)

#: Operators, by the names of sqlglot's classes.
OPERATORS: frozenset[str] = frozenset(
    {
        "Add",
        "And",
        "BitwiseAnd",
        "BitwiseXor",  # xor()
        "DPipe",
        "Div",
        "EQ",
        "GT",
        "GTE",
        "In",
        "IntDiv",
        "Is",
        "LT",
        "LTE",
        "Like",
        "Mod",
        "Mul",
        "NEQ",
        "Neg",
        "Not",
        "NullSafeNEQ",
        "Or",
        "Sub",
    }
)

#: What may be cast to, as sqlglot calls it.
TYPES: frozenset[str] = frozenset(
    {"BIGINT", "BOOLEAN", "DECIMAL", "DOUBLE", "INT", "TEXT", "TIMESTAMPNTZ"}
)


def render(name: str, *, variant: str | None = None, **options: object) -> str:
    """Render a file of ``sql/`` for Spark.

    Args:
        name: A table or check, as of :func:`din_core.store.sql_files.render`.
        variant: Its variant, or None.
        **options: The template's variables.

    Raises:
        EngineError: sqlglot is not installed, or the file uses a word that is on no list.
        SqlFileError: As :func:`din_core.store.sql_files.render`.
    """
    select = sql_files.render(name, variant=variant, engine="spark", **options)
    path = sql_files.path_of(name, variant=variant)
    return translate(select, called=f"sql/{path.relative_to(sql_files.SQL_ROOT).as_posix()}")


@functools.lru_cache(maxsize=256)
def tables_of(select: str) -> frozenset[str]:
    """Return the names of the relations that a query in Spark's words reads.

    Args:
        select: From :func:`render`.
    """
    from sqlglot import exp

    tree = _sqlglot().parse_one(select, read="spark")
    own = {each.alias for each in tree.find_all(exp.CTE)}
    return frozenset(each.name for each in tree.find_all(exp.Table)) - own


def translate(select: str, *, called: str = "the query") -> str:
    """Translate a ``select`` of DuckDB's dialect to Spark's.

    The order of the outermost query is dropped where it does not choose the rows: a table has none,
    and a cluster would sort for nothing.

    Args:
        select: One statement, in DuckDB's words.
        called: What an error calls it.

    Raises:
        EngineError: sqlglot is not installed, or the query uses a word that is on no list.
        sqlglot.errors.UnsupportedError: Spark has no words for it.

    Example:
        >>> translate("select median(price) from items")
        Traceback (most recent call last):
        ...
        din_core.engines.errors.EngineError: the query uses median: nobody has shown ...
    """
    _sqlglot()
    return _translated(select, called, FUNCTIONS | OPERATORS | TYPES)


@functools.lru_cache(maxsize=256)
def _translated(select: str, called: str, shown: frozenset[str]) -> str:
    # Parsing and writing a file takes longer than a query of a small log, and many are asked again.
    sqlglot = _sqlglot()
    tree: Expr = sqlglot.parse_one(select, read="duckdb")
    if unknown := sorted(words(tree) - shown):
        raise EngineError(
            f"{called} uses {', '.join(unknown).lower()}: nobody has shown that it gives the same "
            "on DuckDB and on Spark; say it with the words in din_core/engines/translation.py, or "
            "add it there, with rows that show it (CONTRIBUTING.md, 'A word of SQL')"
        )
    if tree.args.get("limit") is None:
        tree.set("order", None)
    # The tree is nobody else's: it is changed in its place.
    _bracket_xor(tree)
    return tree.transform(_in_spark, copy=False).sql(
        dialect="spark", comments=False, unsupported_level=sqlglot.ErrorLevel.RAISE, copy=False
    )


def _bracket_xor(tree: Expr) -> None:
    """Put xor() in brackets: Spark has an operator for it, whose operands sqlglot leaves bare."""
    from sqlglot import exp

    for xor in list(tree.find_all(exp.BitwiseXor)):
        brackets = exp.Paren()
        xor.replace(brackets)
        brackets.set("this", xor)
        for side in ("this", "expression"):
            if isinstance(xor.args[side], exp.Binary):
                xor.set(side, exp.Paren(this=xor.args[side]))


def _in_spark(node: Expr) -> Expr:
    """Take other functions than sqlglot does, where those are not what DuckDB's are."""
    from sqlglot import exp

    if isinstance(node, exp.ArraySize):
        # SIZE() of NULL is -1 where Spark is not in ANSI mode, as Sail is not.
        return exp.Anonymous(this="ARRAY_SIZE", expressions=[node.this])
    return node


def words(tree: Expr) -> frozenset[str]:
    """Return the functions, operators and types of a parsed query, as the lists have them.

    Args:
        tree: A query, parsed by sqlglot from DuckDB's dialect.
    """
    return frozenset(word for node in tree.walk() for word in _words_of(node))


def _words_of(node: Expr) -> Iterator[str]:
    from sqlglot import exp

    if isinstance(node, exp.Anonymous | exp.AnonymousAggFunc):
        yield node.name.upper()
    elif isinstance(node, exp.Round) and node.args.get("decimals") is not None:
        # DuckDB multiplies, Spark rounds what the number is written as: 0.00005 goes either way.
        yield "ROUND_TO_DIGITS"
    elif isinstance(node, exp.Paren | exp.Dot | exp.PropertyEQ):
        pass  # Brackets, a field of a struct, and its name: nothing is computed.
    elif isinstance(node, exp.If) and isinstance(node.parent, exp.Case):
        pass  # A branch of it.
    elif isinstance(node, exp.Func) and not isinstance(node, exp.Connector):
        yield node.sql_name()
    elif isinstance(node, exp.Binary | exp.Unary | exp.Predicate | exp.Bracket | exp.Slice):
        yield type(node).__name__
    elif isinstance(node, exp.DataType):
        yield node.this.value
    elif isinstance(node, exp.Join) and node.args.get("method"):
        yield f"{node.args['method']} JOIN".upper()
    elif isinstance(node, exp.Order) and isinstance(node.parent, exp.Func):
        # list(x order by y): left out of the translation without a word.
        yield "ORDER_OF_AN_AGGREGATE"
    elif isinstance(node, exp.Filter | exp.IgnoreNulls | exp.RespectNulls | exp.TableSample):
        yield type(node).__name__


def _sqlglot() -> ModuleType:
    try:
        import sqlglot
    except ImportError as error:
        raise EngineError(
            "the tables are to be made on Spark, but sqlglot is not installed; install the extra: "
            "pip install 'din-assets[spark]'"
        ) from error
    return sqlglot
