"""What one pass over the training samples consists of: which candidates, in which order.

An epoch is a function of the seed and its number. It is planned whole, on the host, so that a
training run that was killed can go on in its middle and several processes can share it. Shapes:
M samples of the epoch. No tensors here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from din_core.config import TrainingConfig
from din_core.inputs.sampling import draw_negatives, epoch_seed
from din_core.inputs.training_data import Int32, Int64, Rows, Samples, TrainingData, row_type

# Users whose events are sorted at a time.
_CHUNK_USERS = 1 << 16


@dataclass(frozen=True)
class EpochPlan:
    """The samples of an epoch in training order, each by its row among the log's own samples.

    The columns are gathered a step at a time: all of them at once would be as large as the log.

    Attributes:
        samples: The log's training samples.
        row: Row of ``samples`` that each sample takes its user and history from, int ``[M]``.
        item: Candidates, int32 ``[M]``; ``None`` for those of ``samples``.
        label: int8 ``[M]``; ``None`` for those of ``samples``.
    """

    samples: Samples
    row: Rows
    item: Int32 | None = None
    label: npt.NDArray[np.int8] | None = None

    def __len__(self) -> int:
        """M."""
        return len(self.row)

    def columns(self, part: slice = slice(None)) -> dict[str, npt.NDArray[Any]]:
        """Gather a part of the epoch.

        Args:
            part: Which of the M samples.

        Returns:
            ``user``, ``item``, ``label``, ``start`` and ``end``, as in :class:`Samples`.
        """
        row = self.row[part]
        return {
            "user": self.samples.user[row],
            "item": self.samples.item[row] if self.item is None else self.item[part],
            "label": self.samples.label[row] if self.label is None else self.label[part],
            "start": self.samples.start[row],
            "end": self.samples.end[row],
        }

    def n_positions(self, part: slice) -> int:
        """Count the history positions of a part."""
        row = self.row[part]
        return int((self.samples.end[row] - self.samples.start[row]).sum(dtype=np.int64))

    def steps(
        self, batch_size: int, world_size: int = 1, rank: int = 0
    ) -> Iterator[tuple[slice, int]]:
        """Cut the epoch into steps, each with as many samples for every process.

        Args:
            batch_size: Samples of one process in a step.
            world_size: Processes that share a step of ``world_size * batch_size`` samples.
            rank: The number of this process, from 0.

        Yields:
            Rows that belong to this process, and how many rows the step has over all processes.
            In the last step some processes may get fewer rows, or none.
        """
        together = batch_size * world_size
        for first in range(0, len(self), together):
            n_rows = min(together, len(self) - first)
            share = -(-n_rows // world_size)
            begin = min(rank * share, n_rows)
            end = min(begin + share, n_rows)
            yield slice(first + begin, first + end), n_rows


class EpochPlanner:
    """Plans the epochs of a log.

    With ``negatives="redrawn"`` every epoch draws its own: the epoch joins the seed of
    :mod:`din_core.inputs.sampling`. A redrawn negative is an item that its user has not interacted
    with *in what training may see*: leaving out a held-out positive would tell the model about it.
    A positive and its negatives then stand side by side, in one step. With ``"fixed"`` the samples
    of the table are taken as they are; so are, always, logged negatives and those that were not
    drawn uniformly, because redrawn ones are uniform.

    Args:
        data: The log.
        config: ``negatives``, ``negatives_per_positive`` and ``seed`` are read.

    Attributes:
        redraws: Whether negatives are drawn here.
        n_samples: Samples of an epoch before any negative is drawn; 0 leaves nothing to learn.
    """

    def __init__(self, data: TrainingData, config: TrainingConfig) -> None:
        self._seed = config.seed
        self._n_negatives = config.negatives_per_positive
        self._n_items = data.vocabulary.n_items
        self.redraws = config.negatives == "redrawn" and data.can_redraw
        self._samples = data.samples["train"]
        # A row number has half the bytes of an index where that is enough.
        self._row_type = row_type(len(self._samples))
        if self.redraws:
            self._positives = np.flatnonzero(self._samples.label == 1).astype(self._row_type)
            self._interacted_items, self._interacted_offsets = _interacted_in_training(data)
        self.n_samples = len(self._positives if self.redraws else self._samples)

    def labels(self) -> set[int]:
        """The labels that an epoch's samples have, without planning one."""
        if self.n_samples == 0:
            return set()
        if not self.redraws:
            label = self._samples.label
            return {int(label.min()), int(label.max())}
        n_interacted = np.diff(self._interacted_offsets)[self._samples.user[self._positives] - 1]
        has_negatives = self._n_negatives > 0 and bool((n_interacted < self._n_items).any())
        return {0, 1} if has_negatives else {1}

    def plan(self, epoch: int) -> EpochPlan:
        """Plan an epoch.

        Args:
            epoch: Its number, from 0.

        Returns:
            Its samples. A user who interacted with every item contributes positives only.
        """
        order = np.random.default_rng([self._seed, epoch]).permutation(self.n_samples)
        order = order.astype(self._row_type)
        if not self.redraws:
            return EpochPlan(self._samples, order)

        samples, positives = self._samples, self._positives
        items = np.empty((self.n_samples, 1 + self._n_negatives), dtype=np.int32)
        items[:, 0] = samples.item[positives]
        for k in range(1, self._n_negatives + 1):
            items[:, k] = draw_negatives(
                seed=epoch_seed(self._seed, epoch),
                user_idx=samples.user[positives],
                position=samples.position[positives],
                k=k,
                interacted_items=self._interacted_items,
                interacted_offsets=self._interacted_offsets,
                n_items=self._n_items,
            )
        item = items[order].reshape(-1)
        there = item > 0
        label = np.zeros(items.shape, dtype=np.int8)
        label[:, 0] = 1
        return EpochPlan(
            samples,
            row=np.repeat(positives[order], items.shape[1])[there],
            item=item[there],
            label=label.reshape(-1)[there],
        )


def _interacted_in_training(data: TrainingData) -> tuple[Int32, Int64]:
    """Items of each user's events up to the last training positive, sorted, each once.

    Returns:
        Items of user 1, 2, … in turn, and the offsets ``[U + 1]`` where each user's begin.
    """
    n_users, scale = data.vocabulary.n_users, data.vocabulary.n_items + 1
    train = data.samples["train"]
    n_seen = np.zeros(n_users + 1, dtype=np.int64)
    # Training positions are the first ones of a user, whichever way the log was split.
    positives = train.label == 1
    np.maximum.at(n_seen, train.user[positives], train.position[positives])
    first = np.concatenate([[0], data.user_offsets[:-1]])
    items: list[Int32] = []
    counts = np.zeros(n_users + 1, dtype=np.int64)
    for begin in range(0, n_users + 1, _CHUNK_USERS):
        users = np.arange(begin, min(begin + _CHUNK_USERS, n_users + 1))
        seen = n_seen[users]
        skipped = first[users] - np.cumsum(seen) + seen
        event = np.arange(int(seen.sum())) + np.repeat(skipped, seen)
        keys = np.unique(np.repeat(users, seen) * scale + data.event_items[event])
        items.append((keys % scale).astype(np.int32))
        counts[users] = np.bincount(keys // scale - begin, minlength=len(users))
    # Index 0 is nobody's.
    return np.concatenate(items), np.cumsum(counts)
