"""An epoch over shards, cut into steps by hand."""

from collections import Counter

import numpy as np
import pytest

from din_core.inputs.streams import Streams, deal

BY_HAND = Streams(sizes=[5, 3, 4], shards=[[0, 1], [2]], widths=[3, 2])


def test_a_step_takes_a_slice_of_every_stream_and_nothing_of_one_that_is_over():
    # Eight samples by threes, and four by twos.
    assert BY_HAND.samples_of_steps.tolist() == [5, 5, 2]
    parts = [[BY_HAND.parts(step, stream) for stream in (0, 1)] for step in range(3)]
    assert parts == [
        [[(0, slice(0, 3))], [(2, slice(0, 2))]],
        [[(0, slice(3, 5)), (1, slice(0, 1))], [(2, slice(2, 4))]],
        [[(1, slice(1, 3))], []],
    ]


def test_a_slice_may_hold_several_small_shards():
    streams = Streams(sizes=[1, 2, 1], shards=[[2, 0, 1]], widths=[4])
    assert streams.parts(0, 0) == [(2, slice(0, 1)), (0, slice(0, 1)), (1, slice(0, 2))]


def test_shards_are_opened_in_the_order_in_which_steps_need_them():
    assert BY_HAND.openings(0, [0, 1]) == [0, 2, 1]
    assert BY_HAND.openings(0, [1]) == [2]
    # Step 1 still needs the rest of shard 0, step 2 does not.
    assert BY_HAND.openings(1, [0, 1]) == [0, 1, 2]
    assert BY_HAND.openings(2, [0, 1]) == [1]


def test_streams_are_as_long_as_each_other_where_shards_allow_it():
    streams = deal([10, 1, 0, 1, 1, 1, 6], 2, 5, seed=0, epoch=0)
    lengths = [sum(streams.sizes[shard] for shard in of) for of in streams.shards]
    assert lengths == [10, 10]
    assert streams.widths == [3, 2]
    assert sorted(shard for of in streams.shards for shard in of) == [0, 1, 3, 4, 5, 6]


def test_more_streams_than_shards_with_samples_leave_some_without_any():
    streams = deal([0, 4, 0], 3, 3, seed=0, epoch=0)
    assert sorted(map(list, streams.shards)) == [[], [], [1]]
    assert streams.samples_of_steps.tolist() == [1, 1, 1, 1]
    assert deal([0, 0], 2, 2, seed=0, epoch=0).samples_of_steps.tolist() == []


@pytest.mark.parametrize("seed", range(5))
def test_every_sample_is_in_one_step_of_an_epoch(seed):
    random = np.random.default_rng(seed)
    sizes = random.integers(0, 30, 9).tolist()
    streams = deal(sizes, 3, int(random.integers(3, 20)), seed=seed, epoch=1)
    seen = Counter()
    for step, n_samples in enumerate(streams.samples_of_steps.tolist()):
        of_step = [part for stream in range(3) for part in streams.parts(step, stream)]
        assert sum(rows.stop - rows.start for _, rows in of_step) == n_samples
        seen.update((shard, row) for shard, rows in of_step for row in range(rows.start, rows.stop))
    assert seen == Counter((shard, row) for shard, size in enumerate(sizes) for row in range(size))


def test_an_epoch_is_a_function_of_seed_and_number():
    sizes = [7] * 12
    dealt = {
        key: deal(sizes, 2, 4, seed=key[0], epoch=key[1]).shards for key in [(0, 0), (0, 1), (1, 0)]
    }
    assert dealt[0, 0] == deal(sizes, 2, 4, seed=0, epoch=0).shards
    assert dealt[0, 0] != dealt[0, 1]
    assert dealt[0, 0] != dealt[1, 0]
