"""Uniform over the items new to the user: ``negatives.uniform.sql`` in NumPy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from din_core.inputs.samplers.hashing import Integers
from din_core.inputs.samplers.protocol import Draws
from din_core.inputs.samplers.sorted_keys import is_among
from din_core.inputs.samplers.visible_log import VisibleLog


class UniformSampler:
    """Each free item as likely as any other: exact, from one draw, without rejection.

    With ``n_free`` free items, the draw picks a number ``1 + draw * n_free // 2**32``. Where
    the user has interacted with that item, it is a hole. There are as many holes as spares, the
    free items above ``n_free``, and the j-th hole is filled by the j-th spare
    (``docs/adr/0007-holes-and-spares.md``).

    Args:
        log: The sets of interacted items are read, and the size of the catalogue.
    """

    def __init__(self, log: VisibleLog) -> None:
        self._n_items = log.n_items
        self._interacted, self._offsets = log.interacted_items, log.interacted_offsets
        # One ascending scale for all users. Item 0 is nobody's, so n_items + 1 keeps users apart.
        self._scale = log.n_items + 1
        self._keys = log.users_of_items() * self._scale + log.interacted_items

    def items(self, draws: Draws) -> npt.NDArray[np.int64]:
        """Say which item each draw stands for; 0 where the user has interacted with every item."""
        user, offsets = draws.user, self._offsets
        n_free = self._n_items - (offsets[user] - offsets[user - 1])
        item = np.where(n_free > 0, ((draws.numbers() * n_free) >> 32) + 1, 0)
        holes = np.flatnonzero(is_among(self._keys, user * self._scale + item))
        base = user[holes] * self._scale
        item[holes] = _spares(
            self._interacted,
            number=np.searchsorted(self._keys, base + item[holes]) - offsets[user[holes] - 1],
            begin=np.searchsorted(self._keys, base + n_free[holes], side="right"),
            end=offsets[user[holes]],
            n_free=n_free[holes],
        )
        return item


def _spares(
    interacted: Integers,
    *,
    number: npt.NDArray[np.int64],
    begin: npt.NDArray[np.int64],
    end: npt.NDArray[np.int64],
    n_free: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Find free items above ``n_free`` by their number, from 0.

    Those of them above ``n_free`` are ``interacted[begin:end]``. Below the i-th (from 0) lie
    ``interacted[begin + i] - n_free - 1 - i`` spares, which never falls with i: a binary search,
    for all at once, says how many of them to step over.
    """
    low, high = begin.copy(), end.copy()
    while (open_ := low < high).any():
        middle = (low + high) // 2
        item = interacted[np.where(open_, middle, 0)].astype(np.int64)
        below = open_ & (item - n_free - 1 - (middle - begin) <= number)
        low = np.where(below, middle + 1, low)
        high = np.where(open_ & ~below, middle, high)
    return n_free + 1 + number + (low - begin)
