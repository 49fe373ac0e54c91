"""The tables of sql/sequences, row for row, against the slow oracle, on random logs."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from din_core import store
from din_core.config import SequenceConfig, SourceConfig
from din_core.inputs.samplers import SAMPLERS
from din_core.tables import checks, sequences
from tests import oracle
from tests.contexts import OF_A_MODEL
from tests.random_logs import create_interactions, lists_shown_at_once, log_rows, logs

ORDER = {
    "cates": "1",
    "attributes": "1, 2",
    "users": "1",
    "items": "1",
    "events": "1, 2",
    "user_sequences": "1",
    "negatives": "1, 2, 3",
    "behaviour_sequences": "1",
    "sample_bounds": "user_idx, position, k",
}


@pytest.fixture(scope="module")
def con():
    with store.connect(":memory:", threads=1) as connection:
        yield connection


def tables_of(con):
    found = {
        table: con.execute(f"from {table} order by {order}").fetchall()
        for table, order in ORDER.items()
    }
    # The views promise no order, and rows of several negatives may be equal.
    for view in ("samples", "encoded_samples"):
        found[view] = sorted(con.execute(f"from {view}").fetchall(), key=repr)
    return found


def assert_equal_to_the_oracle(con, log):
    rows, source, config = log
    create_interactions(con, rows, list(rows[0]))
    sequences.build(con, source, config, in_ids=True)

    expected = oracle.build(rows, source, config)
    found = tables_of(con)
    for view in ("samples", "encoded_samples"):
        expected[view].sort(key=repr)
    for table in found:
        assert found[table] == expected[table], table


@settings(max_examples=settings.default.max_examples // 2)
@given(logs())
def test_every_table_equals_the_oracle(con, log):
    assert_equal_to_the_oracle(con, log)


@settings(max_examples=settings.default.max_examples // 2)
@given(lists_shown_at_once())
def test_every_table_of_lists_shown_at_once_equals_the_oracle(con, log):
    assert_equal_to_the_oracle(con, log)


@pytest.mark.parametrize("sampling", SAMPLERS)
def test_every_draw_from_a_skewed_catalogue_equals_the_oracle(con, sampling):
    # 60 items of some thirty different weights, so that marks of all kinds are drawn.
    random = Random(0)
    items = random.choices(range(60), [1 / (item + 1) for item in range(60)], k=300)
    rows = log_rows(
        {
            "user_id": random.randrange(15),
            "item_id": item,
            "time": random.randrange(1000),
            "cate_id": item % 7,
        }
        for item in [*range(60), *items]
    )
    source = SourceConfig(path="")
    config = SequenceConfig(negative_sampling=sampling, negatives_per_positive=4)
    assert_equal_to_the_oracle(con, (rows, source, config))


@settings(max_examples=max(4, settings.default.max_examples // 100))
@given(st.one_of(logs(), lists_shown_at_once()))
def test_no_error_check_finds_fault_with_any_log(con, log):
    rows, source, config = log
    create_interactions(con, rows, list(rows[0]))
    sequences.build(con, source, config)
    context = sequences.template_context(con, source, config)
    for check in checks.all_checks():
        if check.severity == "error" and check.asset not in OF_A_MODEL:
            assert checks.run_check(con, check.name, context).examples == [], check.name
