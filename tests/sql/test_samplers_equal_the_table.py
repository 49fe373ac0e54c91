"""What training would redraw, row for row the table ``negatives``: for every sampler, one log."""

import dataclasses
import shutil
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from din_core import store
from din_core.config import NegativeSampling, SequenceConfig, SourceConfig, TrainingConfig
from din_core.inputs import training_data
from din_core.inputs.epochs import EpochPlanner
from din_core.inputs.samplers import SAMPLERS, draw_negatives, first_events
from din_core.store import sql_files
from din_core.tables import checks, sequences


@pytest.fixture(scope="module")
def con():
    with store.connect(":memory:", threads=1) as connection:
        yield connection


def build(con, rows, config):
    """The tables of (user, item, time, category) rows."""
    con.execute(
        "create or replace table interactions (user_id bigint, item_id bigint, time bigint, "
        "cate_id bigint, file varchar, line bigint)"
    )
    user, item, time, cate = (list(column) for column in zip(*rows, strict=True))
    con.execute(
        "insert into interactions select unnest(?), unnest(?), unnest(?), unnest(?::bigint[]), "
        "'f', unnest(range(?))",
        [user, item, time, cate, len(user)],
    )
    sequences.build(con, SourceConfig(path=""), config)
    return training_data.load(con, config)


def redrawn(data, config):
    """All negatives of all positives, drawn in NumPy from the whole log, as rows of the table."""
    log = first_events(data, np.diff(data.user_offsets, prepend=0))
    rows = []
    for samples in data.samples.values():
        positives = samples.take(samples.label == 1)
        items = draw_negatives(
            SAMPLERS[config.negative_sampling],
            log,
            seed=config.sampling_seed,
            user_idx=positives.user,
            position=positives.position,
            item_idx=positives.item,
            per_positive=config.negatives_per_positive,
        )
        rows += [
            (user, position, k, item)
            for user, position, negatives in zip(
                positives.user.tolist(), positives.position.tolist(), items.tolist(), strict=True
            )
            for k, item in enumerate(negatives, start=1)
            if item
        ]
    return sorted(rows)


def table(con):
    select = "select user_idx, position, k, item_idx from negatives order by all"
    return con.execute(select).fetchall()


@pytest.mark.parametrize("sampling", SAMPLERS)
@settings(max_examples=max(3, settings.default.max_examples // 100))
@given(data=st.data())
def test_draws_from_small_random_logs_are_the_table_s(con, sampling, data):
    # Often a user has interacted with a whole category, or everything.
    n_items = data.draw(st.sampled_from([1, 3, 8]))
    cates = data.draw(st.lists(st.sampled_from([1, 2, None]), min_size=n_items, max_size=n_items))
    item = st.integers(1, n_items).map(lambda number: (number, cates[number - 1]))
    row = st.tuples(st.integers(1, 4), item, st.integers(0, 9))
    rows = data.draw(st.lists(row, min_size=1, max_size=40))
    config = SequenceConfig(
        negative_sampling=sampling,
        negatives_per_positive=data.draw(st.integers(0, 3)),
        sampling_seed=data.draw(st.integers(0, 2**30 - 1)),
    )
    log = build(con, [(user, item, time, cate) for user, (item, cate), time in rows], config)
    assert redrawn(log, config) == table(con)


@pytest.mark.parametrize("sampling", SAMPLERS)
def test_draws_from_a_skewed_log_are_the_table_s(con, sampling):
    # 400 items of many weights and eleven categories, some unknown. User 99 has all of them.
    random = np.random.default_rng(5)
    item = np.concatenate([np.arange(400), (400 * random.random(6_000) ** 4).astype(int)])
    user = np.concatenate([np.full(400, 99), (40 * random.random(6_000) ** 2).astype(int)])
    cate = [int(each) % 11 or None for each in item]
    rows = zip(
        user.tolist(), item.tolist(), random.integers(0, 999, 6_400).tolist(), cate, strict=True
    )
    config = SequenceConfig(
        negative_sampling=sampling, negatives_per_positive=2, sampling_seed=2**30 - 1
    )
    log = build(con, rows, config)
    drawn = redrawn(log, config)
    assert len(drawn) > 11_000
    assert drawn == table(con)


ANY_ITEM = """\
-- allows: interacted_items
-- Negative samples, uniform over the whole catalogue, the user's own items included.
-- Grain: one row per event from position 2 on and k = 1 ... negatives_per_positive.
{% from "macros/sampled_negatives.jinja" import negative_draws, negative_rows with context %}
with

{{ negative_draws() }}
catalogue as (
    select count(*) as n_items
    from items
),

drawn_items as (
    select
        draws.user_idx,
        draws.position,
        draws.k,
        draws.time,
        cast(draws.draw * catalogue.n_items // 4294967296 + 1 as integer) as item_idx
    from draws
    cross join catalogue
)

{{ negative_rows() }}
"""


class AnyItem:
    def __init__(self, log):
        self.n_items = log.n_items

    def items(self, draws):
        return (draws.numbers() * self.n_items >> 32) + 1


def test_a_new_sampler_is_a_file_on_each_side(con, tmp_path, monkeypatch):
    shutil.copytree(sql_files.SQL_ROOT, tmp_path / "sql")
    (tmp_path / "sql/sequences/negatives.any_item.sql").write_text(ANY_ITEM)
    monkeypatch.setattr(sql_files, "SQL_ROOT", tmp_path / "sql")
    monkeypatch.setitem(SAMPLERS, "any_item", AnyItem)
    # As if its name stood among those of `NegativeSampling`.
    monkeypatch.setattr(sequences, "validate", lambda _: None)
    sql_files._environment.cache_clear()
    try:
        config = SequenceConfig(negative_sampling="any_item", negatives_per_positive=5)
        log = build(
            con, [(user, user + time, time, 1) for user in range(5) for time in range(4)], config
        )
        assert redrawn(log, config) == table(con)
        # Users have half of the items: some are drawn, and the checks let them pass.
        context = sequences.template_context(con, SourceConfig(path=""), config)
        for check in checks.checks_of("negatives"):
            assert checks.run_check(con, check.name, context).passed, check.name
        stricter = dataclasses.replace(context, negatives_allow=())
        assert not checks.run_check(con, "negatives_not_interacted", stricter).passed
        # And training redraws by it.
        planner = EpochPlanner(log, TrainingConfig(negatives="auto"))
        assert planner.negatives == "redrawn, any_item, 5 for each positive"
        assert len(planner.plan(0)) == 6 * planner.n_samples
    finally:
        monkeypatch.undo()
        sql_files._environment.cache_clear()


def test_every_file_that_samples_has_its_counterpart_in_training_and_can_be_chosen():
    files = (sql_files.SQL_ROOT / "sequences").glob("negatives.*.sql")
    assert {path.name.split(".")[1] for path in files} - {"logged"} == set(SAMPLERS)
    assert set(get_args(NegativeSampling)) == set(SAMPLERS)
