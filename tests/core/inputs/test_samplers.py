"""The hash, and the draws of each sampler: exact, fair, and of no item that was interacted."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from din_core.inputs.samplers import (
    SAMPLERS,
    SamplingError,
    VisibleLog,
    draw,
    draw_negatives,
    drawing,
    epoch_seed,
)
from din_core.inputs.samplers.popularity import weights_of
from tests import oracle


def visible(*sets, n_items, counts=None, cates=None):
    """A log of users who have interacted with these sets of items; by default all in category 1."""
    flat = np.array([item for items in sets for item in sorted(items)], dtype=np.int32)
    return VisibleLog(
        n_items=n_items,
        interacted_items=flat,
        interacted_offsets=np.cumsum([0, *map(len, sets)]),
        item_counts=np.bincount(flat, minlength=n_items + 1)
        if counts is None
        else np.array([0, *counts]),
        item_attributes={"cate_id": np.array([0, *(cates or [1] * n_items)], dtype=np.int32)},
    )


def drawn_items(sampling, log, *, seed=3, user, position, item=None, per_positive=1):
    user = np.broadcast_to(np.asarray(user), np.shape(position))
    return draw_negatives(
        SAMPLERS[sampling],
        log,
        seed=seed,
        user_idx=user,
        position=np.asarray(position),
        item_idx=np.ones(len(user), dtype=np.int32) if item is None else np.asarray(item),
        per_positive=per_positive,
    )


@given(
    st.integers(0, 2**30 - 1),
    st.lists(st.tuples(*[st.integers(0, 2**30 - 1)] * 3), min_size=1, max_size=20),
)
def test_draw_equals_the_hash_written_with_python_integers(seed, keys):
    user, position, k = np.array(keys).T
    expected = [oracle.draw(seed, *key) for key in keys]
    assert draw(seed, user, position, k).tolist() == expected


def test_draws_are_spread_evenly():
    n, cells = 1_000_000, 1024
    drawn = draw(7, np.arange(n) // 100 + 1, np.arange(n) % 100 + 2, 1)
    observed = np.bincount(drawn // np.uint32(2**32 // cells), minlength=cells)
    chi2 = ((observed - n / cells) ** 2 / (n / cells)).sum() / (cells - 1)
    # Four standard deviations of chi2/df at 1023 degrees of freedom.
    assert abs(chi2 - 1) < 4 * (2 / (cells - 1)) ** 0.5


@given(st.data())
def test_uniform_negatives_equal_the_list_of_free_items_written_out(data):
    n_items = data.draw(st.integers(1, 12))
    sets = data.draw(st.lists(st.sets(st.integers(1, n_items)), min_size=1, max_size=5))
    seed = data.draw(st.integers(0, 2**30 - 1))
    user, position = (
        array.ravel() for array in np.meshgrid(np.arange(1, len(sets) + 1), [2, 3, 9])
    )
    log = visible(*sets, n_items=n_items)
    drawn = drawn_items("uniform", log, seed=seed, user=user, position=position, per_positive=2)
    for u, p, items in zip(user.tolist(), position.tolist(), drawn.tolist(), strict=True):
        free = [candidate for candidate in range(1, n_items + 1) if candidate not in sets[u - 1]]
        for k, item in enumerate(items, start=1):
            rank = oracle.draw(seed, u, p, k) * len(free) // 2**32
            assert item == (oracle.deck(free)[rank] if free else 0)


def test_a_hole_is_filled_by_the_spare_of_its_turn():
    # Three of six items are free, so there are three numbers: 1 and 2 are interacted with, and the
    # free items above 3 stand in for them, 4 for 1 and 6 for 2.
    positions = np.arange(2, 40)
    log = visible({3}, {1, 2, 5}, n_items=6)
    drawn = drawn_items("uniform", log, seed=11, user=2, position=positions)
    numbers = [oracle.draw(11, 2, position, 1) * 3 // 2**32 + 1 for position in positions.tolist()]
    assert set(numbers) == {1, 2, 3}
    assert drawn[:, 0].tolist() == [{1: 4, 2: 6, 3: 3}[number] for number in numbers]


@pytest.mark.parametrize("sampling", SAMPLERS)
def test_the_last_free_item_of_a_tiny_catalogue_is_found(sampling):
    log = visible({1, 2, 4, 5}, n_items=5)
    assert set(drawn_items(sampling, log, user=1, position=np.arange(2, 52)).ravel()) == {3}


@pytest.mark.parametrize("sampling", SAMPLERS)
def test_a_user_who_interacted_with_every_item_has_no_negative(sampling):
    log = visible({1, 2, 3}, {2}, n_items=3)
    drawn = drawn_items(sampling, log, user=[1, 2, 1], position=[2, 2, 3])
    assert (drawn[:, 0] > 0).tolist() == [False, True, False]


@pytest.mark.parametrize("sampling", SAMPLERS)
def test_without_positives_nothing_is_drawn(sampling):
    nobody = visible(n_items=0)
    assert drawn_items(sampling, nobody, user=[], position=[], per_positive=3).shape == (0, 3)


@pytest.mark.parametrize(
    ("sampling", "weights"),
    [
        # Items 2, 3, 7 are interacted. Events 1, 16, 1, 81, 0, 16, 1, 0, 1, 16 weigh as below.
        ("uniform", {1: 1, 4: 1, 5: 1, 6: 1, 8: 1, 9: 1, 10: 1}),
        ("popularity", {1: 16, 4: 432, 5: 1, 6: 128, 8: 1, 9: 16, 10: 128}),
        # The positive is item 1, and its category holds the odd ones: 1, 3, 5, 7, 9.
        ("same_category", {1: 1, 5: 1, 9: 1}),
    ],
)
def test_every_free_item_is_drawn_as_often_as_it_weighs(sampling, weights):
    log = visible(
        {2, 3, 7}, n_items=10, counts=[1, 16, 1, 81, 0, 16, 1, 0, 1, 16], cates=[1, 2] * 5
    )
    n = 70_000
    drawn = drawn_items(sampling, log, user=1, position=np.arange(2, n + 2))
    counts = Counter(drawn.ravel().tolist())
    assert set(counts) == set(weights)
    for item, weight in weights.items():
        share = weight / sum(weights.values())
        # Five standard deviations of a binomial count.
        assert abs(counts[item] - n * share) < 5 * (n * share * (1 - share)) ** 0.5


def test_weights_are_the_rounded_powers():
    counts = np.arange(100_000)
    # Computed in another way: no power of these is within 10,000 ulp of a half.
    expected = np.maximum(1, np.floor(16 * counts**0.75 + 0.5))
    assert weights_of(counts).tolist() == expected.astype(int).tolist()
    # 16 * (10**12) ** 0.75 is 16 * 10**9, of which a float has no doubt.
    assert weights_of(np.array([10**12])).tolist() == [16 * 10**9]


def test_every_mark_of_a_very_uneven_ruler_is_found():
    # Two items outweigh a thousand others, which share a few pieces of the ruler.
    counts = [1] * 500 + [10**6] + [0] * 500 + [10**5]
    log = visible(set(), n_items=1002, counts=counts)
    positions = np.arange(2, 20_002)
    pool = np.repeat(np.arange(1, 1003), weights_of(np.array(counts)))
    expected = pool[draw(3, np.ones(20_000, dtype=int), positions, 1).astype(int) * len(pool) >> 32]
    drawn = drawn_items("popularity", log, user=1, position=positions)[:, 0]
    assert len(set(expected.tolist())) > 100
    assert drawn.tolist() == expected.tolist()


def test_a_positive_of_unknown_category_draws_from_the_whole_catalogue():
    # Items 1 and 2 have no category. A draw for item 1 is from all, one for item 3 from 3 and 4.
    log = visible({1, 3}, n_items=5, cates=[0, 0, 1, 1, 2])
    positions = np.arange(2, 302)
    items = {
        item: set(
            drawn_items(
                "same_category", log, user=1, position=positions, item=np.full(300, item)
            ).ravel()
        )
        for item in (1, 3)
    }
    assert items == {1: {2, 4, 5}, 3: {4}}


def test_a_category_interacted_with_whole_falls_back_to_the_catalogue():
    log = visible({3, 4}, n_items=5, cates=[0, 0, 1, 1, 2])
    drawn = drawn_items("same_category", log, user=1, position=np.arange(2, 302), item=[3] * 300)
    assert set(drawn.ravel()) == {1, 2, 5}


def test_same_category_without_an_attribute_is_refused():
    log = VisibleLog(**{**vars(visible({1}, n_items=2)), "item_attributes": {}})
    with pytest.raises(SamplingError, match="item_attribute_cols is empty"):
        drawn_items("same_category", log, user=[1], position=[2])


def test_weights_that_a_draw_could_not_tell_apart_are_refused():
    # 16 * (2**36) ** 0.75 is 2**31: with it the ruler has more marks than fit into the arithmetic.
    log = visible({1}, n_items=2, counts=[1, 2**36])
    with pytest.raises(SamplingError, match=r"weigh 2,147,483,664 in all"):
        drawn_items("popularity", log, user=[1], position=[2])


@pytest.mark.parametrize("sampling", SAMPLERS)
def test_drawing_in_chunks_changes_nothing(sampling, monkeypatch):
    log = visible({1, 5}, {2}, {9, 3}, n_items=9, cates=[1, 2, 0] * 3)
    arguments = {
        "user": np.arange(100) % 3 + 1,
        "position": np.arange(100) + 2,
        "item": np.arange(100) % 9 + 1,
        "per_positive": 4,
    }
    whole = drawn_items(sampling, log, **arguments)
    monkeypatch.setattr(drawing, "_CHUNK_ROWS", 7)
    assert (drawn_items(sampling, log, **arguments) == whole).all()


def test_epochs_have_seeds_of_their_own_and_the_first_is_the_table_s():
    seeds = [epoch_seed(2022, epoch) for epoch in range(200)]
    assert seeds[0] == 2022
    assert len(set(seeds)) == 200
    assert all(0 <= seed < 2**30 for seed in seeds)
    assert seeds == [epoch_seed(2022, epoch) for epoch in range(200)]


@pytest.mark.parametrize("seed", [-1, 2**30])
def test_a_seed_outside_its_range_is_refused(seed):
    with pytest.raises(ValueError, match=f"seed is {seed}"):
        epoch_seed(seed, 1)


@pytest.mark.parametrize("user", [0, 3])
def test_a_user_that_the_log_does_not_hold_is_refused(user):
    with pytest.raises(ValueError, match=r"holds the users 1 \.\.\. 2"):
        drawn_items("uniform", visible({1}, {2}, n_items=3), user=[user], position=[2])
