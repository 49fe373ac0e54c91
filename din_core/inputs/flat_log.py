"""A log in flat columns, as training takes it: nothing twice, and no tensors.

A history is a slice of ``event_items``, so memory grows with the events and not with their
histories; attributes are looked up by item. Where it is read from says :mod:`training_data`.
Shapes: E events, N samples of a split, U users, I items.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from din_core.config import NegativeSampling
from din_core.network.vocabulary import Vocabulary

SplitName = Literal["train", "val", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int32 | np.int64]
Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Samples:
    """The samples of one split, ordered by user, position and k.

    Attributes:
        user: Index of the user, int32 ``[N]``.
        position: Position of the positive in the user's sequence, int32 ``[N]``; of a logged
            negative, one more than the events before it.
        k: 0 for the positive, 1 … n for its negatives, int32 ``[N]``.
        label: 1 or 0, int8 ``[N]``.
        item: Index of the candidate, int32 ``[N]``.
        start: Row of ``event_items`` where the history begins, int32 ``[N]`` (int64 where there
            are 2**31 events or more).
        end: Row after its last event, likewise; equal to ``start`` for an empty history.
        context: Numbers that belong to the sample, float32 ``[N, C]``, NaN where one is missing;
            ``None`` where the log has no such column.
        time: When it was, in seconds, float64 ``[N]``; ``None`` where times were not read.
    """

    user: Int32
    position: Int32
    k: Int32
    label: npt.NDArray[np.int8]
    item: Int32
    start: Rows
    end: Rows
    context: Float32 | None = None
    time: npt.NDArray[np.float64] | None = None

    def __len__(self) -> int:
        """N."""
        return len(self.user)

    def take(self, rows: npt.NDArray[np.integer] | npt.NDArray[np.bool_] | slice) -> Samples:
        """Some of the samples, in the order asked for."""
        return Samples(**{name: values[rows] for name, values in self.columns().items()})

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """The fields that are there, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: each for name, each in values.items() if each is not None}


@dataclass(frozen=True)
class ShareOfUsers:
    """What a log that holds some of the users only knows of the whole one.

    In its columns such a log counts its own users from 1, so that its memory grows with them.

    Attributes:
        number: Which share it is, from 0.
        users: Index of each of its users in the whole log, int32 ``[U + 1]``; entry 0 is 0.
        item_counts: How many of the events that training may see each item has, over all users,
            int64 ``[I + 1]``; ``None`` where that is not known yet.
    """

    number: int
    users: Int32
    item_counts: Int64 | None = None


@dataclass(frozen=True)
class TrainingData:
    """A log, ready for training.

    Attributes:
        vocabulary: How many ids there are of each kind, and by what numbers are measured.
        event_items: Item of each event, ordered by user and position, int32 ``[E]``.
        user_offsets: Events of user *u* are rows ``user_offsets[u - 1] … user_offsets[u] - 1``,
            int64 ``[U + 1]``.
        item_attributes: By index column (``cate_idx``), the index of each item's value, int32
            ``[I + 1]``; entry 0 is 0.
        user_attributes: By index column, the index of each user's value, int32 ``[U + 1]``.
        samples: By split.
        labelled: Whether the negatives are logged impressions, which nothing may redraw.
        negative_sampling: How the negatives of the table were drawn, where they were.
        negatives_per_positive: How many of them for each positive, likewise.
        item_dense: By column of numbers, that of each item, float32 ``[I + 1]``; NaN where it is
            missing, and in entry 0.
        user_dense: By column of numbers, that of each user, float32 ``[U + 1]``, likewise.
        event_times: When each event was, in seconds, float64 ``[E]``; ``None`` where that was not
            read (:func:`din_core.inputs.times.with_times`).
        share: Where these are some of the users of a larger log, what it knows of that one; its
            vocabulary is the larger log's, too.
    """

    vocabulary: Vocabulary
    event_items: Int32
    user_offsets: Int64
    item_attributes: Mapping[str, Int32]
    user_attributes: Mapping[str, Int32]
    samples: Mapping[SplitName, Samples]
    labelled: bool = False
    negative_sampling: NegativeSampling = "uniform"
    negatives_per_positive: int = 1
    item_dense: Mapping[str, Float32] = field(default_factory=dict[str, Float32])
    user_dense: Mapping[str, Float32] = field(default_factory=dict[str, Float32])
    event_times: npt.NDArray[np.float64] | None = None
    share: ShareOfUsers | None = None

    @property
    def n_users(self) -> int:
        """U, the users it holds."""
        return len(self.user_offsets) - 1

    def fingerprint(self) -> str:
        """SHA-256 of everything in it: two equal ones train the same model."""
        negatives = (self.labelled, self.negative_sampling, self.negatives_per_positive)
        digest = hashlib.sha256(repr((self.vocabulary.to_dict(), negatives)).encode())
        for columns in (
            self.item_attributes,
            self.user_attributes,
            self.item_dense,
            self.user_dense,
        ):
            for name, values in columns.items():
                digest.update(name.encode() + b"\0")
                digest.update(np.ascontiguousarray(values).data)
        for split in SPLITS:
            for name, values in self.samples[split].columns().items():
                digest.update(f"{split}.{name}.{len(values)}\0".encode())
                digest.update(np.ascontiguousarray(values).data)
        digest.update(self.event_items.data)
        digest.update(self.user_offsets.data)
        if self.event_times is not None:
            digest.update(self.event_times.data)
        if self.share is not None:
            digest.update(self.share.users.data)
        return digest.hexdigest()


def row_type(n_rows: int) -> type[np.int32] | type[np.int64]:
    """The narrower integer type that counts so many rows."""
    return np.int32 if n_rows < 2**31 else np.int64
