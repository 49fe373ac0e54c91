"""One SQL, several engines: every row of every table is the same on DuckDB and on the engine."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from din_core import store
from din_core.config import SequenceConfig, SourceConfig
from din_core.store import sql_files
from din_core.tables import known_ids, sequences
from tests import contexts, random_logs
from tests.engines import logs, tables

# Figures beside the tables: files of sql/sequences that give one row.
FIGURES = ("ids_not_in_log", "users_left_out", "users_without_samples", "split_moment")
EVERY_NAME = (*sequences.tables(), *sequences.samples_relations(), *FIGURES)


def variant_of(name, context):
    return sequences.negatives_variant(context) if name == "negatives" else None


def assert_every_table_is_equal(spark, ours, theirs, source, config):
    """Build all of the table ``interactions`` of ``ours`` on both, and compare.

    Half of the rows are an earlier load, whose ids keep their indices.
    """
    ours.execute("create or replace table whole as from interactions")
    ours.execute("delete from interactions where line % 2 = 0")
    known_ids.forget(ours)
    sequences.build_table(ours, "known_ids", source, config)
    ours.execute(
        "create or replace table kept_ids as select vocabulary, value, idx, load from known_ids"
    )
    ours.execute("create or replace table interactions as from whole")
    sequences.build(ours, source, config, in_ids=True, grows=True)
    context = sequences.template_context(ours, source, config)
    [[load]] = ours.execute("select max(load) from known_ids").fetchall()
    variables = {**context.variables(), "millionths": 800_000, known_ids.LOAD: load}
    for figure in FIGURES:
        store.create_table(ours, figure, **variables)

    for table in ("interactions", "kept_ids"):
        tables.load(spark, ours, table)
    for name in EVERY_NAME:
        tables.build(spark, theirs, name, variant_of(name, context), variables)
    for name in EVERY_NAME:
        tables.assert_equal(theirs, ours, name)


@pytest.mark.parametrize("case", logs.CASES)
def test_every_table_has_the_same_rows_and_version(spark, ours, theirs, case):
    log, choices = logs.CASES[case]
    logs.create_interactions(ours, log())
    source, config = logs.source_of(log()), SequenceConfig(**choices)
    assert_every_table_is_equal(spark, ours, theirs, source, config)


# Three logs take as long as fifty where DuckDB alone is asked.
@settings(max_examples=max(3, settings().max_examples // 100))
@given(log=st.one_of(random_logs.logs(), random_logs.lists_shown_at_once()))
def test_every_table_of_a_random_log_has_the_same_rows_and_version(spark, log):
    rows, source, config = log
    with store.connect(":memory:", threads=1) as ours, store.connect(":memory:") as theirs:
        random_logs.create_interactions(ours, rows, list(rows[0]))
        assert_every_table_is_equal(spark, ours, theirs, source, config)


def test_the_cases_leave_no_file_out():
    seen = set(EVERY_NAME) - {"negatives"}
    for log, choices in logs.CASES.values():
        labelled, sampling = "label" in log(), choices.get("negative_sampling", "uniform")
        context = contexts.context(labelled=labelled, negative_sampling=sampling)
        seen.add(f"negatives.{variant_of('negatives', context)}")
    assert {path.stem for path in (sql_files.SQL_ROOT / "sequences").glob("*.sql")} == seen


@pytest.mark.parametrize("variant", ["uniform", "popularity", "same_category"])
def test_the_draw_stays_below_the_largest_bigint(spark, ours, theirs, variant):
    # All inputs of the hash at their limit: an overflow would be an error on DuckDB and Spark.
    largest = logs.LARGEST
    ours.execute(
        "create table events as "
        f"select {largest} - range % 2 as user_idx, {largest} - range // 2 as position, "
        "range % 5 + 1 as item_idx, range % 5 // 3 + 1 as cate_idx, range as time from range(4000)"
    )
    ours.execute(
        "create table items as select range + 1 as item_idx, range % 5 // 3 + 1 as cate_idx "
        "from range(100)"
    )
    ours.execute(
        "create table user_sequences as "
        "select user_idx, list(item_idx) as items from events group by user_idx"
    )
    source = SourceConfig(path="")
    ours.execute("create table interactions as select 1 as cate_id where false")
    config = SequenceConfig(sampling_seed=largest, negatives_per_positive=3)
    context = sequences.template_context(ours, source, config, for_table="negatives")
    variables = context.variables()
    store.create_table(ours, "negatives", variant=variant, **variables)

    for table in ("events", "user_sequences", "items"):
        tables.load(spark, ours, table)
    tables.build(spark, theirs, "negatives", variant, variables)

    assert ours.execute("select count(*) from negatives").fetchall() == [(12_000,)]
    tables.assert_equal(theirs, ours, "negatives")


@pytest.mark.parametrize(
    ("before", "now"),
    [(logs.tiny, logs.heavy), (logs.texts, logs.fractions), (logs.heavy, logs.heavy)],
)
def test_drift_of_a_log_is_the_same(spark, ours, theirs, before, now):
    def variables(columns):
        source = logs.source_of(columns)
        return sequences.template_context(
            ours, source, SequenceConfig(), for_table="drift"
        ).variables()

    logs.create_interactions(ours, before())
    store.create_table(ours, "log_profile", **variables(before()))
    ours.execute("create table kept_profile as from log_profile")
    store.create_table(ours, "previous_log_profile")
    ours.execute("drop table interactions")
    logs.create_interactions(ours, now())
    tables.load(spark, ours, "interactions")
    tables.load(spark, ours, "kept_profile")
    files = ("log_profile", "previous_log_profile", "drift")
    for name in files:
        store.create_table(ours, name, **variables(now()))
        tables.build(spark, theirs, name, None, variables(now()))
    for name in files:
        tables.assert_equal(theirs, ours, name)
