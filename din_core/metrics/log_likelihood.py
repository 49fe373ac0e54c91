"""Logloss and normalised entropy: how probable the labels are under the scores."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from din_core.metrics.scored_samples import checked


def logloss(label: npt.ArrayLike, score: npt.ArrayLike, eps: float = 1e-7) -> float | None:
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
    positive, scores = checked(label, score)
    if not len(scores):
        return None
    if scores.min() < 0 or scores.max() > 1:
        raise ValueError(
            f"scores run {scores.min()} … {scores.max()}; logloss takes probabilities in [0, 1]"
        )
    scores = np.clip(scores, eps, 1 - eps)
    return float(-np.log(np.where(positive, scores, 1 - scores)).mean())


def normalized_entropy(
    label: npt.ArrayLike, score: npt.ArrayLike, eps: float = 1e-7
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
    positive, _ = checked(label, score)
    share = float(positive.mean()) if len(positive) else 0.0
    entropy = -(share * np.log(share) + (1 - share) * np.log(1 - share)) if 0 < share < 1 else 0.0
    loss = logloss(label, score, eps)
    return None if loss is None or not entropy else float(loss / entropy)
