"""The hash and the uniform draw: equal to SQL, exact, and fair."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from din_core.inputs import sampling
from tests import oracle


def interacted(*sets):
    """Flat array and offsets of each user's interacted items."""
    offsets = np.cumsum([0, *map(len, sets)])
    return np.array([item for items in sets for item in sorted(items)], dtype=np.int64), offsets


@given(
    st.integers(0, 2**30 - 1),
    st.lists(st.tuples(*[st.integers(0, 2**30 - 1)] * 3), min_size=1, max_size=20),
)
def test_draw_equals_the_hash_written_with_python_integers(seed, keys):
    user, position, k = np.array(keys).T
    expected = [oracle.draw(seed, *key) for key in keys]
    assert sampling.draw(seed, user, position, k).tolist() == expected


def test_draws_are_spread_evenly():
    n, cells = 1_000_000, 1024
    drawn = sampling.draw(7, np.arange(n) // 100 + 1, np.arange(n) % 100 + 2, 1)
    observed = np.bincount(drawn // np.uint32(2**32 // cells), minlength=cells)
    chi2 = ((observed - n / cells) ** 2 / (n / cells)).sum() / (cells - 1)
    # Four standard deviations of chi2/df at 1023 degrees of freedom.
    assert abs(chi2 - 1) < 4 * (2 / (cells - 1)) ** 0.5


@given(st.data())
def test_negatives_equal_the_list_of_free_items_written_out(data):
    n_items = data.draw(st.integers(1, 12))
    sets = data.draw(st.lists(st.sets(st.integers(1, n_items)), min_size=1, max_size=5))
    seed = data.draw(st.integers(0, 2**30 - 1))
    user, position, k = (
        array.ravel() for array in np.meshgrid(np.arange(1, len(sets) + 1), [2, 3, 9], [1, 2])
    )
    items, offsets = interacted(*sets)
    drawn = sampling.draw_negatives(
        seed=seed,
        user_idx=user,
        position=position,
        k=k,
        interacted_items=items,
        interacted_offsets=offsets,
        n_items=n_items,
    )
    for u, p, number, item in zip(
        *(array.tolist() for array in (user, position, k, drawn)), strict=True
    ):
        free = [candidate for candidate in range(1, n_items + 1) if candidate not in sets[u - 1]]
        rank = oracle.draw(seed, u, p, number) * len(free) // 2**32
        assert item == (oracle.deck(free)[rank] if free else 0)


def test_a_hole_is_filled_by_the_spare_of_its_turn():
    # Three of six items are free, so there are three numbers: 1 and 2 are interacted with, and the
    # free items above 3 stand in for them, 4 for 1 and 6 for 2.
    items, offsets = interacted({3}, {1, 2, 5})
    positions = np.arange(2, 40)
    drawn = sampling.draw_negatives(
        seed=11,
        user_idx=np.full(len(positions), 2),
        position=positions,
        k=1,
        interacted_items=items,
        interacted_offsets=offsets,
        n_items=6,
    )
    numbers = [oracle.draw(11, 2, position, 1) * 3 // 2**32 + 1 for position in positions.tolist()]
    assert set(numbers) == {1, 2, 3}
    assert drawn.tolist() == [{1: 4, 2: 6, 3: 3}[number] for number in numbers]


def test_the_last_free_item_of_a_tiny_catalogue_is_found():
    items, offsets = interacted({1, 2, 4, 5})
    drawn = sampling.draw_negatives(
        seed=3,
        user_idx=np.ones(50, dtype=np.int32),
        position=np.arange(2, 52),
        k=1,
        interacted_items=items,
        interacted_offsets=offsets,
        n_items=5,
    )
    assert set(drawn.tolist()) == {3}


def test_every_free_item_is_drawn_about_as_often():
    items, offsets = interacted({2, 3, 7})
    drawn = sampling.draw_negatives(
        seed=3,
        user_idx=np.ones(70_000, dtype=np.int64),
        position=np.arange(2, 70_002),
        k=1,
        interacted_items=items,
        interacted_offsets=offsets,
        n_items=10,
    )
    counts = np.bincount(drawn, minlength=11)
    assert counts[[0, 2, 3, 7]].tolist() == [0, 0, 0, 0]
    # 10,000 expected each, standard deviation below 100.
    assert np.abs(counts[[1, 4, 5, 6, 8, 9, 10]] - 10_000).max() < 400


def test_drawing_in_chunks_changes_nothing(monkeypatch):
    arguments = {
        "seed": 5,
        "user_idx": np.arange(100) % 3 + 1,
        "position": np.arange(100) + 2,
        "k": np.arange(100) % 4 + 1,
        "interacted_items": np.array([1, 5, 2, 9]),
        "interacted_offsets": np.array([0, 2, 3, 4]),
        "n_items": 9,
    }
    whole = sampling.draw_negatives(**arguments)
    monkeypatch.setattr(sampling, "_CHUNK_ROWS", 7)
    assert (sampling.draw_negatives(**arguments) == whole).all()


def test_epochs_have_seeds_of_their_own_and_the_first_is_the_table_s():
    seeds = [sampling.epoch_seed(2022, epoch) for epoch in range(200)]
    assert seeds[0] == 2022
    assert len(set(seeds)) == 200
    assert all(0 <= seed < 2**30 for seed in seeds)
    assert seeds == [sampling.epoch_seed(2022, epoch) for epoch in range(200)]


@pytest.mark.parametrize("seed", [-1, 2**30])
def test_a_seed_outside_its_range_is_refused(seed):
    with pytest.raises(ValueError, match=f"seed is {seed}"):
        sampling.epoch_seed(seed, 1)


@pytest.mark.parametrize("user", [0, 3])
def test_a_user_without_a_set_is_refused(user):
    items, offsets = interacted({1}, {2})
    with pytest.raises(ValueError, match=r"holds the users 1 \.\.\. 2"):
        sampling.draw_negatives(
            seed=1,
            user_idx=np.array([user]),
            position=np.array([2]),
            k=1,
            interacted_items=items,
            interacted_offsets=offsets,
            n_items=3,
        )
