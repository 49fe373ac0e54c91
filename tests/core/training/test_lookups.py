"""Distinct ids by marks and at a static size, against a plain set."""

import pytest
import torch

from din_core.network.batch import Batch
from din_core.training.lookups import LookUps, distinct_at_static_size, distinct_by_marks

ALL_IDS = [[7], [0, 0, 0], [3, 3, 0, 9, 3, 0], list(range(10)), [9, 8, 8, 1, 0, 9], []]


@pytest.mark.parametrize("ids", ALL_IDS)
def test_marks_find_each_id_once(ids):
    wanted = torch.tensor(ids, dtype=torch.int64)
    marks = torch.full((10,), 2, dtype=torch.int32)  # left by an earlier step
    rows, place = distinct_by_marks(wanted, marks)
    assert sorted(rows.tolist()) == sorted(set(ids))
    assert rows[place].tolist() == ids


@pytest.mark.parametrize("ids", ALL_IDS)
def test_a_static_size_does_not_depend_on_the_ids(ids):
    wanted = torch.tensor(ids, dtype=torch.int64)
    rows, place = distinct_at_static_size(wanted, len(ids))
    n_distinct = len(set(ids))
    assert rows.tolist() == sorted(set(ids)) + [0] * (len(ids) - n_distinct)
    assert rows[place].tolist() == ids


def test_marks_are_the_same_in_every_run_and_with_any_number_of_threads():
    # An order that changed with the clock would change roundings, and with them a resumed run.
    ids = torch.randint(0, 50, (40_000,))
    last = torch.tensor([int((ids == row).nonzero()[-1]) for row in range(50)])
    expected = ids[last.sort().values]
    before = torch.get_num_threads()
    try:
        for n_threads in (1, 2, 4):
            torch.set_num_threads(n_threads)
            rows = distinct_by_marks(ids, torch.empty(50, dtype=torch.int32)).rows
            assert torch.equal(rows, expected)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("static_size", [False, True])
def test_inputs_that_share_a_table_share_its_rows(static_size):
    batch = Batch(
        sparse={"target": torch.tensor([5, 2]), "user": torch.tensor([1, 1])},
        sequences={"hist": torch.tensor([2, 0, 4]), "unused": torch.tensor([9, 9, 9])},
        offsets=torch.tensor([0, 3, 3]),
        segment_ids=torch.tensor([0, 0, 0]),
    )
    lookups = LookUps(
        {"target": 6, "user": 3},
        {"target": "target", "hist": "target", "user": "user"},
        static_size=static_size,
    )
    rows, places = lookups.of(batch)
    assert sorted(rows["target"].tolist()) == ([0, 0, 2, 4, 5] if static_size else [0, 2, 4, 5])
    assert rows["target"][places.sparse["target"]].tolist() == [5, 2]
    assert rows["target"][places.sequences["hist"]].tolist() == [2, 0, 4]
    assert rows["user"].tolist() == ([1, 0] if static_size else [1])
    assert places.sparse["user"].tolist() == [0, 0]
    assert places.sequences["unused"].tolist() == [9, 9, 9]
    assert places.segment_ids is batch.segment_ids


def test_a_small_table_is_never_at_hand_more_than_once():
    ids = torch.tensor([1, 2, 1, 2, 1, 2, 0])
    batch = Batch({"x": ids}, {}, torch.arange(8), torch.arange(7))
    rows, _ = LookUps({"x": 3}, {"x": "x"}, static_size=True).of(batch)
    assert rows["x"].tolist() == [0, 1, 2]
