"""AUC and GAUC: how well scores order positives before negatives, overall and within each user."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from din_core.metrics.scored_samples import Floats, checked


def auc(label: npt.ArrayLike, score: npt.ArrayLike) -> float | None:
    """Area under the ROC curve: the chance that a positive is scored above a negative.

    Exact: the rank formula of Mann and Whitney, where a tie counts one half.

    Args:
        label: 1 for a positive and 0 for a negative, ``[N]``.
        score: Any number that orders the samples, ``[N]``.

    Returns:
        A number in [0, 1], or ``None`` where there are not both classes.

    Raises:
        ValueError: Shapes differ, a label is neither 0 nor 1, or a score is NaN.

    Example:
        >>> auc([1, 0, 1, 0], [0.9, 0.1, 0.4, 0.4])
        0.875
    """
    positive, scores = checked(label, score)
    return _single(grouped_auc(positive, scores, np.zeros(len(scores), dtype=np.int64))[0])


def gauc(label: npt.ArrayLike, score: npt.ArrayLike, group: npt.ArrayLike) -> float | None:
    """AUC within each user, averaged with the user's samples as weight (GAUC).

    Paper (arXiv 1706.06978), section 6.3, equation 7. Users with one class only have no AUC; they
    are left out, their weight included.

    Args:
        label: 1 or 0, ``[N]``.
        score: ``[N]``.
        group: Which user each sample belongs to, ``[N]``.

    Returns:
        A number in [0, 1], or ``None`` where no user has both classes.

    Raises:
        ValueError: As :func:`auc`.

    Example:
        User 1 is ordered rightly (2 samples), user 2 wrongly (3 samples), user 3 has one class.

        >>> gauc([1, 0, 0, 0, 1, 1], [0.9, 0.1, 0.8, 0.7, 0.2, 0.5], [1, 1, 2, 2, 2, 3])
        0.4
    """
    positive, scores = checked(label, score)
    groups = np.asarray(group)
    if groups.shape != scores.shape:
        raise ValueError(f"group has shape {groups.shape}, score {scores.shape}; one a sample")
    areas, weights = grouped_auc(positive, scores, groups)
    if not len(areas):
        return None
    return float(np.average(areas, weights=weights))


def grouped_auc(
    positive: npt.NDArray[np.bool_], score: Floats, group: npt.NDArray[Any]
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """AUC of every group that has both classes.

    Args:
        positive: ``[N]``.
        score: ``[N]``.
        group: ``[N]``.

    Returns:
        AUC, and number of samples, of each such group in ascending order of ``group``.
    """
    order = np.lexsort((score, group))
    positive, score, group = positive[order], score[order], group[order]
    new_group = np.concatenate([[True], group[1:] != group[:-1]])[: len(group)]
    new_score = new_group | np.concatenate([[True], score[1:] != score[:-1]])[: len(score)]
    group_start = np.flatnonzero(new_group)
    group_size = np.diff(np.append(group_start, len(group)))
    # Samples that tie share the mean of the ranks (from 1) they occupy within their group.
    tie_start = np.flatnonzero(new_score)
    tie_size = np.diff(np.append(tie_start, len(score)))
    rank = np.repeat(tie_start + (tie_size + 1) / 2, tie_size)
    rank -= np.repeat(group_start, group_size)

    if not len(group):
        return np.zeros(0), np.zeros(0, dtype=np.int64)
    n_positive = np.add.reduceat(positive.astype(np.int64), group_start)
    n_negative = group_size - n_positive
    rank_sum = np.add.reduceat(np.where(positive, rank, 0.0), group_start)
    both = (n_positive > 0) & (n_negative > 0)
    n_positive, n_negative = n_positive[both], n_negative[both]
    wins = rank_sum[both] - n_positive * (n_positive + 1) / 2
    return wins / (n_positive * n_negative), group_size[both]


def _single(values: Floats) -> float | None:
    return float(values[0]) if len(values) else None
