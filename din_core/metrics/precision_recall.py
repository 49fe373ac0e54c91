"""PR-AUC: how pure the samples above a threshold are, averaged over the positives."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from din_core.metrics.scored_samples import Floats, ScoredSamples, checked
from din_core.metrics.user_draws import UserDraws


def average_precision(label: npt.ArrayLike, score: npt.ArrayLike) -> float | None:
    """Area under the precision-recall curve, as steps (average precision).

    For each positive the share of positives among the samples that score as high or higher,
    averaged over the positives: what scikit-learn calls ``average_precision_score``. Without
    information it is the share of positives. It depends on that share, so it compares models on one
    split only.

    Args:
        label: 1 for a positive and 0 for a negative, ``[N]``.
        score: Any number that orders the samples, ``[N]``.

    Returns:
        A number in (0, 1], or ``None`` where there are not both classes.

    Raises:
        ValueError: As :func:`din_core.metrics.auc`.

    Example:
        Above the first positive stands nothing, above the second one negative.

        >>> round(average_precision([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1]), 4)
        0.8333
    """
    positive, scores = checked(label, score)
    n_positive = int(positive.sum())
    if not 0 < n_positive < len(positive):
        return None
    below_positive, below_negative = _below(positive, scores)
    hits = n_positive - below_positive
    false_alarms = len(positive) - n_positive - below_negative
    return float((hits / (hits + false_alarms)).mean())


def average_precision_of_draws(of: ScoredSamples, draws: UserDraws) -> Floats:
    """Average precision of each draw, ``[D]``; NaN where a draw has not both classes."""
    positive, scores = checked(of.label, of.score)
    places = draws.places(of.user_idx)
    order = np.argsort(scores, kind="stable")
    ascending = order[positive[order]], order[~positive[order]]
    below_positive, below_negative = _below(positive, scores)
    own = places[ascending[0]]
    found = np.full(draws.weights.shape[1], np.nan)
    for block in draws.blocks(len(scores)):
        of_positives, of_negatives = (
            np.cumsum(draws.weights[places[rows], block], axis=0) for rows in ascending
        )
        if not (len(of_positives) and len(of_negatives)):
            continue
        zero = np.zeros((1, of_positives.shape[1]))
        hits = of_positives[-1] - np.concatenate([zero, of_positives])[below_positive]
        false_alarms = of_negatives[-1] - np.concatenate([zero, of_negatives])[below_negative]
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.nan_to_num(hits / (hits + false_alarms))
            sums = (draws.weights[own, block] * precision).sum(axis=0)
            both = (of_positives[-1] > 0) & (of_negatives[-1] > 0)
            found[block] = np.where(both, sums / of_positives[-1], np.nan)
    return found


def _below(
    positive: npt.NDArray[np.bool_], scores: Floats
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Positives, and negatives, that score below each positive, in ascending order of score."""
    of_positives, of_negatives = np.sort(scores[positive]), np.sort(scores[~positive])
    return (
        np.searchsorted(of_positives, of_positives, side="left"),
        np.searchsorted(of_negatives, of_positives, side="left"),
    )
