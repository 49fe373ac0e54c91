"""Whether a model is worth serving: does it beat an order by popularity?

The log has to be large enough to tell. It is where it has 1,000 test users or more and the interval
of the difference in AUC is ±0.03 or narrower, which two samples each of some 1,500 users give. Then
the interval must lie above zero. Of a smaller log nothing follows, and it is said so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from din_core.evaluation.comparisons import Comparison

LEAST_USERS = 1_000
WIDEST = 0.03


@dataclass(frozen=True)
class Verdict:
    """What follows from the comparison with popularity.

    Attributes:
        outcome: ``better``, ``no better`` (on a log that is large enough to tell) or ``unknown``.
        sentence: The same for a reader, with the figures.
    """

    outcome: Literal["better", "no better", "unknown"]
    sentence: str


def over_popularity(comparisons: Iterable[Comparison]) -> Verdict:
    """Judge a model by its AUC beside that of popularity.

    Args:
        comparisons: The model's.
    """
    found = [each for each in comparisons if (each.rival, each.metric) == ("popularity", "auc")]
    if not found or (difference := found[0].difference).value is None:
        return Verdict("unknown", "the test samples have no AUC to compare with popularity's")
    n_users, half_width = found[0].n_users, difference.half_width
    if difference.low is None or half_width is None:
        return Verdict(
            "unknown", f"{n_users:,} test users are too few to compare the model with popularity"
        )
    figures = (
        f"its AUC minus popularity's is {difference.value:+.4f} ({difference.low:+.4f} to "
        f"{difference.high:+.4f}, 95% of draws of {n_users:,} users)"
    )
    if difference.low > 0:
        return Verdict("better", f"the model beats popularity: {figures}")
    if n_users < LEAST_USERS or half_width > WIDEST:
        return Verdict(
            "unknown",
            f"the log is too small to tell whether the model beats popularity: {figures}",
        )
    return Verdict("no better", f"the model does not beat popularity: {figures}")
