"""Every check of sql/checks finds what it is there for, and nothing in a healthy build."""

import dataclasses

import pytest

from din_core.config import SourceConfig
from din_core.store import sql_files
from din_core.tables import checks, sequences
from tests import contexts
from tests.broken_tables import (
    CONFIG,
    LEAKS_WITHIN_A_MOMENT,
    SABOTAGE,
    break_tables,
    build,
    build_lists,
)
from tests.conftest import empty_database


@pytest.fixture(scope="module")
def _built(duckdb_instance):
    with empty_database(duckdb_instance, "built") as connection:
        yield connection, build(connection)


@pytest.fixture
def healthy(_built):
    """Healthy tables, and what they were made with; what a test changes is taken back."""
    connection, context = _built
    connection.execute("begin transaction")
    yield connection, context
    connection.execute("rollback")


# Each two choices meet in a quick case; all three of each kind do in `make test-thorough`.
@pytest.mark.parametrize(
    ("split", "rows_a_moment", "labelled"),
    [
        ("leave_one_out", 1, False),
        ("leave_one_out", 3, True),
        ("temporal", 1, True),
        ("temporal", 3, False),
        *(
            pytest.param(*each, marks=pytest.mark.thorough)
            for each in (
                ("leave_one_out", 1, True),
                ("leave_one_out", 3, False),
                ("temporal", 1, False),
                ("temporal", 3, True),
            )
        ),
    ],
)
def test_a_healthy_build_passes_every_error_check(con, labelled, rows_a_moment, split):
    context = build(con, labelled=labelled, rows_a_moment=rows_a_moment, split=split)
    error_checks = [check for check in checks.all_checks() if check.severity == "error"]
    results = [checks.run_check(con, check.name, context) for check in error_checks]
    assert [result.name for result in results if not result.passed] == []


@pytest.mark.parametrize("name", SABOTAGE)
def test_an_error_check_finds_what_it_is_there_for(healthy, name):
    con, context = healthy
    break_tables(con, SABOTAGE[name])
    result = checks.run_check(con, name, context)
    assert not result.passed
    assert result.severity == "error"
    assert result.failing_rows >= len(result.examples) >= 1
    assert result.description


def test_lists_without_a_click_at_the_end_of_a_labelled_log_are_no_fault(con):
    # Clicks at 1, 2, 3, 4; then two lists that nobody clicked in: both positions of test and val.
    rows = [(1, item, item, int(item < 5)) for item in range(1, 7)]
    rows += [(2, item, item, item % 2) for item in range(1, 9)]
    con.execute(
        "create table interactions as select *, 'log.csv' as file, time as line from ("
        f"values {', '.join(map(str, rows))}) as log (user_id, item_id, time, label)"
    )
    source = SourceConfig(path="log.csv", item_attribute_cols=())
    sequences.build(con, source, CONFIG)
    context = sequences.template_context(con, source, CONFIG)
    assert checks.run_check(con, "samples_every_split", context).passed
    con.execute("update user_sequences set last_moment = 4 where user_idx = 1")
    assert not checks.run_check(con, "samples_every_split", context).passed


@pytest.mark.parametrize("leak", LEAKS_WITHIN_A_MOMENT)
def test_knowledge_from_the_same_moment_is_found(con, leak):
    context = build_lists(con)

    def found():
        return {
            check.name
            for check in checks.checks_of("samples")
            if check.severity == "error" and not checks.run_check(con, check.name, context).passed
        }

    assert found() == set()
    sabotage, expected = LEAKS_WITHIN_A_MOMENT[leak]
    break_tables(con, sabotage)
    assert found() >= expected


def test_every_error_check_has_its_sabotage():
    errors = {check.name for check in checks.all_checks() if check.severity == "error"}
    # The checks of ingestion are tested with it.
    assert errors & {path.stem for path in sql_files.SQL_ROOT.glob("checks/*.sql")} >= set(SABOTAGE)
    ours = {"known_ids", "users", "items", "attributes", "events", "user_sequences", "negatives"}
    ours |= {"samples", "test_predictions", "attention_weights"}
    assert {c.name for c in checks.all_checks() if c.asset in ours and c.name in errors} == set(
        SABOTAGE
    )


@pytest.mark.parametrize(
    ("change", "offending"),
    [
        ("insert into known_ids values ('user', '999', 21, 1, true)", ("999", True, None)),
        ("delete from known_ids where vocabulary = 'user' and value = '106'", ("106", False, 8)),
        ("delete from interactions where user_id = 106 and line % 2 = 0", ("106", True, 4)),
    ],
    ids=["unknown", "left out", "too few"],
)
def test_users_are_those_with_enough_interactions(con, change, offending):
    context = build(con, min_interactions=5)
    assert checks.run_check(con, "known_ids_enough_interactions", context).passed
    con.execute(change)
    [row] = checks.run_check(con, "known_ids_enough_interactions", context).examples
    assert (row["user_id"], row["user_idx"] is not None, row["n_interactions"]) == offending


@pytest.mark.parametrize("score", ["null", "-0.001", "1.001", "'inf'", "'-inf'", "'nan'"])
def test_what_is_no_probability_is_found(healthy, score):
    con, _ = healthy
    con.execute(f"update test_predictions set score = {score} where user_idx = 5 and k = 0")
    assert checks.run_check(con, "test_predictions_probabilities").failing_rows == 1


@pytest.mark.parametrize(
    "change",
    [
        "score = null",
        "score_without = 1.5",
        "attention_weight_item = 'inf'",
        "attention_weight_brand = 'nan'",
        "attention_weight_brand = null",
        "attention_weight_item = null, attention_weight_cate = null, attention_weight_brand = null",
        "log_odds_change = null",
    ],
)
def test_explanation_that_is_no_number_is_found(healthy, change):
    con, context = healthy
    con.execute(f"update attention_weights set {change} where user_id = 105 and k = 0")
    assert not checks.run_check(con, "attention_weights_finite", context).passed


def test_explanations_of_a_model_without_attention_are_finite(healthy):
    con, context = healthy
    con.execute(
        "update attention_weights set weights_are_shares = false, attention_weight_item = null, "
        "attention_weight_cate = null, attention_weight_brand = null"
    )
    for name in ("attention_weights_finite", "attention_weights_shares"):
        assert checks.run_check(con, name, context).passed


@pytest.mark.parametrize(
    "change",
    [
        "insert into test_predictions select * from test_predictions where user_idx = 5 and k = 0",
        "delete from test_predictions where user_idx = 5 and k = 0",
        "update test_predictions set position = position - 1 where user_idx = 5 and k = 0",
    ],
    ids=["twice", "missing", "another sample"],
)
def test_each_test_sample_is_answered_once(healthy, change):
    con, context = healthy
    con.execute(change)
    assert not checks.run_check(con, "test_predictions_complete", context).passed


def test_the_temporal_split_is_judged_by_the_clock(con):
    context = build(con, split="temporal", val_from=0.6, test_from=0.8)
    assert checks.run_check(con, "samples_no_leak", context).passed
    earlier = dataclasses.replace(context, val_from=context.val_from - 1000)
    result = checks.run_check(con, "samples_no_leak", earlier)
    assert {row["split"] for row in result.examples} == {"train"}


def test_conflicting_attributes_are_counted_by_item(healthy):
    con, context = healthy
    con.execute("update interactions set brand = 'other' where line in (1, 2)")
    con.execute("update interactions set brand = 'third' where line = 3")
    result = checks.run_check(con, "items_conflicting_attributes", context)
    assert result.severity == "warn"
    assert result.failing_rows == 3
    assert {row["attribute"] for row in result.examples} == {"brand"}


@pytest.mark.parametrize(("n_ties", "passes"), [(5, True), (6, False)])
def test_ties_warn_above_half_of_the_neighbours(con, n_ties, passes):
    # Ten events after the first one; the first n_ties of them share a second.
    con.execute(
        "create table events as select 1 as user_idx, range + 1 as position, 1 as item_idx, "
        f"greatest(range, {n_ties}) as time from range(11)"
    )
    con.execute("create table users as select 1 as user_idx")
    assert checks.run_check(con, "events_ties_in_time", contexts.context()).passed is passes


def test_a_user_without_free_items_is_reported_once(healthy):
    con, context = healthy
    con.execute(
        "delete from items where item_idx not in (select item_idx from events where user_idx = 7)"
    )
    result = checks.run_check(con, "negatives_impossible", context)
    assert {"user_idx": 7, "n_items": 8} in result.examples


@pytest.mark.parametrize(
    ("allowed", "failing"),
    [
        ((), {"negatives_not_interacted", "negatives_complete", "negatives_impossible"}),
        (("interacted_items",), {"negatives_complete"}),
        (("any_number",), {"negatives_not_interacted", "negatives_impossible"}),
        (("interacted_items", "any_number"), set()),
    ],
)
def test_head_of_the_negatives_file_says_what_the_checks_let_pass(con, allowed, failing):
    # User 1 has interacted with all three items. Position 2 has one negative, where two are asked
    # for.
    con.execute(
        """
        create table users as select 1 as user_idx;
        create table items as select * from (values (1), (2), (3)) as listed (item_idx);
        create table events as
        select * from (values (1, 1, 1), (1, 2, 2), (1, 3, 3)) as listed
            (user_idx, position, item_idx);
        create table negatives as
        select * from (values (1, 2, 1, 3), (1, 3, 1, 1), (1, 3, 2, 1)) as listed
            (user_idx, position, k, item_idx);
        """
    )
    context = contexts.context(negatives_per_positive=2, negatives_allow=allowed)
    names = ("negatives_not_interacted", "negatives_complete", "negatives_impossible")
    assert {name for name in names if not checks.run_check(con, name, context).passed} == failing


@pytest.mark.parametrize(
    ("labelled", "allowed"), [(False, ()), (True, ("interacted_items", "any_number"))]
)
def test_logged_negatives_may_be_of_any_item_and_number_and_sampled_ones_may_not(
    con, labelled, allowed
):
    assert build(con, labelled=labelled).negatives_allow == allowed


def test_no_negatives_are_missed_where_none_were_asked_for(con):
    context = build(con, negatives_per_positive=0)
    assert checks.run_check(con, "negatives_complete", context).passed
    balance = checks.run_check(con, "samples_balance", context)
    assert [row["finding"] for row in balance.examples] == ["no negatives"] * 3


def test_an_empty_split_is_a_finding(con):
    context = build(con, split="temporal", val_from=10**9, test_from=10**9)
    balance = checks.run_check(con, "samples_balance", context)
    assert sorted(row["split"] for row in balance.examples) == ["test", "val"]
    assert {row["finding"] for row in balance.examples} == {"no samples"}


def test_a_split_of_another_balance_is_a_finding(healthy):
    con, context = healthy
    # Ten negatives for each test positive, two for the others.
    con.execute(
        """
        insert into negatives
        select negatives.* replace (k + 2 * copy as k)
        from negatives, range(1, 5) as copies (copy)
        where position = (
            select max(position) from events where events.user_idx = negatives.user_idx
        )
        """
    )
    balance = checks.run_check(con, "samples_balance", context)
    assert [(row["split"], row["n_samples"], row["n_positives"]) for row in balance.examples] == [
        ("test", 220, 20)
    ]
