"""The metrics of a model, by name: what ``test_auc`` computes and the table ``metrics`` holds.

Another metric is a function in this package and an entry here. Whatever shows a metric, the report
and the model card among them, goes by its entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
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
        title: What it is called.
        says: What its value says, to a reader who never heard its name (the report).
        definition: What it is, to one who computes with it (the model card).
        lower_is_better: Whether the better of two models has less of it.
    """

    of: Callable[[ScoredSamples], float | None]
    of_draws: Callable[[ScoredSamples, UserDraws], Floats] | None = None
    _: KW_ONLY
    title: str
    says: str
    definition: str
    lower_is_better: bool = False

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
            lambda of: area_under_curve.auc(of.label, of.score),
            area_under_curve.auc_of_draws,
            title="AUC",
            says="share of pairs of a taken item and another candidate in the right order; 0.5 is "
            "chance",
            definition="share of pairs of a taken and another sample in the right order; 0.5 is "
            "chance",
        ),
        "gauc": Metric(
            lambda of: area_under_curve.gauc(of.label, of.score, of.user_idx),
            area_under_curve.gauc_of_draws,
            title="GAUC",
            says="the same within each user's own candidates",
            definition="the same within each user's samples, weighted by their number",
        ),
        "logloss": Metric(
            lambda of: log_likelihood.logloss(of.label, of.score),
            log_likelihood.logloss_of_draws,
            title="logloss",
            says="how surprised the model is by what happened; lower is better",
            definition="mean negative log-likelihood, in nats",
            lower_is_better=True,
        ),
        "normalized_entropy": Metric(
            lambda of: log_likelihood.normalized_entropy(of.label, of.score),
            log_likelihood.normalized_entropy_of_draws,
            title="normalized entropy",
            says="the logloss beside that of one score for all; below 1 is better than that",
            definition="the logloss over that of the mean label; 1 is no better than it",
            lower_is_better=True,
        ),
        "pr_auc": Metric(
            lambda of: precision_recall.average_precision(of.label, of.score),
            precision_recall.average_precision_of_draws,
            title="PR-AUC",
            says="average precision; the share of taken items is chance",
            definition="average precision",
        ),
        "calibration_error": Metric(
            lambda of: calibration.expected_calibration_error(of.label, of.score),
            calibration.calibration_error_of_draws,
            title="calibration error",
            says="mean distance of scores and observed shares",
            definition="mean distance of score and observed share",
            lower_is_better=True,
        ),
        "predicted_over_observed": Metric(
            lambda of: calibration.predicted_over_observed(of.label, of.score),
            calibration.predicted_over_observed_of_draws,
            title="predicted over observed",
            says="mean score over the share that was taken; 1 is right, above 1 promises too much",
            definition="mean score over share of taken samples; 1 is right",
        ),
    }
)

#: Those that need no more than an order of the samples: what popularity can be measured by.
OF_AN_ORDER = ("auc", "gauc")
#: Those that two models are compared by, sample for sample.
OF_TWO_MODELS = ("auc", "gauc", "logloss")
#: Those that are better when they are lower.
LOWER_IS_BETTER = frozenset(name for name, each in OF_A_MODEL.items() if each.lower_is_better)
#: Those of a slice.
OF_A_SLICE = ("auc", "gauc", "logloss", "predicted_over_observed")
