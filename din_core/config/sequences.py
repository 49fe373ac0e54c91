"""The step from events to samples."""

from __future__ import annotations

from typing import Literal

from din_core.config.options import config_class, option

NegativeSampling = Literal["uniform", "popularity", "same_category"]
Split = Literal["leave_one_out", "temporal"]

# The SQL computes positions and draws in 64 bits from numbers below this (sql/macros/draw.jinja).
_LIMIT = 2**30
_MILLIONTHS = 1_000_000


@config_class
class SequenceConfig:
    """How events become samples."""

    max_history: int = option(50, "Most recent events kept in a history.", ge=1, lt=_LIMIT)
    min_interactions: int = option(
        0,
        "Users with fewer interactions are left out (the tutorial's `min_item`); impressions "
        "count, taken or not.",
        ge=0,
        lt=_LIMIT,
    )
    negatives_per_positive: int = option(
        1,
        "Negatives in the table for each positive: what validation and test are measured with, and "
        "training where it redraws none.",
        ge=0,
        le=1_000,
    )
    negative_sampling: NegativeSampling = option(
        "uniform",
        "How they are sampled: 'uniform' over the items the user never interacted with, by "
        "'popularity' (count to the power 0.75), or from the positive's category "
        "('same_category').",
    )
    sampling_seed: int = option(2022, "Seed of that draw.", ge=0, lt=_LIMIT)
    split: Split = option(
        "leave_one_out",
        "'leave_one_out' (last event test, the one before validation; in a labelled log, the last "
        "two moments, taken or not) or 'temporal'.",
    )
    val_from: float = option(
        0.8,
        "Temporal split: first moment of validation, in seconds, or below 1 as a quantile.",
        gt=0,
    )
    test_from: float = option(0.9, "Temporal split: first moment of test, in the same unit.", gt=0)

    def contradiction(self) -> str | None:
        """Say whether the moments of a temporal split are in no order, or in two units."""
        if self.split != "temporal":
            return None
        both = f"val_from is {self.val_from}, test_from {self.test_from}"
        if self.val_from > self.test_from:
            return f"{both}: validation comes before test, so val_from must not be the larger one"
        if (self.val_from < 1) != (self.test_from < 1):
            return f"{both}: give both in seconds, or both as quantiles, above 0 and below 1"
        for name, value in {"val_from": self.val_from, "test_from": self.test_from}.items():
            if value < 1 and not 1 <= round(value * _MILLIONTHS) < _MILLIONTHS:
                return f"{name} is {value}: a quantile is from 0.000001 to 0.999999, in millionths"
        return None

    def without_effect(self) -> dict[str, str]:
        """Return the moments of a temporal split where the split is another one."""
        if self.split == "temporal":
            return {}
        why = f"split is {self.split!r}: choose split: temporal, or leave {{}} out"
        return {name: why.format(name) for name in ("val_from", "test_from")}
