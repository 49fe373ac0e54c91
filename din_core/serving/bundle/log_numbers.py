"""The numbers of the log for a request: what :mod:`din_core.inputs.log_numbers` gives a sample.

The bundle brings what they are counted in: the items' training events, and when the events of the
default histories were. Shapes: B rows, L padded length of their histories. Where all rows have one
history, it is ``[1, L]``.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from din_core.arrow_without_pandas import as_numpy, filled
from din_core.errors import WrongRequestError
from din_core.inputs.item_timeline import DAY, TRENDS, WINDOWS, ItemTimeline
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
    """Computes the numbers of the log that a model takes.

    Args:
        bundle: The bundle.
        n_items: Items of the vocabulary.

    Attributes:
        names: The numbers, in the model's order.
    """

    def __init__(self, bundle: Bundle, n_items: int) -> None:
        self.names = bundle.log_numbers
        self._max_history = bundle.max_history
        if not self.names:
            return
        self._log_end = bundle.log_end
        events = parquet_files.read(bundle.path(contents.ITEM_EVENTS))
        self._timeline = ItemTimeline(
            as_numpy(events["item_idx"]), as_numpy(events["time"]), n_items
        )
        if "same_category_events" in self.names:
            column = bundle.about["first_item_attribute"]
            rows = parquet_files.read(bundle.path(contents.ITEMS), [column])
            category = as_numpy(filled(rows[column], 0))
            self._category = np.concatenate([[0], category]).astype(np.int64)

    def moment(self, at: Moment | None) -> float:
        """Return the moment of a request in seconds, by default the end of the log.

        For a model without such numbers it is NaN.

        Raises:
            WrongRequestError: It is no moment, or given for a model without such numbers.
        """
        if at is None:
            return self._log_end if self.names else math.nan
        self._require_names("at")
        return seconds_of(at, "at")

    def times(self, given: Iterable[Moment] | None, n_events: int) -> Float64:
        """Return the times of a history as a caller gives them, NaN where none are given.

        Args:
            given: One for each event.
            n_events: L.

        Raises:
            WrongRequestError: One is no moment, there are more or fewer than events, or the model
                has no such numbers.
        """
        if given is None:
            return np.full(n_events, np.nan)
        self._require_names("history_times")
        times = [seconds_of(each, f"history_times[{place}]") for place, each in enumerate(given)]
        if len(times) != n_events:
            raise WrongRequestError(
                f"history_times are {len(times)}, and the history has {n_events} events; give one "
                "for each"
            )
        return np.array(times, dtype=np.float64)

    def missing(self, names: Collection[str], times: Float64) -> str | None:
        """Say which numbers are missing where nobody says when the events were.

        Args:
            names: Those that are to be computed.
            times: Of the history ``[L]``.
        """
        without = [name for name in OF_HISTORY_TIMES if name in names]
        if not without or not np.isnan(times).any():
            return None
        return (
            "nobody says when the events of the history were (history_times), and so "
            f"{' and '.join(without)} count{'s' if len(without) == 1 else ''} as missing"
        )

    def _require_names(self, argument: str) -> None:
        if not self.names:
            raise WrongRequestError(
                f"{argument} is given, and the model takes no number of the log (log_numbers) that "
                "it would matter to; leave it out"
            )

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
        counted = is_known & (n_later < self._max_history)
        found: dict[str, npt.NDArray[Any]] = {}
        for name in names:
            if name in WINDOWS:
                found[name] = self._timeline.popularity(targets, moments, WINDOWS[name])
            elif name in TRENDS:
                found[name] = self._timeline.trend(targets, moments, TRENDS[name])
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


def _last(times: Float64, counted: npt.NDArray[np.bool_]) -> Float64:
    """Time of the last event that counts in each history, NaN where none does."""
    if not counted.shape[1]:
        return np.full(len(counted), np.nan)
    place = counted.shape[1] - 1 - counted[:, ::-1].argmax(1)
    last = np.take_along_axis(times, place[:, None], axis=1)[:, 0]
    return np.where(counted.any(1), last, np.nan)


def _log_days(seconds: Float64) -> Float64:
    return np.log1p(np.maximum(seconds, 0) / DAY)
