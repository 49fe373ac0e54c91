"""What `din run` ends with: the AUC beside its baselines, and why a step was made."""

import pytest

from din_assets.command import outcome
from din_assets.command.one_pass import Decision
from din_assets.command.outcome import figure_lines, next_lines, note
from din_core.evaluation.comparisons import Comparison
from din_core.evaluation.intervals import Interval
from din_core.evaluation.judgement import Evaluation, Figure


def test_auc_has_its_interval_and_stands_beside_its_baselines():
    figures = Evaluation(
        figures=(
            Figure("auc", Interval(0.8436, 0.84, 0.8472), 500),
            Figure("auc", Interval(0.1, 0.0, 0.2), 5, ("history", "short")),
            Figure("popularity_auc", Interval(0.6779, 0.67, 0.69), 500),
            Figure("oracle_auc", Interval(0.8928, 0.89, 0.9), 500),
        ),
        comparisons=(
            Comparison("popularity", "auc", Interval(0.1657, 0.15, 0.18), 250, None),
            Comparison("popularity", "hr@10", Interval(0.5, 0.4, 0.6), 250, None),
        ),
        n_samples=1500,
    )
    assert figure_lines(figures) == [
        "Test AUC 0.8436 (95%: 0.8400 to 0.8472) on 1,500 samples",
        "  popularity 0.6779; the model +0.1657 (95%: +0.1500 to +0.1800)",
        "  oracle (the true propensities) 0.8928",
    ]


def test_log_without_an_auc_says_so():
    undefined = Evaluation(figures=(Figure("auc", Interval(None), 5),), n_samples=5)
    assert figure_lines(undefined) == ["Test AUC: undefined on this log"]


@pytest.mark.parametrize(
    ("reasons", "outcome", "said"),
    [
        (("never made",), "made, new content", ""),
        (("asked for",), "made, same content", "same content"),
        (("max_history: 50 → 2",), "made, new content", "max_history: 50 → 2"),
        (("code changed",), "made, same content", "code changed; same content"),
    ],
)
def test_line_of_an_asset_says_why_where_that_is_no_matter_of_course(reasons, outcome, said):
    assert note(Decision(("samples",), reasons, outcome)) == said


@pytest.mark.parametrize("has_shell", [True, False])
def test_shell_that_is_not_there_is_named_with_its_package(monkeypatch, tmp_path, has_shell):
    monkeypatch.setattr(outcome.shutil, "which", lambda name: name if has_shell else None)
    [line] = [each for each in next_lines(tmp_path / "w.duckdb", "3") if "duckdb -readonly" in each]
    assert line.endswith("'from split_summary'") == has_shell
    assert line.endswith("pip install duckdb-cli") == (not has_shell)
