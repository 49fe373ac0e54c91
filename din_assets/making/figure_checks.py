"""Checks of a model's figures, which no query finds: they are found as a check of ``sql/`` is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from din_core.tables.checks import CheckResult

if TYPE_CHECKING:
    from din_core.evaluation.judgement import Evaluation
    from din_core.serving.publication.judgement import Judged

BEATS_POPULARITY = "test_auc_beats_popularity"
IS_SERVED = "model_versions_published"

_NO_BETTER = (
    "Train longer or with other options (the preset `best`), and see in `metrics_by_slice` where "
    "the model is weak and in `split_summary` whether the splits are what was meant. Set "
    "allow_no_better_than_popularity (ops: test_auc: config) to publish it all the same."
)
_UNKNOWN = (
    "Read a longer log, or one of more users. The model may be good, but its figures do not show "
    "it: do not choose between models by them."
)


def beats_popularity(evaluation: Evaluation, *, blocked: bool) -> CheckResult:
    """Say whether the model beats an order by popularity.

    Args:
        evaluation: The model's figures.
        blocked: Whether the run stops here if it does not.
    """
    found = evaluation.verdict
    compared = [
        {
            "rival": each.rival,
            "metric": each.metric,
            "difference": each.difference.value,
            "low": each.difference.low,
            "high": each.difference.high,
            "users": each.n_users,
        }
        for each in evaluation.comparisons
        if (each.rival, each.metric) == ("popularity", "auc")
    ]
    passed = found.outcome == "better"
    return CheckResult(
        name=BEATS_POPULARITY,
        asset="test_auc",
        severity="error" if blocked else "warn",
        passed=passed,
        failing_rows=0 if passed else 1,
        examples=[] if passed else compared,
        description=found.sentence[:1].upper() + found.sentence[1:] + ".",
        what_to_do=_NO_BETTER if found.outcome == "no better" else _UNKNOWN,
    )


def is_served(judged: Judged) -> CheckResult:
    """Say whether the latest model is the one that is served.

    Args:
        judged: What was decided about it.
    """
    from din_core.serving.publication.history import SHORT

    latest = judged.row.bundle_version[:SHORT]
    both = latest if judged.served is None else f"{latest} {judged.served[:SHORT]}"
    return CheckResult(
        name=IS_SERVED,
        asset="model_versions",
        severity="warn",
        passed=judged.is_served,
        failing_rows=0 if judged.is_served else 1,
        examples=[],
        description=f"{judged.sentence()}.",
        what_to_do=f"Look at the figures (`din models {both}`). Then leave it so, train with other "
        f"options, or serve the latest model all the same (`din rollback {latest}`).",
    )
