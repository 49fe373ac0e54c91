"""Intervals of figures and of differences, and what follows from them."""

import numpy as np
import pytest

from din_core import metrics
from din_core.evaluation import intervals, verdict
from din_core.evaluation.comparisons import Comparison
from din_core.evaluation.intervals import Interval
from din_core.metrics.registry import OF_A_MODEL

AUC = OF_A_MODEL["auc"]


def samples_of(n_users, *, skill, seed=0):
    """One positive and one negative of each user, and a score that knows something of the label."""
    rng = np.random.default_rng(seed)
    label = np.tile([1, 0], n_users)
    score = rng.random(2 * n_users) + skill * label
    return metrics.ScoredSamples(label, score, np.repeat(np.arange(n_users), 2))


def test_interval_lies_about_the_figure_and_is_that_of_its_draws():
    samples = samples_of(200, skill=0.3)
    draws = metrics.draw_users(samples.user_idx)
    found = intervals.of_metric(AUC, samples, draws)
    assert found.value == metrics.auc(samples.label, samples.score)
    low, high = np.percentile(AUC.drawn(samples, draws), [2.5, 97.5])
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.low < found.value < found.high


def test_too_few_users_have_a_figure_and_no_interval():
    samples = samples_of(intervals.LEAST_USERS - 1, skill=0.3)
    found = intervals.of_metric(AUC, samples, metrics.draw_users(samples.user_idx))
    assert found == Interval(metrics.auc(samples.label, samples.score))


def test_figure_that_is_undefined_has_no_interval():
    samples = samples_of(50, skill=0.3).take(np.arange(0, 100, 2))
    assert intervals.of_metric(AUC, samples, metrics.draw_users(samples.user_idx)) == Interval(None)


def test_no_samples_are_no_error():
    nothing = np.zeros(0)
    samples = metrics.ScoredSamples(nothing, nothing, nothing)
    draws = metrics.draw_users(nothing)
    assert intervals.of_metric(AUC, samples, draws) == Interval(None)
    assert intervals.of_mean(nothing, samples, draws) == Interval(None)


def test_model_beside_itself_differs_by_exactly_nothing():
    samples = samples_of(100, skill=0.3)
    draws = metrics.draw_users(samples.user_idx)
    assert intervals.of_difference(AUC, samples, samples, draws) == Interval(0.0, 0.0, 0.0)


def test_difference_of_pairs_is_surer_than_its_two_figures():
    samples = samples_of(500, skill=0.3)
    rng = np.random.default_rng(1)
    rival = metrics.ScoredSamples(
        samples.label, samples.score + 0.1 * rng.random(1000), samples.user_idx
    )
    draws = metrics.draw_users(samples.user_idx)
    pair = intervals.of_difference(AUC, samples, rival, draws)
    assert pair.half_width < intervals.of_metric(AUC, samples, draws).half_width / 2


def test_interval_of_some_users_of_a_large_split_is_as_wide_as_that_of_all():
    samples = samples_of(6_000, skill=0.2)
    of_all = intervals.of_metric(AUC, samples, metrics.draw_users(samples.user_idx))
    draws = metrics.draw_users(samples.user_idx, max_samples=3_000)
    of_some = intervals.of_metric(AUC, samples, draws)
    assert len(draws.users) == 1_500
    assert of_some.value == of_all.value
    assert of_some.half_width == pytest.approx(of_all.half_width, rel=0.25)


def test_mean_of_users_with_several_values_is_drawn_by_user():
    user = np.repeat(np.arange(40), 10)
    values = (user < 20).astype(float)  # all of a user's values are alike
    nothing = np.zeros(400)
    samples = metrics.ScoredSamples(nothing, nothing, user)
    found = intervals.of_mean(values, samples, metrics.draw_users(user))
    assert found.value == 0.5
    # 40 users: 1.96 * sqrt(0.25 / 40) = 0.155. Of 400 values it would be 0.049.
    assert found.half_width == pytest.approx(0.155, abs=0.03)


def beside_popularity(difference, low, high, n_users):
    return [Comparison("popularity", "auc", Interval(difference, low, high), n_users)]


@pytest.mark.parametrize(
    ("difference", "low", "high", "n_users", "outcome"),
    [
        (0.05, 0.01, 0.09, 60, "better"),  # as small as the log is, the interval says so
        (0.02, -0.01, 0.04, 1_000, "no better"),
        (0.02, -0.01, 0.04, 999, "unknown"),  # too few users
        (0.02, -0.02, 0.06, 5_000, "unknown"),  # too wide
        (0.0, 0.0, 0.0, 2_000, "no better"),
        (-0.1, -0.11, -0.09, 2_000, "no better"),
        (0.1, None, None, 5, "unknown"),
        (None, None, None, 5_000, "unknown"),
    ],
)
def test_model_is_worth_serving_where_the_interval_lies_above_popularity(
    difference, low, high, n_users, outcome
):
    assert (
        verdict.over_popularity(beside_popularity(difference, low, high, n_users)).outcome
        == outcome
    )


def test_verdict_names_the_figures():
    sentence = verdict.over_popularity(beside_popularity(0.02, -0.01, 0.04, 1_234)).sentence
    assert "does not beat popularity" in sentence
    assert "+0.0200 (-0.0100 to +0.0400, 95% of draws of 1,234 users)" in sentence


def test_without_a_comparison_nothing_follows():
    assert verdict.over_popularity([]).outcome == "unknown"
