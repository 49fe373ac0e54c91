"""The numbers of the log for a request: what :mod:`din_core.inputs.log_numbers` gives a sample.

The bundle brings what they are counted in: the items' training events, and when the events of the
default histories were. Shapes: B rows, L padded length of their histories. Where all rows have one
history, it is ``[1, L]``.
"""

from __future__ import annotations

import datetime
import functools
import math
from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt

from din_core.errors import WrongRequestError
from din_core.inputs.item_timeline import DAY, WINDOWS, ItemTimeline
from din_core.serving.bundle import contents, parquet_files
from din_core.serving.bundle.contents import Bundle

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
#: Seconds since 1970-01-01 UTC, or a moment; without a time zone it is taken for UTC.
Moment = float | datetime.datetime

#: Numbers that go by when the events of the history were.
OF_HISTORY_TIMES = ("days_since_last_event", "same_moment_events")


def seconds_of(moment: object, name: str) -> float:
    """Return a moment in seconds since 1970-01-01 UTC.

    Args:
        moment: A number of seconds, or a ``datetime``; one without a time zone is UTC.
        name: What to call it in an error.

    Raises:
        WrongRequestError: It is neither, or no finite number.
    """
    if isinstance(moment, datetime.datetime):
        aware = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
        return aware.timestamp()
    if isinstance(moment, (int, float, np.integer, np.floating)) and not isinstance(moment, bool):
        seconds = float(moment)
        if math.isfinite(seconds):
            return seconds
    raise WrongRequestError(
        f"{name} is {moment!r}; give a finite number of seconds since 1970-01-01 UTC, or a datetime"
    )


class LogNumbers:
    """Computes the numbers of the log that a model takes; what it needs is read at the first use.

    Args:
        bundle: The bundle.
        n_items: Items of the vocabulary.

    Attributes:
        names: The numbers, in the model's order.
    """

    def __init__(self, bundle: Bundle, n_items: int) -> None:
        self.names = bundle.log_numbers
        self._bundle = bundle
        self._n_items = n_items

    def of(
        self,
        names: Collection[str],
        targets: Int64,
        moments: Float64,
        events: Int64,
        times: Float64,
    ) -> dict[str, Float32]:
        """Compute some of the numbers.

        Args:
            names: Which of them.
            targets: Index of each candidate, 0 for an unknown one, ``[B]``.
            moments: When each row is asked, in seconds, ``[B]``.
            events: Item indices of the histories, oldest first, 0 where a position is unknown or
                padding, ``[B, L]``.
            times: When the events were, NaN where nobody says, ``[B, L]``.

        Returns:
            float32 ``[B]`` by name; NaN where there is nothing to measure from.
        """
        is_known = events != 0
        n_later = is_known.sum(1, keepdims=True) - is_known.cumsum(1)
        counted = is_known & (n_later < self._bundle.max_history)
        found: dict[str, npt.NDArray[Any]] = {}
        for name in names:
            if name in WINDOWS:
                found[name] = self._timeline.popularity(targets, moments, WINDOWS[name])
            elif name == "days_since_item_event":
                found[name] = _log_days(moments - self._timeline.last_of_item(targets, moments))
            elif name == "days_since_last_event":
                found[name] = _log_days(moments - _last(times, counted))
            elif name == "same_category_events":
                is_same = self._category[events] == self._category[targets][:, None]
                found[name] = np.log1p((is_same & counted).sum(1))
            else:
                is_same = times == moments[:, None]
                number = np.log1p((is_same & counted).sum(1))
                found[name] = np.where((np.isnan(times) & counted).any(1), np.nan, number)
        return {name: each.astype(np.float32) for name, each in found.items()}

    @functools.cached_property
    def _timeline(self) -> ItemTimeline:
        events = parquet_files.read(self._bundle.path(contents.ITEM_EVENTS))
        return ItemTimeline(events["item_idx"].to_numpy(), events["time"].to_numpy(), self._n_items)

    @functools.cached_property
    def _category(self) -> Int64:
        """Index of the first attribute of each item, ``[I + 1]``."""
        column = self._bundle.about["first_item_attribute"]
        rows = parquet_files.read(self._bundle.path(contents.ITEMS), [column])
        return np.concatenate([[0], rows[column].fill_null(0).to_numpy()]).astype(np.int64)


def _last(times: Float64, counted: npt.NDArray[np.bool_]) -> Float64:
    """Time of the last event that counts in each history, NaN where none does."""
    if not counted.shape[1]:
        return np.full(len(counted), np.nan)
    place = counted.shape[1] - 1 - counted[:, ::-1].argmax(1)
    last = np.take_along_axis(times, place[:, None], axis=1)[:, 0]
    return np.where(counted.any(1), last, np.nan)


def _log_days(seconds: Float64) -> Float64:
    return np.log1p(np.maximum(seconds, 0) / DAY)
