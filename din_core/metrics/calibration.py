"""Calibration: whether a score of 0.3 comes true three times in ten.

It is measured on the split's own mix of positives and negatives. A model trained against sampled
negatives can be calibrated here and say nothing of the rate of clicks: see
:mod:`din_core.metrics.prior_correction`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from din_core.metrics.scored_samples import Floats, ScoredSamples, checked_probabilities
from din_core.metrics.user_draws import UserDraws

N_BINS = 10


def expected_calibration_error(
    label: npt.ArrayLike, score: npt.ArrayLike, n_bins: int = N_BINS
) -> float | None:
    """Mean distance between score and share of positives, over bins of equally many samples (ECE).

    Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017, equation 3, with bins by
    rank, so that scores that crowd near one value are told apart. Equal scores share a bin.

    Args:
        label: 1 or 0, ``[N]``.
        score: Probabilities in [0, 1], ``[N]``.
        n_bins: Bins.

    Returns:
        A number in [0, 1], or ``None`` for no samples.

    Raises:
        ValueError: As :func:`din_core.metrics.logloss`.

    Example:
        Two bins: 0.2 where a half are positive, 0.9 where all are.

        >>> round(expected_calibration_error([1, 0, 1, 1], [0.2, 0.2, 0.9, 0.9], n_bins=2), 4)
        0.2
    """
    positive, scores = checked_probabilities(label, score)
    if not len(scores):
        return None
    gaps = np.bincount(bins_by_rank(scores, n_bins), weights=scores - positive, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(scores))


def predicted_over_observed(label: npt.ArrayLike, score: npt.ArrayLike) -> float | None:
    """Sum of the scores over the number of positives: 1 where the level is right on average.

    Args:
        label: 1 or 0, ``[N]``.
        score: Probabilities in [0, 1], ``[N]``.

    Returns:
        A number from 0, or ``None`` where there is no positive.

    Raises:
        ValueError: As :func:`din_core.metrics.logloss`.

    Example:
        >>> predicted_over_observed([1, 0, 0, 1], [0.5, 0.5, 0.5, 1.0])
        1.25
    """
    positive, scores = checked_probabilities(label, score)
    return float(scores.sum() / positive.sum()) if positive.any() else None


def bins_by_rank(scores: Floats, n_bins: int = N_BINS) -> npt.NDArray[np.int64]:
    """Return the bin of each sample, 0 for the lowest scores, ``[N]``."""
    first_rank = np.searchsorted(np.sort(scores), scores, side="left")
    return first_rank * n_bins // max(1, len(scores))


def calibration_error_of_draws(of: ScoredSamples, draws: UserDraws) -> Floats:
    """ECE of each draw, ``[D]``; the bins are those of all samples."""
    positive, scores = checked_probabilities(of.label, of.score)
    number = bins_by_rank(scores)
    gap = scores - positive
    in_bins = [np.where(number == each, gap, 0.0) for each in range(N_BINS)]
    *gaps, size = draws.totals(of.user_idx, *in_bins, np.ones(len(scores)))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.abs(gaps).sum(axis=0) / size


def predicted_over_observed_of_draws(of: ScoredSamples, draws: UserDraws) -> Floats:
    """Predicted over observed of each draw, ``[D]``; NaN where a draw has no positive."""
    positive, scores = checked_probabilities(of.label, of.score)
    predicted, observed = draws.totals(of.user_idx, scores, positive)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(observed > 0, predicted / observed, np.nan)
