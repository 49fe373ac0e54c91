"""Metrics of click probabilities: AUC, GAUC, logloss, PR-AUC, calibration, ranks of a positive.

Plain NumPy on whole splits. A metric that is undefined (AUC of one class, anything of no samples)
is ``None``, never NaN: it then says so in every place it is shown. :mod:`din_core.metrics.registry`
names those that every model is measured by. A function ``…_of_draws`` is the same figure of each
draw of users, for an interval (:mod:`din_core.metrics.user_draws`). Shapes: N samples, D draws.
"""

from din_core.metrics.area_under_curve import auc, gauc, grouped_auc
from din_core.metrics.calibration import expected_calibration_error, predicted_over_observed
from din_core.metrics.log_likelihood import logloss, normalized_entropy
from din_core.metrics.precision_recall import average_precision
from din_core.metrics.prior_correction import corrected_probability
from din_core.metrics.relative_improvement import rela_impr
from din_core.metrics.scored_samples import ScoredSamples
from din_core.metrics.user_draws import UserDraws, draw_users

__all__ = [
    "ScoredSamples",
    "UserDraws",
    "auc",
    "average_precision",
    "corrected_probability",
    "draw_users",
    "expected_calibration_error",
    "gauc",
    "grouped_auc",
    "logloss",
    "normalized_entropy",
    "predicted_over_observed",
    "rela_impr",
]
