"""How sure a figure is, and a difference of two: 95% of the bootstrap over users.

The percentiles of the figure over draws of whole users (:mod:`din_core.metrics.user_draws`). A
difference is drawn as a pair: the same users for both, so that what is hard for both cancels out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from din_core.metrics import ScoredSamples, UserDraws
from din_core.metrics.registry import Metric
from din_core.metrics.scored_samples import Floats

#: Of fewer users an interval would say more about the draws than about the figure.
LEAST_USERS = 20
# An interval of draws in which the figure is mostly undefined leaves out the worst of them.
_LEAST_DEFINED = 0.9


@dataclass(frozen=True)
class Interval:
    """A figure, and where it lies with 95% confidence.

    Attributes:
        value: The figure; None where it is undefined.
        low: Lower end; None where there are too few users to tell.
        high: Upper end, likewise.
    """

    value: float | None
    low: float | None = None
    high: float | None = None

    @property
    def half_width(self) -> float | None:
        """Half the distance of its ends."""
        if self.low is None or self.high is None:
            return None
        return (self.high - self.low) / 2


def of_metric(metric: Metric, samples: ScoredSamples, draws: UserDraws) -> Interval:
    """Return a metric of samples with its interval.

    Args:
        metric: The metric.
        samples: All samples, or those of a slice.
        draws: Draws of the users of all samples.
    """
    return _interval(metric(samples), lambda: _deviations(metric, samples, draws), samples, draws)


def of_difference(
    metric: Metric, samples: ScoredSamples, rival: ScoredSamples, draws: UserDraws
) -> Interval:
    """Return by how much a model's figure is larger than a rival's, with its interval.

    Args:
        metric: The metric.
        samples: The model's answers.
        rival: The rival's, on the same samples in the same order.
        draws: Draws of their users.
    """
    ours, theirs = metric(samples), metric(rival)
    difference = None if ours is None or theirs is None else ours - theirs
    return _interval(
        difference,
        lambda: _deviations(metric, samples, draws) - _deviations(metric, rival, draws),
        samples,
        draws,
    )


def of_mean(values: Floats, samples: ScoredSamples, draws: UserDraws) -> Interval:
    """Return a mean with its interval.

    Args:
        values: What the mean is of, ``[N]``.
        samples: Whose each value is; labels and scores are not looked at.
        draws: Draws of their users.
    """
    mean = float(values.mean()) if len(values) else None

    def deviations() -> Floats:
        kept = np.isin(samples.user_idx, draws.users)
        total, size = draws.totals(samples.user_idx[kept], values[kept], np.ones(int(kept.sum())))
        with np.errstate(invalid="ignore", divide="ignore"):
            return total / size - values[kept].mean()

    return _interval(mean, deviations, samples, draws)


def _deviations(metric: Metric, samples: ScoredSamples, draws: UserDraws) -> Floats:
    """By how much the figure of each draw differs from that of all whom the draws are from."""
    part = draws.restrict(samples)
    center = metric(part)
    if center is None:
        return np.full(draws.weights.shape[1], np.nan)
    return metric.drawn(part, draws) - center


def _interval(
    value: float | None,
    deviations: Callable[[], Floats],
    samples: ScoredSamples,
    draws: UserDraws,
) -> Interval:
    if value is None or len(np.unique(samples.user_idx)) < LEAST_USERS:
        return Interval(value)
    found = deviations()
    found = found[np.isfinite(found)]
    if len(found) < _LEAST_DEFINED * draws.weights.shape[1]:
        return Interval(value)
    low, high = value + draws.shrinkage * np.percentile(found, [2.5, 97.5])
    return Interval(value, float(low), float(high))
