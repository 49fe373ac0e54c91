"""Logloss and normalised entropy: how probable the labels are under the scores."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from din_core.metrics.scored_samples import Floats, ScoredSamples, checked_probabilities
from din_core.metrics.user_draws import UserDraws

_EPS = 1e-7


def logloss(label: npt.ArrayLike, score: npt.ArrayLike, eps: float = _EPS) -> float | None:
    """Mean negative log-likelihood of the labels, in nats.

    Args:
        label: 1 or 0, ``[N]``.
        score: Probabilities in [0, 1], ``[N]``.
        eps: Probabilities are kept this far from 0 and 1 (about float32's resolution), so that
            one saturated mistake does not make the figure infinite.

    Returns:
        A number from 0, or ``None`` for no samples.

    Raises:
        ValueError: As :func:`auc`, or a score outside [0, 1].

    Example:
        >>> round(logloss([1, 0], [0.5, 0.25]), 4)
        0.4904
    """
    positive, scores = checked_probabilities(label, score)
    return float(_losses(positive, scores, eps).mean()) if len(scores) else None


def normalized_entropy(
    label: npt.ArrayLike, score: npt.ArrayLike, eps: float = _EPS
) -> float | None:
    """Logloss over that of the share of positives: 1 says no more than the base rate does.

    He et al., *Practical Lessons from Predicting Clicks on Ads at Facebook*, ADKDD 2014, section 3.

    Args:
        label: 1 or 0, ``[N]``.
        score: Probabilities in [0, 1], ``[N]``.
        eps: As :func:`logloss`.

    Returns:
        A number from 0, or ``None`` where there are not both classes.

    Raises:
        ValueError: As :func:`logloss`.

    Example:
        >>> normalized_entropy([1, 0], [0.5, 0.5])
        1.0
    """
    positive, _ = checked_probabilities(label, score)
    share = float(positive.mean()) if len(positive) else 0.0
    entropy = float(_entropy(share)) if 0 < share < 1 else 0.0
    loss = logloss(label, score, eps)
    return None if loss is None or not entropy else float(loss / entropy)


def logloss_of_draws(of: ScoredSamples, draws: UserDraws) -> Floats:
    """Logloss of each draw, ``[D]``."""
    positive, scores = checked_probabilities(of.label, of.score)
    loss, size = draws.totals(of.user_idx, _losses(positive, scores), np.ones(len(scores)))
    with np.errstate(invalid="ignore", divide="ignore"):
        return loss / size


def normalized_entropy_of_draws(of: ScoredSamples, draws: UserDraws) -> Floats:
    """Normalised entropy of each draw, ``[D]``; NaN where a draw has not both classes."""
    positive, scores = checked_probabilities(of.label, of.score)
    loss, n_positive, size = draws.totals(
        of.user_idx, _losses(positive, scores), positive, np.ones(len(scores))
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return loss / size / _entropy(n_positive / size)


def _losses(positive: npt.NDArray[np.bool_], scores: Floats, eps: float = _EPS) -> Floats:
    scores = np.clip(scores, eps, 1 - eps)
    return -np.log(np.where(positive, scores, 1 - scores))


def _entropy(share: float | Floats) -> Floats:
    return -(share * np.log(share) + (1 - share) * np.log(1 - share))
