"""The difference of two AUCs on the same samples, and how far users alone could move it.

The samples of a user depend on each other, so the variance is that of users (Obuchowski,
*Nonparametric Analysis of Clustered ROC Curve Data*, Biometrics 1997), of the difference of two
scores on the same samples as in DeLong, DeLong and Clarke-Pearson (1988). Nothing is drawn at
random. Shapes: N samples, U users.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """AUC minus the base's.

    Attributes:
        value: The difference.
        standard_error: Over users.
    """

    value: float
    standard_error: float


def paired_difference(
    label: npt.NDArray[np.int8],
    score: npt.ArrayLike,
    base_score: npt.ArrayLike,
    user: npt.NDArray[Any],
) -> Difference | None:
    """Compare two scores of the same samples.

    Args:
        label: 1 or 0, ``[N]``.
        score: Any number that orders the samples, ``[N]``.
        base_score: Likewise, the base's.
        user: Whose each sample is, ``[N]``.

    Returns:
        The difference; ``None`` where there are not both labels, or fewer than two users.

    Example:
        >>> label, user = np.array([1, 0, 1, 0], np.int8), np.array([1, 1, 2, 2])
        >>> paired_difference(label, [4, 1, 3, 2], [4, 3, 1, 2], user).value
        0.5
    """
    users, place = np.unique(user, return_inverse=True)
    positive = label == 1
    if len(users) < 2 or positive.all() or not positive.any():
        return None
    found = [_influence(positive, np.asarray(each, np.float64)) for each in (score, base_score)]
    value = found[0][0] - found[1][0]
    of_user = np.bincount(place, found[0][1] - found[1][1], minlength=len(users))
    variance = len(users) / (len(users) - 1) * np.square(of_user).sum()
    return Difference(float(value), float(np.sqrt(variance)))


def _influence(positive: npt.NDArray[np.bool_], score: Floats) -> tuple[float, Floats]:
    """AUC, and by how much each sample moves it, ``[N]``."""
    of_positive, of_negative = np.sort(score[positive]), np.sort(score[~positive])
    below = _share_below(of_negative, score[positive])
    above = 1 - _share_below(of_positive, score[~positive])
    area = float(below.mean())
    moved = np.empty(len(score))
    moved[positive] = (below - area) / len(of_positive)
    moved[~positive] = (above - area) / len(of_negative)
    return area, moved


def _share_below(ordered: Floats, score: Floats) -> Floats:
    """Share of some scores below each of others; a tie counts one half."""
    below, not_above = (np.searchsorted(ordered, score, side) for side in ("left", "right"))
    return (below + not_above) / (2 * len(ordered))
