"""What one pass over the training samples consists of: which candidates, in which order.

An epoch is a function of the seed and its number. It is planned whole, on the host, so that a
training run that was killed can go on in its middle and several processes can share it. Shapes:
M samples of the epoch. No tensors here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from din_core.config import TrainingConfig
from din_core.sampling import draw_negatives, epoch_seed
from din_core.training_data import Int32, Int64, Samples, TrainingData


@dataclass(frozen=True)
class EpochPlan:
    """The samples of an epoch in training order.

    Attributes:
        user: int32 ``[M]``.
        item: Candidates, int32 ``[M]``.
        label: int8 ``[M]``.
        start: First event row of each history, int64 ``[M]``.
        end: Event row after its last, int64 ``[M]``.
    """

    user: Int32
    item: Int32
    label: npt.NDArray[np.int8]
    start: Int64
    end: Int64

    def __len__(self) -> int:
        """M."""
        return len(self.user)

    def steps(
        self, batch_size: int, n_processes: int = 1, process: int = 0
    ) -> Iterator[tuple[slice, int]]:
        """Cut the epoch into steps, each with as many samples for every process.

        Args:
            batch_size: Samples of one process in a step.
            n_processes: Processes that share a step of ``n_processes * batch_size`` samples.
            process: The number of this one.

        Yields:
            Rows that belong to this process, and how many rows the step has over all processes.
            In the last step some processes may get fewer rows, or none.
        """
        together = batch_size * n_processes
        for first in range(0, len(self), together):
            n_rows = min(together, len(self) - first)
            share = -(-n_rows // n_processes)
            begin = min(process * share, n_rows)
            end = min(begin + share, n_rows)
            yield slice(first + begin, first + end), n_rows


class EpochPlanner:
    """Plans the epochs of a log.

    With ``negatives="redrawn"`` every epoch draws its own: the epoch joins the seed of
    :mod:`din_core.sampling`. A redrawn negative is an item that its user has not touched *in what
    training may see*: leaving out a held-out positive would tell the model something about it.
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
        samples = data.samples["train"]
        self._samples = samples.take(samples.label == 1) if self.redraws else samples
        self.n_samples = len(self._samples)
        if self.redraws:
            self._touched_items, self._touched_offsets = _touched_in_training(data, self._samples)

    def plan(self, epoch: int) -> EpochPlan:
        """Plan an epoch.

        Args:
            epoch: Its number, from 0.

        Returns:
            Its samples. A user who touched every item contributes positives only.
        """
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self._samples))
        if not self.redraws:
            samples = self._samples.take(order)
            return EpochPlan(samples.user, samples.item, samples.label, samples.start, samples.end)

        positives = self._samples
        seed = epoch_seed(self._seed, epoch)
        items = np.empty((len(positives), 1 + self._n_negatives), dtype=np.int32)
        items[:, 0] = positives.item
        for k in range(1, self._n_negatives + 1):
            items[:, k] = draw_negatives(
                seed=seed,
                user_idx=positives.user,
                position=positives.position,
                k=k,
                touched_items=self._touched_items,
                touched_offsets=self._touched_offsets,
                n_items=self._n_items,
            )
        item = items[order].reshape(-1)
        there = item > 0
        row = np.repeat(order, items.shape[1])[there]
        label = np.zeros(items.shape, dtype=np.int8)
        label[:, 0] = 1
        return EpochPlan(
            user=positives.user[row],
            item=item[there],
            label=label.reshape(-1)[there],
            start=positives.start[row],
            end=positives.end[row],
        )


def _touched_in_training(data: TrainingData, positives: Samples) -> tuple[Int64, Int64]:
    """Items of each user's events up to the last training positive, sorted, each once.

    Returns:
        Items of user 1, 2, … in turn, and the offsets ``[U + 1]`` where each user's begin.
    """
    n_users, scale = data.vocabulary.n_users, data.vocabulary.n_items + 1
    n_seen = np.zeros(n_users + 1, dtype=np.int64)
    # Training positions are the first ones of a user, whichever way the log was split.
    np.maximum.at(n_seen, positives.user, positives.position)
    first = np.concatenate([[0], data.user_offsets[:-1]])
    skipped = first - np.concatenate([[0], np.cumsum(n_seen)[:-1]])
    event: Int64 = np.arange(int(n_seen.sum()), dtype=np.int64) + np.repeat(skipped, n_seen)
    keys = np.unique(np.repeat(np.arange(n_users + 1), n_seen) * scale + data.event_items[event])
    offsets = np.searchsorted(keys, np.arange(1, n_users + 2) * scale)
    return keys % scale, offsets
