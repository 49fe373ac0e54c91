"""One SQL, several engines: every row of every table is the same on DuckDB and on the engine."""

import contextlib
import tempfile

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from din_core import store
from din_core.config import SequenceConfig, SourceConfig
from din_core.engines.engine import DUCKDB
from din_core.engines.parquet_tables import ParquetRoot
from din_core.engines.spark import SparkEngine
from din_core.inputs.samplers import SAMPLERS
from din_core.store import sql_files
from din_core.tables import sequences
from tests import contexts, random_logs
from tests.engines import logs, tables

# Beside the tables: files of sql/sequences that give one row, and decide or report.
FIGURES = (
    "ids_not_in_log", "users_left_out", "users_without_samples", "split_moment", "heaviest_user",
    "item_marks",
)  # fmt: skip
EVERY_NAME = (*sequences.tables(), *sequences.samples_relations(), *FIGURES)


def assert_every_table_is_equal(spark, root, ours, theirs, source, config):
    """Build all of the table ``interactions``, which both have, and compare.

    Half of the rows are an earlier load, whose ids keep their indices.
    """
    earlier, engine = SparkEngine(spark, root), SparkEngine(spark, root)
    for con, first, second in ((ours, DUCKDB, DUCKDB), (theirs, earlier, engine)):
        con.execute("create table whole as from interactions")
        con.execute("delete from interactions where line % 2 = 0")
        with first.transaction(), store.transaction(con):
            sequences.build_table(con, "known_ids", source, config, first)
        con.execute("create or replace table interactions as from whole")
        tables.build(con, second, source, config)
    tables.assert_relations_equal(theirs, engine, ours)
    contexts_of_both = [
        sequences.template_context(ours, source, config),
        sequences.template_context(theirs, source, config, engine=engine),
    ]
    assert contexts_of_both[0] == contexts_of_both[1]
    for name in ("known_ids", "users", "samples"):
        of_duckdb, of_engine = (
            sequences.figures(con, name, context, its)
            for con, context, its in zip(
                (ours, theirs), contexts_of_both, (DUCKDB, engine), strict=True
            )
        )
        assert of_engine == of_duckdb


# What the other cases show already, and which; `make test-spark` takes all.
THOROUGH = {
    "described, temporal at quantiles": "described texts; lists with numbers, temporal",
    "fractional texts, temporal at given times, last event only": "described texts",
    "ties": "crowds, popularity; described texts",
    "heavy, uniform": "crowds, popularity; described texts",
    "heavy, popularity, last event only": "crowds, popularity; described texts",
    "heavy, same category, temporal": "tiny, same category; described texts",
    "tiny, uniform": "alone, where no item can be drawn; described texts",
    "tiny, popularity": "crowds, popularity",
    "repeated, popularity": "alone; crowds, popularity",
    "disagreeing": "described texts",
    "disagreeing, same category": "described texts; tiny, same category",
    "texts, temporal at given times": "described texts",
    "fractions": "described texts",
    "fractions, popularity, temporal": "described texts; crowds, popularity",
    "fractions, same category, temporal at quantiles": "described texts",
    "extreme": "crowds, popularity",
    "numbers": "described texts",
    "numbers of impressions": "lists with numbers",
    "impressions": "lists with numbers",
    "lists": "lists with numbers",
    "lists, temporal": "lists with numbers, temporal",
    "impressions, temporal": "lists with numbers, temporal",
}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=[pytest.mark.thorough] if case in THOROUGH else [])
        for case in logs.CASES
    ],
)
def test_every_table_has_the_same_rows_and_version(spark, root, ours, theirs, case):
    log, choices = logs.CASES[case]
    for con in (ours, theirs):
        logs.create_interactions(con, log())
    source, config = logs.source_of(log()), SequenceConfig(**choices)
    assert_every_table_is_equal(spark, root, ours, theirs, source, config)


# Each kind of log is in the cases above. Two logs take as long here as thirty that DuckDB alone is
# asked for, and so would a smaller one.
@pytest.mark.thorough
@settings(max_examples=max(4, settings().max_examples // 100), phases=[Phase.generate])
@given(log=st.one_of(random_logs.logs(), random_logs.lists_shown_at_once()))
def test_every_table_of_a_random_log_has_the_same_rows_and_version(spark, log):
    rows, source, config = log
    with contextlib.ExitStack() as stack:
        ours, theirs = (stack.enter_context(store.connect(":memory:", threads=1)) for _ in "ab")
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        for con in (ours, theirs):
            random_logs.create_interactions(con, rows, list(rows[0]))
        root = ParquetRoot(folder, buckets=2)
        assert_every_table_is_equal(spark, root, ours, theirs, source, config)


def test_the_cases_leave_no_file_out():
    seen = set(EVERY_NAME) - {"negatives"}
    for log, choices in logs.CASES.values():
        labelled, sampling = "label" in log(), choices.get("negative_sampling", "uniform")
        context = contexts.context(labelled=labelled, negative_sampling=sampling)
        seen.add(f"negatives.{sequences.negatives_variant(context)}")
    files = {path.stem for path in (sql_files.SQL_ROOT / "sequences").glob("*.sql")}
    assert files == seen, "a case of tests/engines/logs.py shows each"


@pytest.mark.parametrize("variant", SAMPLERS)
def test_the_draw_stays_below_the_largest_bigint(engine, ours, theirs, variant):
    # All inputs of the hash at their limit: an overflow would be an error on DuckDB and Spark.
    largest = logs.LARGEST
    source = SourceConfig(path="")
    config = SequenceConfig(sampling_seed=largest, negatives_per_positive=3)
    for con, its in ((ours, DUCKDB), (theirs, engine)):
        con.execute(
            f"""
            create table events as
            select
                {largest} - range % 2 as user_idx, {largest} - range // 2 as position,
                range % 5 + 1 as item_idx, range % 5 // 3 + 1 as cate_idx, range as time
            from range(400);
            create table items as
            select range + 1 as item_idx, range % 5 // 3 + 1 as cate_idx from range(100);
            create table user_sequences as
            select user_idx, list(item_idx) as items from events group by user_idx;
            create table interactions as select 1 as cate_id where false
            """
        )
        context = sequences.template_context(con, source, config, for_table="negatives")
        with its.transaction(), store.transaction(con):
            its.create_table(con, "negatives", variant=variant, **context.variables())
    assert ours.execute("select count(*) from negatives").fetchall() == [(1_200,)]
    tables.assert_equal(theirs, ours, "negatives")


@pytest.mark.parametrize(
    ("before", "now"),
    [
        # Ids are compared as text, and those of the next are text.
        pytest.param(logs.tiny, logs.heavy, marks=[pytest.mark.thorough]),
        (logs.texts, logs.fractions),
        # The same tables with other figures.
        pytest.param(logs.heavy, logs.heavy, marks=[pytest.mark.thorough]),
    ],
)
def test_drift_of_a_log_is_the_same(spark, root, ours, theirs, before, now):
    files = ("previous_log_profile", "log_profile", "drift")
    for con, its in ((ours, lambda: DUCKDB), (theirs, lambda: SparkEngine(spark, root))):
        for log, profile in ((before, "nothing"), (now, "log_profile")):
            con.execute("drop table if exists interactions")
            logs.create_interactions(con, log())
            source = logs.source_of(log())
            context = sequences.template_context(
                con, source, SequenceConfig(), for_table="drift"
            ).variables()
            con.execute(
                "create table if not exists nothing "
                "(measure text, about text, bucket text, n bigint)"
            )
            con.execute(f"create or replace table kept_profile as from {profile}")
            engine = its()
            for name in files:
                with engine.transaction(), store.transaction(con):
                    engine.create_table(con, name, **context)
    for name in files:
        tables.assert_equal(theirs, ours, name)
