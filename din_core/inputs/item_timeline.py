"""The training events of all items on one timeline, in which an item's are counted by look-up.

Without torch and without a database: a server counts on it what training counted. Shapes: T
training events, M distinct times of theirs, I items, B questions.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

DAY = 86_400.0
#: Days that each of the numbers of popularity looks back.
WINDOWS = {"popularity": math.inf, "popularity_90_days": 90.0, "popularity_365_days": 365.0}
#: Likewise, each of the numbers that say how an item's popularity moves.
TRENDS = {"trend_90_days": 90.0, "trend_365_days": 365.0}


class ItemTimeline:
    """The training events of all items, ordered by item and time.

    Args:
        items: Item of each training event, int ``[T]``.
        times: When it was, in seconds, float64 ``[T]``.
        n_items: I.

    Attributes:
        moments: Their distinct times, ascending, float64 ``[M]``.
        keys: ``item * (M + 1) + moment``, ascending, int64 ``[T]``, the moment as a row of
            ``moments``.
        first: Row of ``keys`` where the events of each item begin, int64 ``[I + 1]``.
        n_before: How many events are earlier than each moment, int64 ``[M + 1]``.
    """

    def __init__(
        self,
        items: npt.NDArray[np.integer],
        times: npt.NDArray[np.float64],
        n_items: int,
    ) -> None:
        if not len(items):
            # An event of an item that there is not, so that no look-up is of nothing.
            items, times = np.array([n_items + 1], dtype=np.int32), np.full(1, np.inf)
        self.moments, rank = np.unique(times, return_inverse=True)
        n_moments = len(self.moments)
        counts = np.bincount(rank, minlength=n_moments)
        self.n_before = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self.keys = np.sort(items.astype(np.int64) * (n_moments + 1) + rank)
        self.first = np.searchsorted(self.keys, np.arange(n_items + 1) * (n_moments + 1))

    def popularity(
        self, item: npt.NDArray[np.int64], time: npt.NDArray[np.float64], days: float
    ) -> npt.NDArray[np.float64]:
        """Logarithm of an item's events before a moment, as a multiple of the average item's.

        Args:
            item: ``[B]``; 0 is an unknown one, which has no events.
            time: In seconds, ``[B]``.
            days: How far to look back.
        """
        moment = self._rank(time)
        begin = self._rank(time - days * DAY) if math.isfinite(days) else np.zeros_like(moment)
        of_item = self._place(item, moment) - self._place(item, begin)
        of_all = self.n_before[moment] - self.n_before[begin]
        return np.log1p(of_item) - np.log1p(of_all / (len(self.first) - 1))

    def trend(
        self, item: npt.NDArray[np.int64], time: npt.NDArray[np.float64], days: float
    ) -> npt.NDArray[np.float64]:
        """Logarithm of an item's latest events as a multiple of what those before promise.

        Args:
            item: ``[B]``; 0 is an unknown one, which has no events and no trend.
            time: In seconds, ``[B]``.
            days: How far back the latest are.
        """
        moment, begin = self._rank(time), self._rank(time - days * DAY)
        place = self._place(item, moment)
        of_item = place - self._place(item, begin)
        so_far = place - self._place(item, np.zeros_like(moment))
        latest = self.n_before[moment] - self.n_before[begin]
        promised = so_far * (latest / np.maximum(self.n_before[moment], 1))
        return np.log1p(of_item) - np.log1p(promised)

    def last_of_item(
        self, item: npt.NDArray[np.int64], time: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Time of an item's last event before a moment, ``[B]``, NaN where there is none."""
        place = self._place(item, self._rank(time))
        rank = self.keys[np.maximum(place - 1, 0)] % (len(self.moments) + 1)
        return np.where(place > self.first[item], self.moments[rank], np.nan)

    def _rank(self, time: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """How many distinct moments are earlier."""
        return np.searchsorted(self.moments, time)

    def _place(
        self, item: npt.NDArray[np.int64], moment: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Row of an item's first event that is not before a moment."""
        return np.searchsorted(self.keys, item * (len(self.moments) + 1) + moment)
