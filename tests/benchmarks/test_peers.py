"""What other libraries are handed: the same samples, padded. No peer is needed here."""

import numpy as np
import pytest

from benchmarks.peer_arrays import padded_events, split_arrays, vocabulary_sizes, write_arrays
from tests.core.training_logs import log


def small_log():
    """Two users of items 1 … 6 in categories 7, 8, 9; the second user has two events only."""
    return log([[3, 1, 4, 2, 5], [6, 2]], cates=[7, 7, 8, 8, 9, 9], n_items=6)


@pytest.mark.parametrize(
    ("padding", "items", "cates"),
    [
        ("left", [[0, 3, 1, 4, 2], [0, 0, 0, 0, 6]], [[0, 8, 7, 8, 7], [0, 0, 0, 0, 9]]),
        ("right", [[3, 1, 4, 2, 0], [6, 0, 0, 0, 0]], [[8, 7, 8, 7, 0], [9, 0, 0, 0, 0]]),
    ],
)
def test_padded_histories_are_those_of_the_samples(padding, items, cates):
    data = small_log()
    samples = data.samples["test"]
    arrays = split_arrays(data, samples, 5, padding)
    positives = arrays["label"] == 1
    np.testing.assert_array_equal(arrays["hist_item_idx"][positives], items)
    np.testing.assert_array_equal(arrays["hist_cate_idx"][positives], cates)
    # A negative has the history of its positive.
    np.testing.assert_array_equal(arrays["hist_item_idx"][~positives], items)
    np.testing.assert_array_equal(arrays["target_item_idx"][positives], [5, 2])
    np.testing.assert_array_equal(arrays["target_cate_idx"][positives], [9, 7])
    np.testing.assert_array_equal(arrays["target_item_idx"][~positives], samples.item[~positives])
    np.testing.assert_array_equal(arrays["length"], [4, 4, 1, 1])
    np.testing.assert_array_equal(arrays["user_idx"], [1, 1, 2, 2])


def test_history_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="4 events and the arrays 3 positions"):
        padded_events(small_log().samples["test"], 3, "left")


def test_every_split_is_written_in_the_order_of_its_samples(tmp_path):
    data = small_log()
    write_arrays(tmp_path / "arrays.npz", data, 5, "left")
    with np.load(tmp_path / "arrays.npz") as saved:
        for split, samples in data.samples.items():
            np.testing.assert_array_equal(saved[f"{split}.target_item_idx"], samples.item)
        np.testing.assert_array_equal(saved["train.label"], data.samples["train"].label)
        assert "test.label" not in saved.files  # the answers stay here
        sizes = {name: int(saved[f"vocabulary.{name}"]) for name in vocabulary_sizes(data)}
    assert sizes == {"user_idx": 3, "item_idx": 7, "cate_idx": 10}
