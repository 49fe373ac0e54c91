"""AUC and GAUC: how well scores order positives before negatives, overall and within each user."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from din_core.metrics.scored_samples import Floats, ScoredSamples, checked
from din_core.metrics.user_draws import UserDraws


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
    areas, sizes, _ = _areas_of_groups(positive, score, group)
    return areas, sizes


def _areas_of_groups(
    positive: npt.NDArray[np.bool_], score: Floats, group: npt.NDArray[Any]
) -> tuple[Floats, npt.NDArray[np.int64], npt.NDArray[Any]]:
    """AUC, number of samples, and the group, of every group that has both classes."""
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
        return np.zeros(0), np.zeros(0, dtype=np.int64), group
    n_positive = np.add.reduceat(positive.astype(np.int64), group_start)
    n_negative = group_size - n_positive
    rank_sum = np.add.reduceat(np.where(positive, rank, 0.0), group_start)
    both = (n_positive > 0) & (n_negative > 0)
    n_positive, n_negative = n_positive[both], n_negative[both]
    wins = rank_sum[both] - n_positive * (n_positive + 1) / 2
    return wins / (n_positive * n_negative), group_size[both], group[group_start[both]]


def users_left_out(of: ScoredSamples) -> int:
    """Count the users that GAUC leaves out, since their samples are of one class."""
    positive, scores = checked(of.label, of.score)
    return len(np.unique(of.user_idx)) - len(grouped_auc(positive, scores, of.user_idx)[0])


def auc_of_draws(of: ScoredSamples, draws: UserDraws) -> Floats:
    """AUC of each draw, ``[D]``; NaN where a draw has not both classes.

    The samples are sorted once. Of each draw the weights of the negatives are added up in the order
    of their scores; what stands below a positive is then looked up.
    """
    positive, scores = checked(of.label, of.score)
    places = draws.places(of.user_idx)
    negatives = np.flatnonzero(~positive)
    negatives = negatives[np.argsort(scores[negatives], kind="stable")]
    ladder = scores[negatives]
    of_positives = places[positive]
    below = np.searchsorted(ladder, scores[positive], side="left")
    up_to = np.searchsorted(ladder, scores[positive], side="right")
    found = np.full(draws.weights.shape[1], np.nan)
    for block in draws.blocks(len(scores)):
        weights = draws.weights[:, block]
        above = np.zeros((len(negatives) + 1, weights.shape[1]))
        np.cumsum(weights[places[negatives]], axis=0, out=above[1:])
        own = weights[of_positives]
        wins = (own * above[below]).sum(axis=0)
        if (below != up_to).any():
            wins = (wins + (own * above[up_to]).sum(axis=0)) / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            found[block] = wins / (own.sum(axis=0) * above[-1])
    return found


def gauc_of_draws(of: ScoredSamples, draws: UserDraws) -> Floats:
    """GAUC of each draw, ``[D]``; NaN where a draw has no user with both classes."""
    positive, scores = checked(of.label, of.score)
    areas, sizes, users = _areas_of_groups(positive, scores, of.user_idx)
    hits, weight = draws.totals(users, areas * sizes, sizes)
    with np.errstate(invalid="ignore", divide="ignore"):
        return hits / weight


def _single(values: Floats) -> float | None:
    return float(values[0]) if len(values) else None
