"""The metrics of a model, by name: what ``test_auc`` computes and the table ``metrics`` holds.

Another metric is a function in this package and a line here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from din_core.metrics.area_under_curve import auc, gauc
from din_core.metrics.log_likelihood import logloss, normalized_entropy
from din_core.metrics.scored_samples import ScoredSamples

#: A number, or None where it is undefined, such as the AUC of samples of one label.
Metric = Callable[[ScoredSamples], float | None]

#: In the order in which they are told.
OF_A_MODEL: Mapping[str, Metric] = MappingProxyType(
    {
        "auc": lambda of: auc(of.label, of.score),
        "gauc": lambda of: gauc(of.label, of.score, of.user_idx),
        "logloss": lambda of: logloss(of.label, of.score),
        "normalized_entropy": lambda of: normalized_entropy(of.label, of.score),
    }
)
