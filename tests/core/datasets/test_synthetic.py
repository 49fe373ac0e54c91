"""The synthetic log: reproducible, as described, and with an oracle that tells the truth."""

import dataclasses

import numpy as np
import pytest

from din_core.config import SyntheticConfig
from din_core.datasets.synthetic import (
    LONG_DRIFTING,
    SHORT_LARGE_CATALOGUE,
    SyntheticLog,
    generate,
    write_csv,
)
from din_core.metrics import auc

SMALL = SyntheticConfig(
    n_users=60, n_items=50, n_cates=6, mean_interactions=6, n_interests=8, interests_per_user=3
)


@pytest.fixture(scope="module")
def default_log() -> SyntheticLog:
    return generate(SyntheticConfig())


def test_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    for name, config in {
        "a": SMALL,
        "b": dataclasses.replace(SMALL),
        "c": dataclasses.replace(SMALL, seed=7),
    }.items():
        write_csv(generate(config), tmp_path / name)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b
    assert a != c
    assert a.startswith(b"user_id,item_id,time,cate_id\n")
    assert b"\r" not in a


def test_default_log_has_the_shape_that_the_configuration_names(default_log):
    frame = default_log.frame
    assert frame["user_id"].nunique() == 2_000
    assert frame["item_id"].between(1, 1_000).all()
    assert frame["cate_id"].between(1, 50).all()
    assert frame.groupby("item_id")["cate_id"].nunique().max() == 1
    lengths = frame.groupby("user_id").size()
    assert lengths.min() >= 3
    assert lengths.mean() == pytest.approx(30, rel=0.1)
    assert all(kind == np.int64 for kind in frame.dtypes)


def test_no_user_interacts_with_an_item_twice_nor_at_one_moment(default_log):
    frame = default_log.frame
    assert not frame.duplicated(["user_id", "item_id"]).any()
    assert not frame.duplicated(["user_id", "time"]).any()
    assert frame["time"].is_monotonic_increasing


def test_popularity_follows_a_power_law():
    config = SyntheticConfig(affinity=0.0, popularity_exponent=1.0, mean_interactions=20)
    counts = np.sort(generate(config).frame["item_id"].value_counts().to_numpy())[::-1]
    # Nobody takes an item twice, which flattens the head; from there on, rank x count is constant.
    assert counts[39] / counts[399] == pytest.approx(10, rel=0.35)


def test_propensities_of_a_user_are_a_distribution(default_log):
    items = np.arange(1, 1_001)
    chances = default_log.propensity(np.full(1_000, 17), items)
    assert chances.min() > 0
    assert chances.sum() == pytest.approx(1.0)


def test_last_events_happen_as_often_as_their_propensity_says():
    # Two interests only, in a log where every user has exactly three events: of the users' last
    # events as many must fall on the ten likeliest items as the propensities add up to, apart from
    # the items already taken, which few events make negligible.
    config = SyntheticConfig(
        n_users=6_000,
        n_items=1_000,
        n_cates=10,
        mean_interactions=3,
        interests_per_user=2,
        n_interests=2,
        affinity=3.0,
        drift=2.0,
        focus_period=4.0,
    )
    log = generate(config)
    users = np.arange(1, 6_001)
    likeliest = np.sort(log.frame["item_id"].value_counts().index[:100].to_numpy())
    pairs = np.repeat(users, len(likeliest)), np.tile(likeliest, len(users))
    expected = log.propensity(*pairs).sum()
    last = log.frame.drop_duplicates("user_id", keep="last")
    happened = int(last["item_id"].isin(likeliest).sum())
    assert happened == pytest.approx(expected, rel=0.06)


def test_propensity_follows_the_focus_at_the_last_event():
    # With a strong drift a user's last event must be likelier under its own focus than under that
    # of half a period earlier.
    config = dataclasses.replace(SMALL, n_users=2_000, drift=3.0, mean_interactions=10)
    log = generate(config)
    last = log.frame.drop_duplicates("user_id", keep="last")
    ids = last["user_id"].to_numpy(), last["item_id"].to_numpy()
    true = np.log(log.propensity(*ids)).mean()
    log._lengths = log._lengths + 10  # half of focus_period
    assert true > np.log(log.propensity(*ids)).mean() + 0.1


def test_oracle_beats_popularity_by_the_designed_distance(default_log):
    users, items, labels = default_log.held_out()
    counts = default_log.frame["item_id"].value_counts()
    popularity = counts.reindex(items).fillna(0).to_numpy()
    assert 0.65 <= auc(labels, popularity) <= 0.70
    assert 0.88 <= auc(labels, default_log.propensity(users, items)) <= 0.92


def test_held_out_negatives_were_never_interacted_with(default_log):
    users, items, labels = default_log.held_out()
    frame = default_log.frame
    interacted = set(zip(frame["user_id"], frame["item_id"], strict=True))
    assert not interacted & set(zip(users[labels == 0], items[labels == 0], strict=True))
    assert interacted >= set(zip(users[labels == 1], items[labels == 1], strict=True))
    assert labels.sum() == 2_000


def test_users_like_several_interests_and_a_candidate_picks_one(default_log):
    # The items a user likes best must not all be alike, or pooling would lose nothing.
    world = default_log._world
    assert ((world.weights > 0).sum(axis=1) >= 2).all()
    best = world.taste.argmax(axis=1)
    users_best = [
        set(best[row[w > 0]]) for row, w in zip(world.interests, world.weights, strict=True)
    ]
    assert np.mean([len(some) > 1 for some in users_best]) > 0.95


def test_categories_do_not_say_all_about_an_interest(default_log):
    # Within the category that an interest loves most, it loves the items very unequally.
    world = default_log._world
    lift = world.taste / world.popularity
    ratios = []
    for row in lift:
        mates = row[world.cates == world.cates[row.argmax()]]
        ratios.append(np.percentile(mates, 90) / np.percentile(mates, 10))
    assert np.median(ratios) > 3


# The other way round drifts the interests, as `test_propensity_follows_the_focus_at_the_last_event`
# shows quickly.
@pytest.mark.parametrize(
    "config", [SHORT_LARGE_CATALOGUE, pytest.param(LONG_DRIFTING, marks=pytest.mark.thorough)]
)
def test_other_shapes_are_learnable_too(config):
    config = dataclasses.replace(config, n_users=400)
    log = generate(config)
    mean = len(log.frame) / config.n_users
    assert mean == pytest.approx(config.mean_interactions, rel=0.2)
    users, items, labels = log.held_out()
    assert auc(labels, log.propensity(users, items)) > 0.85


def test_user_who_exhausts_the_interests_goes_on_with_what_is_free():
    config = dataclasses.replace(SMALL, n_items=12, mean_interactions=6, affinity=60.0)
    frame = generate(config).frame
    assert not frame.duplicated(["user_id", "item_id"]).any()
    assert frame.groupby("user_id").size().max() == 6


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"n_users": 0}, "n_users"),
        ({"n_cates": 60}, "n_cates"),
        ({"mean_interactions": 2.0}, "mean_interactions"),
        ({"exploration": 1.0}, "exploration"),
        ({"interests_per_user": 9}, "n_interests"),
    ],
)
def test_field_out_of_range_is_named(change, named):
    with pytest.raises(ValueError, match=f"^{named} is "):
        generate(dataclasses.replace(SMALL, **change))


def test_ids_that_are_no_ids_of_the_log_are_refused(default_log):
    with pytest.raises(ValueError, match="user_id from 0 to 0: the log has 1 to 2000"):
        default_log.propensity([0], [1])
