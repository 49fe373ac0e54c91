"""Parts of the test split in which a model may be better or worse, each sample by what it is.

A positive and its negative can fall into different slices, such as a popular item and a cold one:
a slice holds the candidates of one kind, and its AUC says whether the model orders *them*.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from din_core.evaluation.scored_rows import ScoredRows

_HOUR = 3600.0
_DAY = 24 * _HOUR
# By slice: where each part begins, and what it is called.
_LENGTHS = {1: "1 to 4", 5: "5 to 9", 10: "10 to 19", 20: "20 to 49", 50: "50 or more"}
_POPULARITIES = {0: "0 (cold)", 1: "1 to 4", 5: "5 to 19", 20: "20 to 99", 100: "100 or more"}
_TIMES = {
    -np.inf: "under an hour",
    _HOUR: "an hour to a day",
    _DAY: "a day to a week",
    7 * _DAY: "a week to 30 days",
    30 * _DAY: "30 days or more",
}
_SEEN = {0: "no", 1: "yes"}

#: The parts of each slice, in their order.
PARTS = {
    "history_length": tuple(_LENGTHS.values()),
    "item_popularity": tuple(_POPULARITIES.values()),
    "category_seen": tuple(_SEEN.values()),
    "time_since_last": tuple(_TIMES.values()),
}


def parts_of(rows: ScoredRows) -> Iterator[tuple[str, str, npt.NDArray[np.bool_]]]:
    """Yield slice, part, and which samples belong to it, ``[N]``; parts without samples do not.

    A sample whose value is unknown, such as an item without a category, belongs to no part.

    Args:
        rows: The test samples.
    """
    values: dict[str, tuple[npt.NDArray[Any], dict[Any, str]]] = {
        "history_length": (rows.history_length, _LENGTHS),
        "item_popularity": (rows.popularity, _POPULARITIES),
        "category_seen": (rows.category_seen, _SEEN),
        "time_since_last": (rows.seconds_since_last, _TIMES),
    }
    for name, (value, parts) in values.items():
        known = ~np.isnan(np.asarray(value, dtype=np.float64))
        number = np.searchsorted(list(parts), value, side="right") - 1
        for place, part in enumerate(parts.values()):
            chosen = known & (number == place)
            if chosen.any():
                yield name, part, chosen
