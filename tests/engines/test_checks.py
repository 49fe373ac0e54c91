"""The checks of ``sql/checks`` find the same rows on DuckDB and on the engine."""

import re

import pytest

from din_core import store
from din_core.engines import translation
from din_core.store import sql_files
from din_core.store.sql_files import quote
from din_core.tables import checks
from tests import broken_tables
from tests.contexts import OF_A_MODEL

#: Of what an engine makes: a model's answers are DuckDB's in any case.
CHECKS = [check.name for check in checks.all_checks() if check.asset not in OF_A_MODEL]
VIEWS = ("sample_bounds", "encoded_samples")
TABLES = (
    "interactions", "known_ids", "users", "items", "attributes", "events", "user_sequences",
    "negatives", "drift",
)  # fmt: skip

#: What warns, and of what.
WARNINGS = {
    "events_ties_in_time": "update events set time = 0",
    "events_times_plausible": "update events set time = 5000000000 where user_idx = 5",
    "items_conflicting_attributes": "update interactions set brand = 'other' where line in (1, 2)",
    "negatives_impossible": (
        "delete from items where item_idx not in (select item_idx from events where user_idx = 7)"
    ),
    "samples_balance": ("sample_bounds", "case when user_idx > 3 then 'train' end as split"),
    "drift_ids": "update drift set outcome = 'drifted' where measure = 'new_users'",
    "drift_population": (
        "update drift set outcome = 'drifted' where measure = 'stability_of_attribute'"
    ),
    "drift_time": "update drift set outcome = 'drifted' where measure = 'last_day_rows'",
    "drift_volume": "update drift set outcome = 'drifted' where measure = 'rows'",
}
BROKEN = {
    **{name: each for name, each in broken_tables.SABOTAGE.items() if name in CHECKS},
    **WARNINGS,
}
OUTCOMES = """
    create table drift as
    select *, '' as about, 0.5e0 as before, 0.7e0 as now, 0.2e0 as value, 0.1e0 as threshold,
        'steady' as outcome
    from (
        values ('new_users'), ('stability_of_attribute'), ('last_day_rows'), ('rows')
    ) as listed (measure)
"""


def hand_over(spark, con, relations):
    """Let the engine read relations of DuckDB, views as the rows they have."""
    for name in relations:
        rows = con.sql(f"from {quote(name)}").to_arrow_table()
        spark.createDataFrame(rows).createOrReplaceTempView(name)


def findings(spark, con, name, context):
    """The rows that a check finds on DuckDB, and those on the engine."""
    variables = {**context.variables(), "one_user_in": 1}
    found = con.execute(sql_files.render(name, **variables)).fetchall()
    theirs = spark.sql(translation.render(name, **variables)).toArrow().to_pylist()
    return [
        sorted((tuple(row) for row in rows), key=repr)
        for rows in (found, [each.values() for each in theirs])
    ]


@pytest.mark.parametrize(
    ("labelled", "rows_a_moment", "split"),
    [
        # test_a_check_finds_the_same_rows asks each check of these tables.
        pytest.param(False, 1, "leave_one_out", marks=pytest.mark.thorough),
        (True, 3, "leave_one_out"),
        # No check but samples_every_split and samples_no_leak asks for both.
        pytest.param(True, 1, "temporal", marks=pytest.mark.thorough),
        (False, 3, "temporal"),
    ],
)
def test_healthy_tables_pass_alike(spark, ours, labelled, rows_a_moment, split):
    context = broken_tables.build(ours, labelled=labelled, rows_a_moment=rows_a_moment, split=split)
    ours.execute(OUTCOMES)
    hand_over(spark, ours, (*TABLES, *VIEWS))
    for name in CHECKS:
        of_duckdb, of_engine = findings(spark, ours, name, context)
        assert of_engine == of_duckdb, name
        assert not of_duckdb or checks.spec(name).severity == "warn", name


@pytest.fixture(scope="module")
def healthy(spark):
    with store.connect(":memory:", threads=1) as con:
        context = broken_tables.build(con)
        con.execute(OUTCOMES)
        hand_over(spark, con, (*TABLES, *VIEWS))
        yield con, context


@pytest.mark.parametrize("name", BROKEN)
def test_a_check_finds_the_same_rows(spark, healthy, name):
    con, context = healthy
    sabotage = BROKEN[name]
    statement = sabotage if isinstance(sabotage, str) else sabotage[0]
    broken = [table for table in TABLES if re.search(rf"(update|from|into) {table}\b", statement)]
    con.execute("begin")
    try:
        broken_tables.break_tables(con, sabotage)
        hand_over(spark, con, (*broken, *VIEWS))
        of_duckdb, of_engine = findings(spark, con, name, context)
    finally:
        con.execute("rollback")
        hand_over(spark, con, broken)
    assert of_duckdb
    assert of_engine == of_duckdb


@pytest.mark.parametrize("leak", broken_tables.LEAKS_WITHIN_A_MOMENT)
def test_what_a_moment_tells_is_found_alike(spark, ours, leak):
    context = broken_tables.build_lists(ours)
    sabotage, expected = broken_tables.LEAKS_WITHIN_A_MOMENT[leak]
    broken_tables.break_tables(ours, sabotage)
    hand_over(spark, ours, ("interactions", "users", "items", "events", "negatives", *VIEWS))
    for name in sorted(expected):
        of_duckdb, of_engine = findings(spark, ours, name, context)
        assert of_duckdb
        assert of_engine == of_duckdb, name


def test_every_check_has_its_broken_tables():
    assert set(BROKEN) == set(CHECKS)
