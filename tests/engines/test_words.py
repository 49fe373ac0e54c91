"""Each word that our SQL may use gives the same on DuckDB and on the engine: shown on rows.

``BY_ROW`` and ``OVER_ROWS`` have an expression, the columns it reads, rows, and what both give.
The lists of ``din_core.engines.translation`` are what is shown here, and what the files use.
"""

import datetime
from decimal import Decimal

import pyarrow as pa
import pytest
import sqlglot

from din_core.engines import translation
from din_core.engines.errors import EngineError
from din_core.store import sql_files
from din_core.tables.lineage import head_of
from din_core.tables.lineage.plausible_contexts import plausible_contexts
from tests.engines.definitions import largest_definition

LARGEST = 2**63 - 1
#: By the name of a column, what it holds.
BIGINT, DOUBLE, TEXT, LIST = pa.int64(), pa.float64(), pa.string(), pa.list_(pa.int64())
DECIMAL, BOOLEAN, MOMENT = pa.decimal128(18, 6), pa.bool_(), pa.timestamp("us")
TYPES = {
    **dict.fromkeys("ab", BIGINT),
    **dict.fromkeys("xy", DOUBLE),
    **dict.fromkeys("st", TEXT),
    "l": LIST,
    "d": DECIMAL,
    **dict.fromkeys("pq", BOOLEAN),
    "m": MOMENT,
}
NUMBER = "^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]{1,3})?$"
EPOCH = "timestamp '1970-01-01 00:00:00'"


def moment(*parts):
    return datetime.datetime(*parts)  # noqa: DTZ001 (a column of the table has no zone)


#: An expression of one row; rows as tuples of its columns; what it gives for each of them.
BY_ROW = [
    ("a + b", "ab", [(2, 3), (-2, 3), (None, 3), (LARGEST, 0)], [5, 1, None, LARGEST]),
    ("a - b", "ab", [(2, 3), (None, 3)], [-1, None]),
    ("d - floor(d)", "d", [("1.25",), ("-1.25",), (None,)], ["0.25", "0.75", None]),
    ("a * b", "ab", [(2**31, 2**31), (-3, 2), (None, 1)], [2**62, -6, None]),
    # Both round towards zero, and the rest has the sign of what is divided.
    ("a // b", "ab", [(7, 2), (-7, 2), (7, -2), (None, 2)], [3, -3, -3, None]),
    ("a % b", "ab", [(7, 3), (-7, 3), (7, -3), (None, 3)], [1, -1, 1, None]),
    ("(a - 1) * b // a % b", "ab", [(3, 4), (5, 7)], [2, 5]),
    ("a + a // 4 - 2 * (a & (a // 4))", "a", [(13,), (0,), (2**32 - 1,)], [14, 0, 0xC0000000]),
    ("a & b", "ab", [(12, 10), (2**62, 2**62 + 1), (-1, 255), (None, 1)], [8, 2**62, 255, None]),
    ("xor(a, b)", "ab", [(12, 10), (-1, 255), (None, 1)], [6, -256, None]),
    ("3 * xor(a + 1, xor(a, b) * 2) - 1", "ab", [(12, 10), (5, 2**31)], [2, 3 * (2**32 + 12) - 1]),
    ("x / y", "xy", [(1.0, 4.0), (-1.0, 8.0), (None, 1.0)], [0.25, -0.125, None]),
    ("cast(a as double) / b", "ab", [(1, 4), (-3, 2)], [0.25, -1.5]),
    ("-a", "a", [(3,), (-3,), (None,)], [-3, 3, None]),
    ("s || t", "st", [("a", "b"), ("", ""), (None, "b")], ["ab", "", None]),
    ("s = t", "st", [("a", "A"), ("ä", "ä"), ("a", "a "), (None, None)], [0, 1, 0, None]),
    ("s <> t", "st", [("a", "A"), ("a", "a"), (None, "a")], [1, 0, None]),
    # Text is compared by its bytes: U+FFFD is before U+1F600, which UTF-16 sees otherwise.
    ("s < t", "st", [("a", "b"), ("Z", "a"), ("\ufffd", "\U0001f600"), ("", "a")], [1, 1, 1, 1]),
    ("s >= ':'", "s", [("a",), ("9",), ("-",), (None,)], [1, 0, 0, None]),
    ("x > y", "xy", [(1.5, 1.25), (1.0, 1.0), (None, 1.0)], [1, 0, None]),
    ("x <= y", "xy", [(1.5, 1.25), (1.0, 1.0), (1.0, None)], [0, 1, None]),
    ("d > 5.25", "d", [("5.25",), ("5.250001",), (None,)], [0, 1, None]),
    ("p and q", "pq", [(1, 1), (1, 0), (1, None), (0, None)], [1, 0, None, 0]),
    ("p or q", "pq", [(0, 0), (1, None), (0, None)], [0, 1, None]),
    ("not p", "p", [(1,), (0,), (None,)], [0, 1, None]),
    ("a is null", "a", [(1,), (None,)], [0, 1]),
    ("a is not null", "a", [(1,), (None,)], [1, 0]),
    ("a is distinct from b", "ab", [(1, 1), (1, 2), (None, 1), (None, None)], [0, 1, 1, 0]),
    ("a in (1, 2)", "a", [(1,), (3,), (None,)], [1, 0, None]),
    ("s not in ('rows', 'days')", "s", [("rows",), ("x",), (None,)], [0, 1, None]),
    ("s like '____-__-__%'", "s", [("2020-01-02",), ("2020-1-2",), (None,)], [1, 0, None]),
    ("s like '%.%'", "s", [("1.5",), ("15",), ("",)], [1, 0, 0]),
    ("abs(x)", "x", [(-1.5,), (0.0,), (1e-300,), (None,)], [1.5, 0.0, 1e-300, None]),
    ("length(s)", "s", [("abc",), ("ä",), ("\U0001f600",), ("",), (None,)], [3, 1, 1, 0, None]),
    (
        "substr(s, 1, a)",
        "sa",
        [("abc", 2), ("äbc", 1), ("abc", 0), ("abc", 9), (None, 1)],
        ["ab", "ä", "", "abc", None],
    ),
    ("substr(s, a + 1)", "sa", [("abc", 2), ("abc", 3), ("abc", 9)], ["c", "", ""]),
    ("array_length(l)", "l", [([5, 5],), ([],), (None,)], [2, 0, None]),
    ("list_sort(list_distinct(l))", "l", [([2, 1, 2, 2],), ([],), (None,)], [[1, 2], [], None]),
    ("list_sort(l)", "l", [([3, -1, 2, -1],), ([],), (None,)], [[-1, -1, 2, 3], [], None]),
    (
        "list_transform(l, lambda each: each + 1)",
        "l",
        [([1, -1],), ([],), (None,)],
        [[2, 0], [], None],
    ),
    (
        "case when a > 1 then 1 when a > 0 then 2 end",
        "a",
        [(2,), (1,), (0,), (None,)],
        [1, 2, None, None],
    ),
    ("case when a > 1 then 1 else 0 end", "a", [(2,), (1,), (None,)], [1, 0, 0]),
    ("coalesce(a, b, 0)", "ab", [(None, 2), (1, 2), (None, None)], [2, 1, 0]),
    ("nullif(s, '')", "s", [("",), (" ",), (None,)], [None, " ", None]),
    # NULL is passed over.
    ("greatest(a, b)", "ab", [(1, 2), (-1, -2), (None, 2), (None, None)], [2, -1, 2, None]),
    ("least(a, b)", "ab", [(1, 2), (-1, -2), (None, 2), (None, None)], [1, -2, 2, None]),
    ("floor(x)", "x", [(1.5,), (-1.5,), (2.0,), (None,)], [1, -2, 2, None]),
    ("round(x)", "x", [(1.4,), (2.5,), (3.5,), (-1.6,), (None,)], [1.0, 3.0, 4.0, -2.0, None]),
    ("round(16 * power(a, 0.75))", "a", [(0,), (1,), (16,), (7,)], [0.0, 16.0, 128.0, 69.0]),
    ("power(x, 2)", "x", [(-3.0,), (0.5,), (None,)], [9.0, 0.25, None]),
    ("ln(x)", "x", [(1.0,), (None,)], [0.0, None]),
    ("sqrt(x)", "x", [(2.25,), (0.0,), (None,)], [1.5, 0.0, None]),
    ("lpad(s, 2, '0')", "s", [("7",), ("12",), ("",), (None,)], ["07", "12", "00", None]),
    ("lower(s)", "s", [("TRUE",), ("Yes",), ("",), (None,)], ["true", "yes", "", None]),
    (
        "md5(s)",
        "s",
        [("",), ("ä",), (None,)],
        ["d41d8cd98f00b204e9800998ecf8427e", "8419b71c87a225a2c70b50486fbee545", None],
    ),
    ("replace(s, 'T', ' ')", "s", [("aTbT",), ("",), (None,)], ["a b ", "", None]),
    ("split_part(s, '.', 1)", "s", [("1.50",), ("15",), ("",), (None,)], ["1", "15", "", None]),
    (
        f"regexp_matches(s, '{NUMBER}')",
        "s",
        [("7.5",), ("-.5",), ("1e-3",), ("1e",), ("",), ("\uff17",), (None,)],
        [1, 1, 1, 0, 0, 0, None],
    ),
    (
        "regexp_extract(s, ':[0-9]{2}[.,]([0-9]{1,18})', 1)",
        "s",
        [("10:20,5",), ("10:20",), ("",), (None,)],
        ["5", "", "", None],
    ),
    ("regexp_extract(s, '^[0-9]{4}-[0-9]{2}', 0)", "s", [("2020-01-02",), ("x",)], ["2020-01", ""]),
    (
        f"date_diff('second', {EPOCH}, m)",
        "m",
        [(moment(1970, 1, 2),), (moment(1969, 12, 31, 23, 59, 59),), (None,)],
        [86400, -1, None],
    ),
    (
        "cast(make_timestamp(a) as timestamp)",
        "a",
        [(1_500_000,), (253_402_300_799_000_000,), (None,)],
        [moment(1970, 1, 1, 0, 0, 1, 500_000), moment(9999, 12, 31, 23, 59, 59), None],
    ),
    ("cast(a as varchar)", "a", [(-7,), (LARGEST,), (None,)], ["-7", str(LARGEST), None]),
    ("cast(a as double)", "a", [(-7,), (2**53,), (None,)], [-7.0, 2.0**53, None]),
    ("cast(a as integer)", "a", [(-7,), (2**31 - 1,), (None,)], [-7, 2**31 - 1, None]),
    ("cast(x as bigint)", "x", [(-7.0,), (2.0**53,), (None,)], [-7, 2**53, None]),
    ("cast(d * 1000000 as bigint)", "d", [("5.000001",), ("-0.5",)], [5_000_001, -500_000]),
    ("cast(a as decimal(18, 6))", "a", [(5,), (-5,), (None,)], ["5", "-5", None]),
    ("cast(s as boolean)", "s", [("true",), ("False",), (None,)], [1, 0, None]),
    # Of text that is an integer as integers are written, no number at all, or too large. DuckDB
    # takes more for one (1e3): what is cast is asked for its form first.
    (
        "try_cast(s as bigint)",
        "s",
        [("7",), ("-7",), (str(LARGEST),), (str(LARGEST + 1),), ("x",), ("",), (None,)],
        [7, -7, LARGEST, None, None, None, None],
    ),
    (
        "try_cast(s as double)",
        "s",
        [("7",), ("-.5",), ("1e-3",), ("x",), ("",), (None,)],
        [7.0, -0.5, 0.001, None, None, None],
    ),
    (
        "try_cast(s as decimal(18, 6))",
        "s",
        [("7",), ("-0.5",), ("1000000000000",), ("x",), (None,)],
        ["7", "-0.5", None, None, None],
    ),
    (
        "try_cast(s as timestamp)",
        "s",
        [("2020-01-02",), ("2020-01-02 03:04:05",), ("2020-13-02",), ("x",), (None,)],
        [moment(2020, 1, 2), moment(2020, 1, 2, 3, 4, 5), None, None, None],
    ),
]

#: An expression over all rows, grouped by nothing; its columns, rows, and the one value.
OVER_ROWS = [
    ("count(*)", "a", [(1,), (None,)], 2),
    ("count(*)", "a", [], 0),
    ("count(a)", "a", [(1,), (None,), (1,)], 2),
    ("count(distinct a)", "a", [(1,), (None,), (1,)], 1),
    ("sum(a)", "a", [(1,), (None,), (-3,)], -2),
    ("sum(a)", "a", [(None,)], None),
    ("cast(sum(a) as bigint)", "a", [(2**62,), (2**62 - 1,)], LARGEST),
    ("sum(x)", "x", [(0.5,), (None,), (0.25,)], 0.75),
    ("min(s)", "s", [("b",), ("Z",), (None,)], "Z"),
    ("max(s)", "s", [("\U0001f600",), ("\ufffd",)], "\U0001f600"),
    ("min(d)", "d", [("5.5",), ("5.25",)], "5.25"),
    ("max(a)", "a", [], None),
    ("bit_or(a)", "a", [(1,), (4,), (None,), (1,)], 5),
    ("bit_or(a)", "a", [(None,)], None),
    ("list_sort(list(a))", "a", [(3,), (-1,), (2,)], [-1, 2, 3]),
    (
        "list_transform(list_sort(list(struct_pack(place := a, value := s))), lambda e: e.value)",
        "as",
        [(2, "b"), (1, None), (-1, "z")],
        ["z", None, "b"],
    ),
]

#: A query over rows, in an order of its first column; its columns, rows, and what it gives.
QUERIES = [
    (
        "select a, row_number() over (order by s desc, a) as b from given",
        "as",
        [(1, "b"), (2, None), (3, "b"), (4, "a")],
        # NULL is last, either way.
        [(1, 1), (2, 4), (3, 2), (4, 3)],
    ),
    (
        "select a, lag(b, 1, cast(0 as bigint)) over (order by a) as c from given",
        "ab",
        [(1, 5), (2, None), (3, 7)],
        [(1, 0), (2, 5), (3, None)],
    ),
    (
        "select a, lag(b) over (order by a) as c from given",
        "ab",
        [(1, 5), (2, 6)],
        [(1, None), (2, 5)],
    ),
    (
        """
        select a, list(b) over (order by a rows between 1 preceding and current row) as c from given
        """,
        "ab",
        [(1, 5), (2, 6), (3, 7)],
        [(1, [5]), (2, [5, 6]), (3, [6, 7])],
    ),
    (
        """
        select a, max(b) over (order by a rows between unbounded preceding and 1 preceding) as c
        from given
        """,
        "ab",
        [(1, 5), (2, 3), (3, 7)],
        [(1, None), (2, 5), (3, 5)],
    ),
    (
        """
        select a, sum(b) over (order by a range between unbounded preceding and current row) as c
        from given
        """,
        "ab",
        [(1, 5), (1, 1), (2, 3)],
        [(1, 6), (1, 6), (2, 9)],
    ),
    (
        "select a, unnest(l) as b from given",
        "al",
        [(1, [7, 8]), (2, []), (3, None)],
        [(1, 7), (1, 8)],
    ),
    (
        "select a from given qualify row_number() over (partition by b order by a) = 1",
        "ab",
        [(1, 5), (2, 5), (3, None), (4, None)],
        [(1,), (3,)],
    ),
    (
        "select s, count(*) as n from given group by s",
        "s",
        [("a",), ("A",), (None,), (None,), ("a ",)],
        [("A", 1), ("a", 1), ("a ", 1), (None, 2)],
    ),
    ("select distinct x from given", "x", [(0.0,), (-0.0,), (1.0,)], [(0.0,), (1.0,)]),
]


def given(spark, ours, columns, rows):
    """Hand rows to both, as the table ``given``, in two partitions and an order of no meaning."""
    typed = [
        pa.array([_typed(row[place], TYPES[column]) for row in rows], TYPES[column])
        for place, column in enumerate(columns)
    ]
    table = pa.table([pa.array(range(len(rows)), BIGINT), *typed], ["number", *columns])
    ours.register("given", table)
    from pyspark.sql.pandas.types import from_arrow_schema

    schema = None if rows else from_arrow_schema(table.schema)
    spark.createDataFrame(table, schema).repartition(2).createOrReplaceTempView("given")


def _typed(value, kind):
    if value is None:
        return None
    return {DECIMAL: Decimal, BOOLEAN: bool}.get(kind, lambda same: same)(value)


def plain(value):
    """A value as the lists here write it."""
    if isinstance(value, Decimal):
        return str(value.normalize())
    return list(map(plain, value)) if isinstance(value, list) else value


def answers(spark, ours, select):
    """The rows of both, sorted, DuckDB's first."""
    theirs = spark.sql(translation.translate(select)).toArrow()
    theirs = [tuple(row.values()) for row in theirs.to_pylist()]
    return [
        sorted(([plain(value) for value in row] for row in rows), key=repr)
        for rows in (ours.execute(select).fetchall(), theirs)
    ]


def expected(rows):
    return sorted((list(row) for row in rows), key=repr)


def named(cases):
    return [pytest.param(*case, id=f"{place}: {case[0]}") for place, case in enumerate(cases)]


@pytest.mark.parametrize(("expression", "columns", "rows", "values"), named(BY_ROW))
def test_an_expression_gives_the_same(spark, ours, expression, columns, rows, values):
    given(spark, ours, columns, rows)
    select = f"select number, {expression} as value from given"
    of_duckdb, of_engine = answers(spark, ours, select)
    assert of_duckdb == expected(enumerate(values))
    assert of_engine == of_duckdb


@pytest.mark.parametrize(("expression", "columns", "rows", "value"), named(OVER_ROWS))
def test_an_aggregate_gives_the_same(spark, ours, expression, columns, rows, value):
    given(spark, ours, columns, rows)
    of_duckdb, of_engine = answers(spark, ours, f"select {expression} as value from given")
    assert of_duckdb == [[value]]
    assert of_engine == of_duckdb


@pytest.mark.parametrize(("select", "columns", "rows", "found"), named(QUERIES))
def test_a_query_gives_the_same(spark, ours, select, columns, rows, found):
    given(spark, ours, columns, rows)
    of_duckdb, of_engine = answers(spark, ours, select)
    assert of_duckdb == expected(found)
    assert of_engine == of_duckdb


#: What macros ask of each engine in other words: DuckDB's, Spark's; columns, rows, and the values.
IN_OTHER_WORDS = [
    (
        # DuckDB takes the last position, Spark the length (history_of in macros/history.jinja).
        "l[a:b]",
        "slice(l, cast(a as int), cast(b - a + 1 as int))",
        "lab",
        [([1, 2, 3, 4], 1, 2), ([1, 2, 3, 4], 3, 4), ([1], 1, 1)],
        [[1, 2], [3, 4], [1]],
    ),
    (
        # Spark counts from 0 in brackets, and knows no end (macros/lists.jinja).
        "l[1]",
        "try_element_at(l, 1)",
        "l",
        [([7, 8],), ([-1],), ([],), (None,)],
        [7, -1, None, None],
    ),
    (
        "l[-1]",
        "try_element_at(l, -1)",
        "l",
        [([7, 8],), ([-1],), ([],), (None,)],
        [8, -1, None, None],
    ),
]


@pytest.mark.parametrize(("duckdb", "other", "columns", "rows", "values"), IN_OTHER_WORDS)
def test_what_an_engine_has_other_words_for_is_the_same(
    spark, ours, duckdb, other, columns, rows, values
):
    given(spark, ours, columns, rows)
    select = "select number, {} as value from given"
    assert ours.execute(select.format(duckdb)).fetchall() == list(enumerate(values))
    theirs = spark.sql(translation.translate(select.format(other))).toArrow().to_pylist()
    assert sorted(tuple(row.values()) for row in theirs) == list(enumerate(values))


def every_file():
    """The files whose tables and checks an engine makes, with each of the plausible contexts."""
    for folder in ("ingest", "sequences", "checks"):
        for path in sorted((sql_files.SQL_ROOT / folder).glob("*.sql")):
            name, _, variant = path.stem.partition(".")
            for context in plausible_contexts():
                if all(context[need] for need in head_of(path).needs):
                    yield name, variant or None, context


@pytest.fixture(scope="module")
def queries():
    """Each of these files as it is translated, parsed; by its path, several of some."""
    found = {}
    for name, variant, context in every_file():
        select = sql_files.render(name, variant=variant, engine="spark", **context)
        found.setdefault(select, sql_files.path_of(name, variant=variant))
    return [(path, sqlglot.parse_one(select, read="duckdb")) for select, path in found.items()]


@pytest.fixture(scope="module")
def used(queries):
    """Every word that a file uses."""
    return frozenset().union(*(translation.words(tree) for _, tree in queries))


def test_no_definition_is_larger_than_a_planner_can_take(queries):
    """Sail took three seconds for one of 46,000 nodes, before it read a row."""
    assert max((*largest_definition(tree), path.name) for path, tree in queries) < (15_000,)


LISTS = {
    "functions": translation.FUNCTIONS,
    "operators": translation.OPERATORS,
    "types": translation.TYPES,
}


@pytest.mark.parametrize("kind", LISTS)
def test_the_lists_have_what_the_files_use_and_nothing_else(used, kind):
    others = frozenset().union(*(words for each, words in LISTS.items() if each != kind))
    assert used - others == LISTS[kind]


def test_each_word_is_shown_here():
    shown = [f"select {case[0]} as value from given" for case in (*BY_ROW, *OVER_ROWS)]
    shown += [case[0] for case in QUERIES]
    shown += [f"select {case[1]} as value from given" for case in IN_OTHER_WORDS]
    found = set().union(
        *(translation.words(sqlglot.parse_one(select, read="duckdb")) for select in shown)
    )
    assert frozenset().union(*LISTS.values()) - found == set()


@pytest.mark.parametrize(
    ("expression", "word"),
    [
        ("median(a)", "median"),
        ("list(a order by b)", "order_of_an_aggregate"),
        ("a | b", "bitwiseor"),
        ("a << 2", "bitwiseleftshift"),
        ("hash(a)", "hash"),
        ("l[1]", "bracket"),
        ("l[1:2]", "bracket, slice"),
        ("round(x, 4)", "round_to_digits"),
        ("cast(a as hugeint)", "int128"),
        ("sum(a) filter (where b)", "filter"),
        ("some_day(a)", "some_day"),
    ],
)
def test_a_word_that_nobody_has_shown_is_refused(expression, word):
    with pytest.raises(EngineError, match=rf"^the query uses {word}: nobody has shown"):
        translation.translate(f"select {expression} from given")


@pytest.mark.parametrize("join", ["asof", "positional", "natural"])
def test_a_join_that_spark_does_not_have_is_refused(join):
    with pytest.raises(EngineError, match=f"uses {join} join"):
        translation.translate(f"select a.x from a {join} join b")


def test_the_refusal_names_the_file_and_where_to_read_on(monkeypatch):
    monkeypatch.setattr(translation, "FUNCTIONS", translation.FUNCTIONS - {"MD5"})
    context = plausible_contexts()[0]
    refusal = (
        r"^sql/ingest/log_profile\.sql uses md5: nobody .* \(CONTRIBUTING\.md, 'A word of SQL'\)$"
    )
    with pytest.raises(EngineError, match=refusal):
        translation.render("log_profile", **context)
