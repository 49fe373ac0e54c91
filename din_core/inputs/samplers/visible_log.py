"""What a sampler may know of a log: for training, nothing of what is held out.

Shapes: U users, I items, T interacted items of all users.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from din_core.inputs.flat_log import Int32, Int64, TrainingData

# Users whose events are sorted at a time.
_CHUNK_USERS = 1 << 16


@dataclass(frozen=True)
class VisibleLog:
    """The events that a sampler sees, summed up, and the catalogue.

    Attributes:
        n_items: Size of the catalogue, I.
        interacted_items: For user 1, 2, … in turn, the items of the events that are seen, sorted
            and without repetition within a user, int32 ``[T]``.
        interacted_offsets: Where each user's items end, int64 ``[U + 1]``: those of user u are
            ``interacted_items[interacted_offsets[u - 1] : interacted_offsets[u]]``.
        item_counts: How many of the events each item has, int64 ``[I + 1]``; entry 0 is 0.
        item_attributes: By attribute, in the order of ``item_attribute_cols``, its index for each
            item, int32 ``[I + 1]``; 0 is unknown. A fact of the item, whoever interacted with it.
        users: Index that each user is hashed by, int32 ``[U + 1]``, where that is another number
            than theirs here (:class:`din_core.inputs.flat_log.ShareOfUsers`).
    """

    n_items: int
    interacted_items: Int32
    interacted_offsets: Int64
    item_counts: Int64
    item_attributes: Mapping[str, Int32]
    users: Int32 | None = None

    def users_of_items(self) -> Int64:
        """Return the user of each of the interacted items, ascending, ``[T]``."""
        users = np.arange(1, len(self.interacted_offsets), dtype=np.int64)
        return np.repeat(users, np.diff(self.interacted_offsets))


def seen_in_training(data: TrainingData) -> VisibleLog:
    """Return what training may see: each user's events up to the last training positive.

    Leaving out a held-out positive would tell the model something about it, and so would weighing
    an item by its held-out events. Of a share of the users the counts are those of all users.
    """
    seen = first_events(data, n_seen_in_training(data))
    if data.share is None or data.share.item_counts is None:
        return seen
    return dataclasses.replace(seen, item_counts=data.share.item_counts)


def n_seen_in_training(data: TrainingData) -> Int64:
    """Count the events of each user that training may see, ``[U + 1]``: the first ones."""
    train = data.samples["train"]
    n_seen = np.zeros(data.n_users + 1, dtype=np.int64)
    # Training positions are the first ones of a user, whichever way the log was split.
    positives = train.label == 1
    np.maximum.at(n_seen, train.user[positives], train.position[positives])
    return n_seen


def first_events(data: TrainingData, n_seen: Int64) -> VisibleLog:
    """Return what there is to see in the first events of each user.

    Args:
        data: The log.
        n_seen: How many of each user's events are seen, ``[U + 1]``; entry 0 is nobody's and 0.
    """
    n_users, n_items = data.n_users, data.vocabulary.n_items
    scale = n_items + 1
    first = np.concatenate([[0], data.user_offsets[:-1]])
    items: list[Int32] = []
    n_interacted = np.zeros(n_users + 1, dtype=np.int64)
    item_counts = np.zeros(scale, dtype=np.int64)
    for begin in range(0, n_users + 1, _CHUNK_USERS):
        users = np.arange(begin, min(begin + _CHUNK_USERS, n_users + 1))
        seen = n_seen[users]
        skipped = first[users] - np.cumsum(seen) + seen
        item = data.event_items[np.arange(int(seen.sum())) + np.repeat(skipped, seen)]
        item_counts += np.bincount(item, minlength=scale)
        keys = np.unique(np.repeat(users, seen) * scale + item)
        items.append((keys % scale).astype(np.int32))
        n_interacted[users] = np.bincount(keys // scale - begin, minlength=len(users))
    return VisibleLog(
        n_items=n_items,
        interacted_items=np.concatenate(items),
        interacted_offsets=np.cumsum(n_interacted),  # index 0 is nobody's
        item_counts=item_counts,
        item_attributes=data.item_attributes,
        users=None if data.share is None else data.share.users,
    )
