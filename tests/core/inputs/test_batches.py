"""Batches: gathered from a log, and flattened from rectangles."""

import dataclasses

import numpy as np
import pytest
import torch

from din_core.inputs.batches import BatchGatherer
from din_core.network.batch import batch_from_padded
from tests.core.training_logs import log

CPU = torch.device("cpu")


def gathered(data, samples, rows):
    part = samples.take(np.array(rows, dtype=np.int64))
    return BatchGatherer(data, CPU).gather(
        user=torch.as_tensor(part.user),
        item=torch.as_tensor(part.item),
        start=torch.as_tensor(part.start),
        end=torch.as_tensor(part.end),
        n_positions=int((part.end - part.start).sum()),
        label=torch.as_tensor(part.label),
    )


def histories(batch, name="hist_item_idx"):
    """The flat values, cut at the offsets."""
    return [part.tolist() for part in batch.sequences[name].tensor_split(batch.offsets[1:-1])]


def test_histories_are_slices_of_the_users_events():
    data = log([[1, 2, 3, 4, 5], [5, 4, 3, 2]], cates=[1, 1, 1, 2, 2, 2], n_items=6)
    # Rows of train: user 1 position 2 and its negative, position 3 and its negative, user 2 …
    batch = gathered(data, data.samples["train"], [2, 0, 4])
    assert histories(batch) == [[1, 2], [1], [5]]
    assert histories(batch, "hist_cate_idx") == [[1, 1], [1], [2]]
    assert batch.segment_ids.tolist() == [0, 0, 1, 2]
    assert batch.offsets.tolist() == [0, 2, 3, 4]
    assert batch.sparse["target_item_idx"].tolist() == [3, 2, 4]
    assert batch.sparse["target_cate_idx"].tolist() == [1, 1, 2]
    assert batch.sparse["user_idx"].tolist() == [1, 1, 2]
    assert batch.label.tolist() == [1.0, 1.0, 1.0]
    assert batch.n_samples == 3


def test_a_batch_of_empty_histories_has_no_positions():
    data = log([[1, 2, 3]], cates=[1] * 3, n_items=3)
    samples = data.samples["test"]
    gatherer = BatchGatherer(data, CPU)
    nothing = torch.zeros(2, dtype=torch.int64)
    batch = gatherer.gather(
        user=torch.as_tensor(samples.user[[0, 0]]),
        item=torch.as_tensor(samples.item[[0, 0]]),
        start=nothing,
        end=nothing,
        n_positions=0,
    )
    assert batch.offsets.tolist() == [0, 0, 0]
    assert len(batch.segment_ids) == 0
    assert len(batch.sequences["hist_item_idx"]) == 0
    assert batch.label is None


def test_a_batch_without_samples_is_one():
    data = log([[1, 2, 3, 4]], cates=[1] * 4, n_items=4)
    batch = gathered(data, data.samples["train"], [])
    assert batch.n_samples == 0
    assert batch.offsets.tolist() == [0]


def test_indices_are_int64_whatever_the_log_holds():
    data = log([[1, 2, 3, 4]], cates=[1] * 4, n_items=4)
    batch = gathered(data, data.samples["train"], [0])
    tensors = [*batch.sparse.values(), *batch.sequences.values(), batch.offsets, batch.segment_ids]
    assert {tensor.dtype for tensor in tensors} == {torch.int64}


def test_user_attributes_are_looked_up_by_user():
    data = log([[1, 2, 3, 4], [2, 3, 4, 1]], cates=[1] * 5, n_items=5)
    data = dataclasses.replace(data, user_attributes={"age_idx": np.array([0, 7, 3])})
    batch = gathered(data, data.samples["train"], [2, 0])
    assert batch.sparse["age_idx"].tolist() == [3, 7]


def test_rectangles_lose_their_padding_wherever_it_stands():
    inputs = {
        "target": torch.tensor([9, 8]),
        "items": torch.tensor([[0, 3, 0, 4], [5, 0, 0, 0]]),
        "cates": torch.tensor([[0, 1, 0, 0], [2, 0, 0, 0]]),
    }
    batch = batch_from_padded(inputs, ["items", "cates"])
    assert histories(batch, "items") == [[3, 4], [5]]
    # An item of unknown category is still an item.
    assert histories(batch, "cates") == [[1, 0], [2]]
    assert batch.segment_ids.tolist() == [0, 0, 1]
    assert batch.sparse["target"].tolist() == [9, 8]


def test_a_row_of_padding_alone_is_an_empty_history():
    batch = batch_from_padded({"items": torch.tensor([[0, 0], [0, 1]])}, ["items"])
    assert batch.offsets.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        ([], ValueError, "name at least one history"),
        (["missing"], KeyError, "no input for"),
        (["items", "longer"], ValueError, "share one shape"),
        (["flat"], ValueError, "share one shape"),
    ],
)
def test_rectangles_that_do_not_fit_are_refused(names, error, message):
    inputs = {
        "items": torch.ones(2, 3, dtype=torch.int64),
        "longer": torch.ones(2, 4, dtype=torch.int64),
        "flat": torch.ones(2, dtype=torch.int64),
    }
    with pytest.raises(error, match=message):
        batch_from_padded(inputs, names)
