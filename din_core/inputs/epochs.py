"""What one pass over the training samples consists of: which candidates, in which order.

An epoch is a function of the seed and its number. It is planned whole, on the host, so that a
training run that was killed can go on in its middle and several processes can share it. Shapes:
M samples of the epoch. No tensors here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from din_core.config import TrainingConfig
from din_core.inputs.flat_log import Int32, Rows, Samples, TrainingData, row_type
from din_core.inputs.redrawing import redrawing
from din_core.inputs.samplers import SAMPLERS, draw_negatives, epoch_seed, seen_in_training

# Positives that are looked at first to see whether there is any negative to draw.
_FIRST_ROWS = 1 << 12


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
            ``user``, ``item``, ``label``, ``start`` and ``end``, as in :class:`Samples`, and its
            ``context`` and ``time`` where there are any: a redrawn negative has its positive's.
        """
        row = self.row[part]
        context, time = self.samples.context, self.samples.time
        return {
            "user": self.samples.user[row],
            "item": self.samples.item[row] if self.item is None else self.item[part],
            "label": self.samples.label[row] if self.label is None else self.label[part],
            "start": self.samples.start[row],
            "end": self.samples.end[row],
            **({} if context is None else {"context": context[row]}),
            **({} if time is None else {"time": time[row]}),
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

    Where negatives are redrawn (:mod:`din_core.inputs.redrawing`), every epoch draws its own: the
    epoch joins the seed of :mod:`din_core.inputs.samplers`. A sampler knows of the log what
    training may see, so a redrawn negative is an item that its user has not interacted with
    *there*. A positive and its negatives then stand side by side, in one step. Otherwise the
    samples of the table are taken as they are.

    Args:
        data: The log.
        config: ``negatives``, ``redrawn_sampling``, ``redrawn_per_positive`` and ``seed`` are read.

    Attributes:
        n_samples: Samples of an epoch before any negative is drawn; 0 leaves nothing to learn.
        negatives: Which ones an epoch has, in words.
        visible: What their sampler may know of the log; ``None`` where none are drawn.

    Raises:
        SamplingError: The negatives that are asked for cannot be had from this log.
    """

    def __init__(self, data: TrainingData, config: TrainingConfig) -> None:
        self._seed = config.seed
        self._redrawing = redrawing(data, config)
        self._share = () if data.share is None else (data.share.number,)
        self._samples = data.samples["train"]
        # A row number has half the bytes of an index where that is enough.
        self._row_type = row_type(len(self._samples))
        if self._redrawing is None:
            self.negatives = "logged" if data.labelled else "fixed"
            self.n_samples = len(self._samples)
            self.visible = None
            return
        each = f"{self._redrawing.per_positive} for each positive"
        self.negatives = f"redrawn, {self._redrawing.sampling}, {each}"
        self.visible = seen_in_training(data)
        self._positives = np.flatnonzero(self._samples.label == 1).astype(self._row_type)
        self.n_samples = len(self._positives)

    @cached_property
    def n_planned(self) -> int:
        """M, the samples of any epoch: where a negative can be drawn in one, it can in all."""
        if self._redrawing is None:
            return self.n_samples
        drawn = self._redrawn(0, self._positives, self._redrawing.per_positive)
        return self.n_samples + int(np.count_nonzero(drawn))

    @cached_property
    def labels(self) -> frozenset[int]:
        """The labels that an epoch's samples have, without planning one."""
        if self.n_samples == 0:
            return frozenset()
        if self._redrawing is None:
            label = self._samples.label
            return frozenset({int(label.min()), int(label.max())})
        # The first few positives tell, wherever any user has an item left to draw.
        begin, n_rows = 0, _FIRST_ROWS if self._redrawing.per_positive else 0
        while n_rows and begin < self.n_samples:
            if self._redrawn(0, self._positives[begin : begin + n_rows], 1).any():
                return frozenset({0, 1})
            begin, n_rows = begin + n_rows, n_rows * 16
        return frozenset({1})

    def plan(self, epoch: int) -> EpochPlan:
        """Plan an epoch.

        Args:
            epoch: Its number, from 0.

        Returns:
            Its samples. A user who interacted with every item contributes positives only.
        """
        order = np.random.default_rng([self._seed, epoch, *self._share]).permutation(self.n_samples)
        order = order.astype(self._row_type)
        if self._redrawing is None:
            return EpochPlan(self._samples, order)

        positives, n_negatives = self._positives, self._redrawing.per_positive
        items = np.empty((self.n_samples, 1 + n_negatives), dtype=np.int32)
        items[:, 0] = self._samples.item[positives]
        items[:, 1:] = self._redrawn(epoch, positives, n_negatives)
        item = items[order].reshape(-1)
        there = item > 0
        label = np.zeros(items.shape, dtype=np.int8)
        label[:, 0] = 1
        return EpochPlan(
            self._samples,
            row=np.repeat(positives[order], items.shape[1])[there],
            item=item[there],
            label=label.reshape(-1)[there],
        )

    def _redrawn(self, epoch: int, positives: Rows, per_positive: int) -> Int32:
        """Draw the negatives of some positives, int32 ``[N, n]``."""
        assert self._redrawing is not None
        assert self.visible is not None
        return draw_negatives(
            SAMPLERS[self._redrawing.sampling],
            self.visible,
            seed=epoch_seed(self._seed, epoch),
            user_idx=self._samples.user[positives],
            position=self._samples.position[positives],
            item_idx=self._samples.item[positives],
            per_positive=per_positive,
        )
