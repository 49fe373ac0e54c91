"""Which items are drawn as negatives, on logs small enough to check by hand."""

import pytest

from din_core import store
from din_core.config import OptionsError, SequenceConfig, SourceConfig
from din_core.inputs.samplers import SAMPLERS
from din_core.tables import popular_items, sequences
from tests.sql.built_by_hand import build


def build_by_category(con, rows, **config):
    """Build from rows of (user, item, time, category), negatives of the positive's category."""
    build(
        con,
        rows,
        columns="user_id, item_id, time, cate_id",
        attributes=("cate_id",),
        negative_sampling="same_category",
        **config,
    )


@pytest.mark.parametrize("sampling", ["uniform", "popularity"])
def test_a_user_who_interacted_with_every_item_keeps_the_positives_alone(con, sampling):
    build(con, [(1, 1, 1), (1, 2, 2), (2, 1, 1)], negative_sampling=sampling)
    assert con.execute("select user_idx, label from encoded_samples").fetchall() == [(1, 1)]


@pytest.mark.parametrize("sampling", SAMPLERS)
def test_a_user_who_repeats_two_items_of_three_costs_no_more_than_others(con, sampling):
    # 100,000 events, nearly as many draws of an interacted item: pairs of the two would take
    # minutes.
    con.execute(
        "create or replace table interactions as "
        "select 1 as user_id, range % 2 + 1 as item_id, range as time, 'log' as file, "
        "range + 2 as line, 7 as cate_id from range(100000) "
        "union all select 2, 3, 0, 'log', 1, 7"
    )
    sequences.build(con, SourceConfig(path=""), SequenceConfig(negative_sampling=sampling))
    found = con.execute("select item_idx, count(*) from negatives group by item_idx").fetchall()
    assert found == [(3, 99_999)]


def test_hard_negatives_come_from_the_positive_s_category(con):
    # Category 1 holds items 1, 2, 3; category 2 holds items 4, 5. Nobody interacts with 3 and 5.
    rows = [(1, 1, 1, 1), (1, 2, 2, 1), (1, 4, 3, 2), (2, 3, 1, 1), (2, 5, 2, 2)]
    build_by_category(con, rows)
    assert con.execute(
        "select position, item_idx from negatives where user_idx = 1 order by position"
    ).fetchall() == [(2, 3), (3, 5)]


def test_a_category_interacted_with_whole_falls_back_to_the_catalogue(con):
    rows = [(1, 1, 1, 1), (1, 2, 2, 1), (2, 3, 1, 2)]
    build_by_category(con, rows)
    assert con.execute("select user_idx, item_idx from negatives").fetchall() == [(1, 3)]


def test_popular_items_are_drawn_more_often(con):
    # Item 1 has 16 events (weight 128), item 2 one (weight 16); users 100 to 299 interact with 3
    # and 4.
    rows = [(user, 1, 1) for user in range(16)] + [(50, 2, 1)]
    rows += [(user, item, item) for user in range(100, 300) for item in (3, 4)]
    build(con, rows, negative_sampling="popularity", negatives_per_positive=5)
    counts = dict(
        con.execute("select item_idx, count(*) from negatives group by item_idx").fetchall()
    )
    assert set(counts) == {1, 2}
    # 1000 draws, 8/9 of them expected on item 1: 889 with a standard deviation of 10.
    assert 840 < counts[1] < 940


def test_every_free_item_of_the_category_is_drawn_as_often(con):
    # Users 0 to 299 interact with items 1 and 2 of the six in category 1; items 7 and 8 are another
    # one.
    rows = [(user, item, item, 1) for user in range(300) for item in (1, 2)]
    rows += [(999, item, 1, 1 if item <= 6 else 2) for item in range(3, 9)]
    build_by_category(con, rows, negatives_per_positive=4)
    counts = dict(
        con.execute(
            "select item_idx, count(*) from negatives where user_idx <= 300 group by item_idx"
        ).fetchall()
    )
    assert set(counts) == {3, 4, 5, 6}
    # 1200 draws, 300 expected of each with a standard deviation of 15; a third were drawn again.
    assert all(240 < n_draws < 360 for n_draws in counts.values())


@pytest.mark.parametrize("sampling", SAMPLERS)
def test_every_sampling_of_an_empty_log_is_empty(con, sampling):
    columns, attributes = "user_id, item_id, time, cate_id", ("cate_id",)
    build(con, [(1, 1, 1, 1)], columns=columns, attributes=attributes)
    con.execute("delete from interactions")
    source = SourceConfig(path="", item_attribute_cols=attributes)
    rows = sequences.build(con, source, SequenceConfig(negative_sampling=sampling))
    assert rows["negatives"] == 0


def test_another_seed_draws_others_and_leaves_the_events(con):
    rows = [(user, (user * 7 + place) % 50, place) for user in range(10) for place in range(5)]
    versions = []
    for seed in (1, 2, 1):
        build(con, rows, sampling_seed=seed)
        versions.append(
            [store.content_version(con, name) for name in ("events", "negatives", "samples")]
        )
    assert versions[0] == versions[2]
    assert versions[0][0] == versions[1][0]
    assert versions[0][1] != versions[1][1]
    assert versions[0][2] != versions[1][2]


@pytest.mark.parametrize(("sampling", "most"), [("popularity", 143), ("uniform", 1)])
def test_items_that_weigh_more_than_a_draw_can_tell_apart_are_refused(
    con, monkeypatch, sampling, most
):
    # Item 1 has 16 events (weight 128), item 2 one (weight 16).
    rows = [(user, 1, 1) for user in range(16)] + [(50, 2, 1)]
    monkeypatch.setattr(popular_items, "MOST_MARKS", 144)
    build(con, rows, negative_sampling=sampling)
    monkeypatch.setattr(popular_items, "MOST_MARKS", most)
    if sampling == "uniform":
        build(con, rows, negative_sampling=sampling)
        return
    with pytest.raises(OptionsError, match=r"the items weigh 144 in all .*, 143 is the most"):
        build(con, rows, negative_sampling=sampling)
