"""Items of the positive's own category: ``negatives.same_category.sql`` in NumPy."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from din_core.inputs.samplers.protocol import Draws, SamplingError
from din_core.inputs.samplers.rulers import Ruler
from din_core.inputs.samplers.visible_log import VisibleLog


class SameCategorySampler:
    """Uniform over the free items of the positive's category.

    The category is the first item attribute. The draw is from the whole catalogue where the
    category is unknown (0), or where the user has interacted with all of it.

    Args:
        log: The first item attribute and the sets of interacted items are read.

    Raises:
        SamplingError: The log has no item attribute.
    """

    def __init__(self, log: VisibleLog) -> None:
        if not log.item_attributes:
            raise SamplingError(
                "negatives are to be redrawn by 'same_category', but item_attribute_cols is "
                "empty: name the category's column there, or set redrawn_sampling: uniform"
            )
        self._log = log
        self._cates = next(iter(log.item_attributes.values()))
        # By category, then by item: each category is a stretch of this ruler.
        order = np.argsort(self._cates[1:], kind="stable") + 1
        numbers = np.arange(self._cates.max(initial=0) + 2)
        self._begins = np.searchsorted(self._cates[order], numbers)
        self._categories = Ruler(log, order)

    @cached_property
    def _catalogue(self) -> Ruler:
        return Ruler(self._log, np.arange(1, self._log.n_items + 1))

    def items(self, draws: Draws) -> npt.NDArray[np.int64]:
        """Say which item each draw stands for; 0 where the user has interacted with every item."""
        cate = self._cates[draws.item]
        item = self._categories.items(draws, self._begins[cate], self._begins[cate + 1])
        if len(unknown := np.flatnonzero(cate == 0)):
            item[unknown] = self._catalogue.items(draws.take(unknown), *self._whole(len(unknown)))
        if len(none_left := np.flatnonzero((item == 0) & (cate > 0))):
            left = draws.take(none_left)
            item[none_left] = self._catalogue.second_items(left, *self._whole(len(none_left)))
        return item

    def _whole(self, n_draws: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        begin = np.zeros(n_draws, dtype=np.int64)
        return begin, begin + self._log.n_items
