"""From a score to a probability of a click: the correction for another share of positives.

A model that was trained on one positive and one sampled negative says how likely a positive is
*there*. Its odds are those among all impressions times a constant, which follows from the two
shares of positives (Elkan, *The Foundations of Cost-Sensitive Learning*, IJCAI 2001, theorem 2).
This holds where the negatives are a fair sample of what would be shown.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from din_core.metrics.scored_samples import Floats


def odds_factor(trained_rate: float, base_rate: float) -> float:
    """What the odds of a score are multiplied by.

    Args:
        trained_rate: Share of positives among the training samples, in (0, 1).
        base_rate: Share of positives where the score is used, in (0, 1).

    Raises:
        ValueError: A rate that is not between 0 and 1.

    Example:
        >>> round(odds_factor(0.5, 0.2), 4)
        0.25
    """
    for name, rate in (("trained_rate", trained_rate), ("base_rate", base_rate)):
        if not 0 < rate < 1:
            raise ValueError(f"{name} is {rate}; a share of positives lies between 0 and 1")
    return base_rate / (1 - base_rate) * (1 - trained_rate) / trained_rate


def corrected_probability(score: npt.ArrayLike, *, trained_rate: float, base_rate: float) -> Floats:
    """Return the probability of a click where a share ``base_rate`` of all impressions is clicked.

    The order of scores stays, and so do AUC, GAUC and every rank.

    Args:
        score: Probabilities in [0, 1], ``[N]``.
        trained_rate: Share of positives among the training samples, in (0, 1): 0.5 with one
            negative for each positive.
        base_rate: Share of positives where the score is used, in (0, 1).

    Returns:
        ``[N]``, in [0, 1].

    Raises:
        ValueError: A rate that is not between 0 and 1, or a score outside [0, 1].

    Example:
        A score of one half says: as likely as any other. So it becomes the base rate.

        >>> corrected_probability([0.5, 1.0], trained_rate=0.5, base_rate=0.02).round(4).tolist()
        [0.02, 1.0]
    """
    factor = odds_factor(trained_rate, base_rate)
    scores = np.asarray(score, dtype=np.float64)
    if scores.size and not (scores.min() >= 0 and scores.max() <= 1):
        raise ValueError(f"scores run {scores.min()} … {scores.max()}; probabilities lie in [0, 1]")
    return factor * scores / (factor * scores + (1 - scores))
