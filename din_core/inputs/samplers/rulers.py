"""Items side by side on a ruler: how samplers draw by weight, or within a part of the catalogue.

The way of ``sql/macros/second_draw.jinja`` in NumPy. Shapes: N draws, I items, T interacted items.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from din_core.inputs.samplers.protocol import Draws, SamplingError
from din_core.inputs.samplers.sorted_keys import is_among
from din_core.inputs.samplers.visible_log import VisibleLog

Int64 = npt.NDArray[np.int64]

# A draw times a number of marks has to stay below 2**63.
_MOST_MARKS = (1 << 31) - 1


class Ruler:
    """The catalogue in some order; an item covers as many marks as it weighs.

    A pool is a stretch of the ruler, and an item's *rank* is its place on it, from 0. A draw picks
    a mark of the whole pool, as if the user had interacted with nothing. Where the item there is
    one of the user's own, a second draw picks one of the free marks of the pool. That is exact: of
    a pool of weight W, of which T is the user's own, a free item of weight w comes up with
    w / W + T / W * w / (W - T) = w / (W - T).

    Args:
        log: What the sampler may know.
        order: All items, in the order of the ruler, ``[I]``.
        weights: Marks of each item in that order, 1 or more, ``[I]``; 1 each by default.

    Raises:
        SamplingError: The ruler has 2**31 marks or more.
    """

    def __init__(self, log: VisibleLog, order: Int64, weights: Int64 | None = None) -> None:
        self._items = order
        self._n_items = len(order)
        # First mark of each rank, and the length behind the last.
        ends = np.arange(1, len(order) + 1) if weights is None else np.cumsum(weights)
        self._starts = np.concatenate([[0], ends])
        if self._starts[-1] > _MOST_MARKS:
            raise SamplingError(
                f"the items weigh {self._starts[-1]:,} in all, {_MOST_MARKS:,} is the most that a "
                "draw can tell apart: choose redrawn_sampling 'uniform'"
            )
        # The interacted items of all users on one ascending scale.
        rank = np.zeros(log.n_items + 1, dtype=np.int64)
        rank[order] = np.arange(len(order))
        users_first = log.users_of_items() * self._n_items
        self._keys = users_first + rank[log.interacted_items]
        if np.any(order[1:] < order[:-1]):
            self._keys.sort()
        # Marks of such items before each of them.
        self._interacted_marks = np.zeros(len(self._keys) + 1, dtype=np.int64)
        self._interacted_marks[1:] = 1 if weights is None else weights[self._keys - users_first]
        np.cumsum(self._interacted_marks, out=self._interacted_marks)
        self._pieces = None if weights is None else _Pieces(self._starts)

    def items(self, draws: Draws, begin: Int64, end: Int64) -> Int64:
        """Draw a free item of a pool for each draw.

        Args:
            draws: N draws.
            begin: Rank of the first item of each draw's pool, ``[N]``.
            end: Rank behind its last item, ``[N]``.

        Returns:
            Items, ``[N]``; 0 where the user has interacted with the whole pool.
        """
        first = self._starts[begin]
        rank = self._rank_at(first + (draws.numbers() * (self._starts[end] - first) >> 32))
        item = np.where(end > begin, self._items[rank], 0)
        again = np.flatnonzero(is_among(self._keys, draws.user * self._n_items + rank))
        item[again] = self.second_items(draws.take(again), begin[again], end[again])
        return item

    def second_items(self, draws: Draws, begin: Int64, end: Int64) -> Int64:
        """Draw likewise by the second draw alone, from the free marks of the pools."""
        low = np.searchsorted(self._keys, draws.user * self._n_items + begin)
        high = np.searchsorted(self._keys, draws.user * self._n_items + end)
        # Interacted marks are counted from the pool's beginning.
        first, before = self._starts[begin], self._interacted_marks[low]
        n_free = self._starts[end] - first - (self._interacted_marks[high] - before)
        number = draws.second_numbers() * n_free >> 32
        # How many interacted items lie before the mark of that number: the free marks before each
        # never fall along the ruler, so a binary search finds it, for all at once.
        while (open_ := low < high).any():
            middle = (low + high) // 2
            place = np.where(open_, middle, 0)
            start = self._starts[self._keys[place] % self._n_items] - first
            is_before = open_ & (start - (self._interacted_marks[place] - before) <= number)
            low = np.where(is_before, middle + 1, low)
            high = np.where(open_ & ~is_before, middle, high)
        mark = first + number + self._interacted_marks[low] - before
        return np.where(n_free > 0, self._items[self._rank_at(mark)], 0)

    def _rank_at(self, mark: Int64) -> Int64:
        """Rank of the item that covers each mark; of marks behind the ruler, that of the last."""
        if self._pieces is None:
            return np.minimum(mark, self._n_items - 1)
        return self._pieces.rank_at(np.minimum(mark, self._starts[-1] - 1))


class _Pieces:
    """A weighted ruler cut into equal pieces, about eight for each item, to look marks up faster.

    Most pieces lie within one item, which is then looked up at once. Only in the others marks are
    searched for.

    Args:
        starts: First mark of each rank, and the length behind the last, ``[I + 1]``.
    """

    def __init__(self, starts: Int64) -> None:
        self._starts = starts
        n_marks = int(starts[-1])
        self._shift = max(0, n_marks.bit_length() - (8 * len(starts)).bit_length())
        first_marks = np.arange((n_marks >> self._shift) + 1) << self._shift
        ranks = np.searchsorted(starts, first_marks, side="right") - 1
        self._ranks = np.minimum(ranks, max(0, len(starts) - 2))

    def rank_at(self, mark: Int64) -> Int64:
        """Rank of the item that covers each mark of the ruler."""
        rank = self._ranks[mark >> self._shift]
        further = np.flatnonzero(self._starts[rank + 1] <= mark)
        rank[further] = np.searchsorted(self._starts, mark[further], side="right") - 1
        return rank
