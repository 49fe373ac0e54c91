"""Metrics of click probabilities: AUC, GAUC, logloss, normalised entropy, RelaImpr.

Plain NumPy on whole splits. A metric that is undefined (AUC of one class, anything of no samples)
is ``None``, never NaN: it then says so in every place it is shown. :mod:`din_core.metrics.registry`
names those that every model is measured by. Shapes: N samples.
"""

from din_core.metrics.area_under_curve import auc, gauc, grouped_auc
from din_core.metrics.log_likelihood import logloss, normalized_entropy
from din_core.metrics.relative_improvement import rela_impr
from din_core.metrics.scored_samples import ScoredSamples

__all__ = [
    "ScoredSamples",
    "auc",
    "gauc",
    "grouped_auc",
    "logloss",
    "normalized_entropy",
    "rela_impr",
]
