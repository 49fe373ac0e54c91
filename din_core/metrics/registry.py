"""The metrics of a model, by name: what ``test_auc`` computes and the table ``metrics`` holds.

Another metric is a function in this package and a line here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from din_core.metrics import area_under_curve, calibration, log_likelihood, precision_recall
from din_core.metrics.scored_samples import Floats, ScoredSamples
from din_core.metrics.user_draws import UserDraws


@dataclass(frozen=True)
class Metric:
    """A figure of a model on some samples.

    Attributes:
        of: The figure; None where it is undefined, such as the AUC of samples of one label.
        of_draws: The figure of each draw of users, ``[D]``, NaN where it is undefined. By default
            :attr:`of` of the samples repeated as often as their users were drawn: slower.
    """

    of: Callable[[ScoredSamples], float | None]
    of_draws: Callable[[ScoredSamples, UserDraws], Floats] | None = None

    def __call__(self, samples: ScoredSamples) -> float | None:
        """Return the figure."""
        return self.of(samples)

    def drawn(self, samples: ScoredSamples, draws: UserDraws) -> Floats:
        """Return the figure of each draw, ``[D]``."""
        if self.of_draws is not None:
            return self.of_draws(samples, draws)
        times = draws.weights[draws.places(samples.user_idx)].astype(np.int64)
        rows = np.arange(len(samples))
        found = [self.of(samples.take(np.repeat(rows, column))) for column in times.T]
        return np.array([np.nan if each is None else each for each in found])


#: In the order in which they are told.
OF_A_MODEL: Mapping[str, Metric] = MappingProxyType(
    {
        "auc": Metric(
            lambda of: area_under_curve.auc(of.label, of.score), area_under_curve.auc_of_draws
        ),
        "gauc": Metric(
            lambda of: area_under_curve.gauc(of.label, of.score, of.user_idx),
            area_under_curve.gauc_of_draws,
        ),
        "logloss": Metric(
            lambda of: log_likelihood.logloss(of.label, of.score), log_likelihood.logloss_of_draws
        ),
        "normalized_entropy": Metric(
            lambda of: log_likelihood.normalized_entropy(of.label, of.score),
            log_likelihood.normalized_entropy_of_draws,
        ),
        "pr_auc": Metric(
            lambda of: precision_recall.average_precision(of.label, of.score),
            precision_recall.average_precision_of_draws,
        ),
        "calibration_error": Metric(
            lambda of: calibration.expected_calibration_error(of.label, of.score),
            calibration.calibration_error_of_draws,
        ),
        "predicted_over_observed": Metric(
            lambda of: calibration.predicted_over_observed(of.label, of.score),
            calibration.predicted_over_observed_of_draws,
        ),
    }
)

#: Those that need no more than an order of the samples: what popularity can be measured by.
OF_AN_ORDER = ("auc", "gauc")
#: Those that two models are compared by, sample for sample.
OF_TWO_MODELS = ("auc", "gauc", "logloss")
#: Those that are better when they are lower.
LOWER_IS_BETTER = frozenset({"logloss", "normalized_entropy", "calibration_error"})
#: Those of a slice.
OF_A_SLICE = ("auc", "gauc", "logloss", "predicted_over_observed")
