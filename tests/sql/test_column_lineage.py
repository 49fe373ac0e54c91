"""Where columns come from: by hand, and every column of every table with an answer."""

import duckdb
import pytest

from din_core import store
from din_core.config import SequenceConfig, SourceConfig
from din_core.evaluation import metrics_table
from din_core.store import sql_files
from din_core.tables import analytics, column_lineage, sequences
from din_core.tables.lineage import UnreadableQueryError, column_sources, head_of, lineage
from din_core.tables.lineage.plausible_contexts import plausible_contexts

# Query, columns that are known, and what its column `z` comes from: `t.x`, or `t` for its rows.
QUERIES = [
    ("select x as z from t", {}, "t.x"),
    ("select x + max(y) over (partition by p order by o) as z from t", {}, "t.o t.p t.x t.y"),
    ("select case when a then b else 1 end as z from t where c group by d", {}, "t.a t.b"),
    ("select sum(x) filter (where y) as z from t", {}, "t.x t.y"),
    ("select count(*) as z from t inner join u using (k)", {}, "t u"),
    ("select k as z from t inner join u using (k)", {"t": ["k"], "u": ["k"]}, "t.k"),
    ("select n + x as z from range(3) as r (n), t", {"t": ["x"]}, "t.x"),
    ("with a as (select x as y from t), b as (from a) select y as z from b", {}, "t.x"),
    ("with t as (select x as y from t) select t.y as z from t", {}, "t.x"),
    ("with a (z) as (select x from t) select * from a", {}, "t.x"),
    ("with a as (select x as z, 1 as w from t union all select y, q from u) from a", {}, "t.x u.y"),
    ("select s.y as z from (select x as y from t) as s", {}, "t.x"),
    ("select (select max(x) from u where u.k = t.k) as z from t", {}, "u.x"),
    ("select exists (select 1 from u) as z from t", {}, "u"),
    ("select x in (select y from u) as z from t", {}, "t.x u.y"),
    ("select s.m as z from t, lateral (select max(t.x) as m) as s", {}, "t.x"),
    ("select x + 1 as y, y * 2 as z from t", {"t": ["x"]}, "t.x"),
    ("select z from t inner join u on t.k = u.k", {"t": ["k"], "u": ["K", "Z"]}, "u.z"),
    ("select list_filter(xs, lambda y: y > low) as z from t", {}, "t.low t.xs"),
    ("select list_transform(xs, lambda e: e + 1) as z from t", {}, "t.xs"),
    (
        "with a as (select list_sort(list(struct_pack(o := o, v := x))) s from t group by g) "  # noqa: ISC004
        "select list_transform(s, lambda e: e.v) as z from a",
        {},
        "t.x",
    ),
    (
        "with a as (select struct_pack(v := x, w := y) as s from t) select s.w as z from a",
        {},
        "t.y",
    ),
    ("select unnest(range(n)) as z from t", {}, "t.n"),
    ("select v.c as z from (values (1, 'a')) as v (b, c)", {}, ""),
    ("select 1 as z from t", {}, ""),
    (
        "with recursive r as (select x as z from t union all select r.z + u.y from r, u) from r",
        {},
        "t.x u.y",
    ),
]


@pytest.mark.parametrize(("query", "known", "expected"), QUERIES)
def test_column_comes_from_what_its_expression_names(con, query, known, expected):
    found = column_sources(con, query, known)["z"]
    assert {".".join(filter(None, each)) for each in found} == set(expected.split())


def test_star_stands_for_the_columns_of_the_first_relation_first(con):
    # Of rows below each other, columns belong together by place.
    query = "select * from a cross join b union all select p, q from c"
    found = column_sources(con, query, {"a": ["x"], "b": ["y"]})
    assert list(found.items()) == [("x", {("a", "x"), ("c", "p")}), ("y", {("b", "y"), ("c", "q")})]


@pytest.mark.parametrize(
    ("query", "known", "told"),
    [
        ("select z from t, u", {}, "z could be that of t or u: write its relation before it"),
        ("select t.z from t", {"t": ["x"]}, "t.z is of none of the relations read"),
        ("select * from t", {}, "columns of t are not known"),
        ("select * exclude (x) from t", {"t": ["x", "y"]}, "write the columns that are meant"),
        ("delete from t", {}, "(?i)select"),
        ("select a from (pivot t on x in (1) using count(*)) as p", {"t": ["x"]}, "a PIVOT makes"),
        ("select * from some_macro(1)", {}, r"what some_macro\(\) makes is not known"),
        ("select z from read_csv('log.csv')", {}, r"what read_csv\(\) makes is not known"),
    ],
)
def test_what_cannot_be_told_is_refused(con, query, known, told):
    with pytest.raises(UnreadableQueryError, match=told):
        column_sources(con, query, known)


@pytest.fixture(scope="module")
def rows():
    """The table of a small log whose user column has another name in the source."""
    source = SourceConfig(path="", user_col="reader", user_attribute_cols=("Age",))
    with store.connect(":memory:", threads=1) as con:
        con.execute(
            "create table interactions as select * from (values "
            "('u1', 'i1', 1, 'c1', 'old', 'x.csv', 2), ('u1', 'i2', 2, 'c2', 'old', 'x.csv', 3), "
            "('u1', 'i1', 3, 'c1', 'old', 'x.csv', 4), ('u2', 'i2', 3, 'c2', null, 'x.csv', 5)) "
            'as listed (user_id, item_id, time, cate_id, "Age", file, line)'
        )
        sequences.build(con, source, SequenceConfig(), in_ids=True)
        con.execute(
            "create table scores as select user_idx, position, k, 0.5 as score from sample_bounds"
        )
        metrics_table.write_test_predictions(con, con.table("scores").to_arrow_table())
        con.execute("drop table scores")
        context = sequences.template_context(con, source, SequenceConfig())
        analytics.create_views(con, context)
        assert column_lineage.write(con, context, source) > 100
        yield con.execute("from column_lineage").fetchall()


@pytest.mark.parametrize(
    ("column", "sources"),
    [
        ("interactions.user_id", {("interactions_csv", "reader")}),
        ("interactions.item_id", {("interactions_csv", "item_id")}),
        ("interactions.Age", {("interactions_csv", "Age")}),
        ("interactions.line", {("interactions_csv", None)}),
        ("users.user_id", {("known_ids", "value")}),
        (
            "events.position",
            {("interactions", "time"), ("interactions", "line"), ("users", "user_idx")},
        ),
        ("user_sequences.items", {("events", "item_idx")}),
        ("behaviour_sequences.cates", {("attributes", "value")}),
        ("negatives.k", {(None, None)}),
        ("negatives.cate_idx", {("items", "cate_idx")}),
        ("attributes.value", {("known_ids", "value")}),
        (
            "known_ids.value",
            {("interactions", each) for each in ("user_id", "item_id", "cate_id", "Age")},
        ),
        ("samples.target_item_id", {("items", "item_id")}),
        ("samples.time", {("encoded_samples", "time")}),
        ("sample_bounds.k", {("negatives", "k")}),
        ("test_predictions.score", {("din_model", None), ("encoded_samples", None)}),
        ("test_predictions.label", {("sample_bounds", "label")}),
        ("calibration.mean_score", {("test_predictions", "score")}),
        ("cate_mix.items", {("items", None)}),
        ("column_lineage.table_name", {(None, None)}),
    ],
)  # fmt: skip
def test_column_of_a_log_comes_from(rows, column, sources):
    found = {each[2:] for each in rows if ".".join(each[:2]) == column}
    assert found == sources


def test_table_is_in_a_stable_order_without_repetitions(rows):
    def last_null(each):
        return tuple((part is None, part or "") for part in each)

    assert rows == sorted(set(rows), key=last_null)


def test_options_that_do_not_fit_are_said_and_hide_no_column(caplog):
    with store.connect(":memory:", threads=1) as con:
        con.execute("create table events as select 1 as user_idx, 1 as position")
        con.execute("create table users as select 'a' as user_id")
        con.execute(
            "create table interactions as select 'a' as user_id, 'b' as item_id, 1 as time, "
            "'x.csv' as file, 1 as line"
        )
        con.execute("create table items as select 1 as item_idx, 'b' as item_id")
        source = SourceConfig(path="", item_attribute_cols=())
        context = sequences.template_context(con, source, SequenceConfig())
        column_lineage.write(con, context, source)
        found = con.execute("from column_lineage where table_name = 'events'").fetchall()
    assert found == [("events", "position", None, None), ("events", "user_idx", None, None)]
    assert "events: not told where its columns come from" in caplog.text


def columns_that_python_hands_in():
    """Columns of tables and views, and whether one of their sources is handed in by Python."""
    with duckdb.connect() as con:
        for context in plausible_contexts():
            known = {}
            names = [name for name, file in lineage().files.items() if file.head.kind in KINDS]
            for name in lineage().in_order(names):
                file = lineage().files[name]
                for path in file.paths:
                    head = head_of(path)
                    if not file.reads or not all(context[need] for need in head.needs):
                        continue
                    variant = path.stem.partition(".")[2] or None
                    if variant and (variant == "logged") != context["labelled"]:
                        continue
                    query = sql_files.render(name, variant=variant, **context)
                    found = column_sources(con, query, known)
                    known[name] = list(found)
                    for column, sources in found.items():
                        yield name, column, bool(head.given & {each for each, _ in sources})


KINDS = ("table", "view")


def test_schema_says_where_a_column_comes_from_exactly_where_no_sql_does():
    missing, left_over = set(), set()
    for name, column, is_given in columns_that_python_hands_in():
        schema = sql_files.schema(name)
        is_said = schema._entry(column) in schema.origins
        if is_given != is_said:
            (missing if is_given else left_over).add(f"{name}.{column}")
    assert (missing, left_over) == (set(), set())


def test_tables_without_any_sql_input_say_of_each_column_where_it_comes_from():
    for name, file in lineage().files.items():
        if file.head.kind == "table" and not file.reads and file.head.given:
            schema = sql_files.schema(name)
            unsaid = set(schema.columns) - set(schema.origins) - CONSTANTS.get(name, set())
            assert unsaid == set(), name


# Which SQL writes as a constant.
CONSTANTS = {"metrics": {"is_current"}, "comparisons": {"is_current"}}
