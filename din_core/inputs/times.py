"""When things happened, for models that ask for it: read of the tables only then.

Times are seconds in 64-bit floats here. A float holds every whole second exactly, and equal times
stay equal; which event is earlier was decided in SQL, on the exact times.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import numpy.typing as npt

from din_core.inputs import training_data
from din_core.inputs.flat_log import SPLITS, TrainingData
from din_core.inputs.training_data import arrow_batches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from din_core.config import LogNumber

Float64 = npt.NDArray[np.float64]


def load_for(con: duckdb.DuckDBPyConnection, log_numbers: Sequence[LogNumber]) -> TrainingData:
    """Read a log from the pipeline's tables with all that a model takes of it.

    Args:
        con: Connection with what :data:`training_data.READS` names.
        log_numbers: Those of the model; times are read where there are any.

    Returns:
        The log.

    Raises:
        TrainingDataError: One of the tables is missing.
    """
    data = training_data.load(con)
    return with_times(con, data) if log_numbers else data


def with_times(con: duckdb.DuckDBPyConnection, data: TrainingData) -> TrainingData:
    """Add the times of events and samples to a log.

    Args:
        con: Connection with ``events`` and ``negatives``, from which the log was read.
        data: The log.

    Returns:
        The log with ``event_times``, and with the ``time`` of all samples.
    """
    offsets = data.user_offsets
    event_times = np.zeros(len(data.event_items))
    for rows in arrow_batches(con, _select("events", "")):
        event_times[offsets[rows["user_idx"] - 1] + rows["position"] - 1] = rows["time"]
    samples: dict[Any, Any] = {}
    for split in SPLITS:
        of = data.samples[split]
        row = offsets[of.user - 1] + of.position - 1
        # A logged negative stands after the events before it, which may be after the last.
        time = event_times[np.minimum(row, max(len(event_times) - 1, 0))]
        samples[split] = dataclasses.replace(of, time=time)
    if data.labelled:
        _put_logged_negatives(con, samples)
    return dataclasses.replace(data, event_times=event_times, samples=samples)


def _put_logged_negatives(con: duckdb.DuckDBPyConnection, samples: dict[Any, Any]) -> None:
    """A logged negative was shown at a time of its own."""
    user, position, k, time = (
        np.concatenate(parts)
        for parts in zip(
            *(
                (each["user_idx"], each["position"], each["k"], each["time"])
                for each in arrow_batches(con, _select("negatives", ", k"))
            ),
            strict=True,
        )
    )
    order = np.lexsort((k, position, user))
    keys = np.rec.fromarrays([user[order], position[order], k[order]])
    for of in samples.values():
        negative = np.flatnonzero(of.k > 0)
        asked = np.rec.fromarrays([of.user[negative], of.position[negative], of.k[negative]])
        of.time[negative] = time[order][np.searchsorted(keys, asked.astype(keys.dtype))]


def _select(table: str, further: str) -> str:
    return f"select user_idx, position{further}, cast(time as double) as time from {table}"
