"""Small logs for the tests of training, as they come out of the database."""

import numpy as np

from din_core.inputs.flat_log import Samples, TrainingData
from din_core.network.vocabulary import Vocabulary


def samples(rows, offsets):
    """Samples from (user, position, k, label, item), histories from the user's first event on."""
    columns = np.array(rows, dtype=np.int64).reshape(-1, 5)
    user, position, k, label, item = columns.T
    first = offsets[user - 1]
    return Samples(
        user=user.astype(np.int32),
        position=position.astype(np.int32),
        k=k.astype(np.int32),
        label=label.astype(np.int8),
        item=item.astype(np.int32),
        start=first.astype(np.int32),
        end=(first + position - 1).astype(np.int32),
    )


def log(sequences, *, cates, n_items, negatives=1, seed=0):
    """Leave-one-out data of users given as lists of items.

    Args:
        sequences: Items of each user, oldest first.
        cates: Category of each item 1 … n_items.
        n_items: Size of the catalogue.
        negatives: Fixed negatives a positive, uniform over the items the user lacks.
        seed: Of the negatives.
    """
    rng = np.random.default_rng(seed)
    offsets = np.cumsum([0, *map(len, sequences)])
    rows = {"train": [], "val": [], "test": []}
    for user, items in enumerate(sequences, start=1):
        free = np.setdiff1d(np.arange(1, n_items + 1), items)
        for position in range(2, len(items) + 1):
            split = {len(items): "test", len(items) - 1: "val"}.get(position, "train")
            rows[split].append((user, position, 0, 1, items[position - 1]))
            if len(free):
                rows[split] += [
                    (user, position, k, 0, rng.choice(free)) for k in range(1, negatives + 1)
                ]
    return TrainingData(
        vocabulary=Vocabulary(
            n_users=len(sequences), n_items=n_items, item_attributes={"cate_idx": max(cates)}
        ),
        event_items=np.concatenate(sequences).astype(np.int32),
        user_offsets=offsets,
        item_attributes={"cate_idx": np.array([0, *cates], dtype=np.int32)},
        user_attributes={},
        samples={split: samples(each, offsets) for split, each in rows.items()},
    )


def planted_log(n_users=60, n_events=12, seed=0):
    """Users who stay in one of two categories of ten items each: easy to learn."""
    rng = np.random.default_rng(seed)
    sequences = [
        rng.choice(np.arange(1, 11) + 10 * (user % 2), n_events, replace=True).tolist()
        for user in range(n_users)
    ]
    return log(sequences, cates=[1] * 10 + [2] * 10, n_items=20, seed=seed)
