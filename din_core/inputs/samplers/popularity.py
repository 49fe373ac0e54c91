"""Popular items more often: ``negatives.popularity.sql`` in NumPy."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from din_core.inputs.samplers.protocol import Draws
from din_core.inputs.samplers.rulers import Ruler
from din_core.inputs.samplers.visible_log import VisibleLog


class PopularitySampler:
    """Free items by their events to the power 0.75: whole numbers, one or more.

    Args:
        log: Item counts and sets of interacted items are read.
    """

    def __init__(self, log: VisibleLog) -> None:
        self._n_items = log.n_items
        self._ruler = Ruler(log, np.arange(1, log.n_items + 1), weights_of(log.item_counts[1:]))

    def items(self, draws: Draws) -> npt.NDArray[np.int64]:
        """Say which item each draw stands for; 0 where the user has interacted with every item."""
        begin = np.zeros(len(draws.user), dtype=np.int64)
        return self._ruler.items(draws, begin, begin + self._n_items)


def weights_of(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Weigh items: ``max(1, round(16 * count ** 0.75))``, computed in whole numbers.

    ``round(16 * c ** 0.75)`` is half of ``1 + floor(32 * c ** 0.75)``, rounded down, and ``32 * c
    ** 0.75`` is the fourth root of ``2 ** 20 * c ** 3``. So no weight rests on how a processor
    rounds.

    Args:
        counts: Events of each item, 0 or more, ``[I]``.

    Returns:
        Weights, ``[I]``.

    Example:
        >>> weights_of(np.array([0, 1, 2, 16]))
        array([  1,  16,  27, 128])
    """
    # Few: the different counts of n events sum to n at most.
    different, place = np.unique(counts, return_inverse=True)
    roots = [math.isqrt(math.isqrt(count**3 << 20)) for count in different.tolist()]
    weights = np.array([max(1, (root + 1) // 2) for root in roots], dtype=np.int64)
    return weights[place]
