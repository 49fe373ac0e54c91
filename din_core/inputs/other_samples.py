"""The samples of a log as they would be with other options, without touching a table.

A history is a slice of the events, and a split is a question of position or time, so both can be
changed on what was read. The tables of the pipeline stay what they are: an ablation asks what
another choice would have given.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from din_core.errors import DinError
from din_core.inputs.flat_log import SPLITS, Samples, TrainingData
from din_core.inputs.normalization import LogMoments

if TYPE_CHECKING:
    from din_core.inputs.flat_log import SplitName
    from din_core.network.vocabulary import Vocabulary

_MILLIONTHS = 1_000_000


class OtherSamplesError(DinError, ValueError):
    """This log cannot be cut so."""


def with_max_history(data: TrainingData, max_history: int) -> TrainingData:
    """Return the log with histories of at most so many events, the most recent ones.

    Args:
        data: The log, whatever its own ``max_history`` was.
        max_history: At least 1.
    """

    def cut(samples: Samples) -> Samples:
        of_user = data.user_offsets[samples.user - 1].astype(samples.start.dtype)
        start = np.maximum(of_user, samples.end - samples.start.dtype.type(max_history))
        return dataclasses.replace(samples, start=start)

    return dataclasses.replace(
        data, samples={split: cut(samples) for split, samples in data.samples.items()}
    )


def split_by_time(data: TrainingData, val_from: float, test_from: float) -> TrainingData:
    """Return the same samples split by the clock, as ``split: temporal`` does.

    Args:
        data: The log, with times.
        val_from: Share of the events after which validation begins, above 0 and below 1.
        test_from: Likewise, test.

    Raises:
        OtherSamplesError: The log was read without times.
    """
    if data.event_times is None:
        raise OtherSamplesError(
            "a split by time needs the times of the log: read it with "
            "din_core.inputs.times.with_times"
        )
    everything = _together(data)
    assert everything.time is not None
    moments = [moment(data.event_times, share) for share in (val_from, test_from)]
    number = np.searchsorted(np.array(moments), everything.time, side="right")
    samples: dict[SplitName, Samples] = {
        split: everything.take(number == place) for place, split in enumerate(SPLITS)
    }
    return dataclasses.replace(
        data, samples=samples, vocabulary=_measured_anew(data, samples["train"])
    )


def moment(times: npt.NDArray[np.float64], share: float) -> float:
    """Return the first time that more than a share of the events do not come after.

    As ``sql/sequences/split_moment.sql``, whose quantiles are in millionths too; 0 without events.
    """
    ordered, counts = np.unique(times, return_counts=True)
    passed = np.cumsum(counts) * _MILLIONTHS > len(times) * round(share * _MILLIONTHS)
    return float(ordered[np.argmax(passed)]) if len(ordered) else 0.0


def _together(data: TrainingData) -> Samples:
    """The samples of all splits, ordered by user, position and k."""
    parts = [data.samples[split].columns() for split in SPLITS]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.lexsort((columns["k"], columns["position"], columns["user"]))
    return Samples(**{name: values[order] for name, values in columns.items()})


def _measured_anew(data: TrainingData, train: Samples) -> Vocabulary:
    """The vocabulary, its numbers measured on other training samples."""
    names = data.vocabulary.context_dense
    moments = LogMoments.of(train, data.item_dense, data.user_dense, names)
    return moments.put_into(data.vocabulary)
