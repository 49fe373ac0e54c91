"""Intervals rest on whole users, drawn with replacement."""

import dataclasses

import numpy as np
import pytest

from din_core import metrics
from din_core.metrics import registry
from din_core.metrics.user_draws import UserDraws


def some_samples(seed=0, n_users=30, n_samples=200, levels=12):
    """Random samples with many ties, of users some of which have one class only."""
    rng = np.random.default_rng(seed)
    user = rng.integers(0, n_users, n_samples) * 3 + 1
    return metrics.ScoredSamples(
        (rng.random(n_samples) < 0.4).astype(np.int64),
        rng.integers(1, levels, n_samples) / levels,
        user,
    )


def repeated(samples, draws, number):
    """The samples of a draw, written out."""
    times = draws.weights[np.searchsorted(draws.users, samples.user_idx), number].astype(int)
    return samples.take(np.repeat(np.arange(len(samples)), times))


@pytest.mark.parametrize("name", sorted({*registry.OF_A_MODEL} - {"calibration_error"}))
def test_figure_of_a_draw_is_that_of_its_samples_written_out(name):
    samples = some_samples()
    draws = metrics.draw_users(samples.user_idx, 7)
    metric = registry.OF_A_MODEL[name]
    expected = [metric(repeated(samples, draws, number)) for number in range(7)]
    assert metric.drawn(samples, draws) == pytest.approx(expected, abs=1e-12)


def test_calibration_error_of_a_draw_keeps_the_bins_of_all_samples():
    # Ten samples of ten users, each a bin of its own; the draw is users 1 (twice) and 2.
    label, score = (
        np.array([1, 0] + [0] * 8),
        np.array([0.25, 0.5] + [0.6 + i / 100 for i in range(8)]),
    )
    samples = metrics.ScoredSamples(label, score, np.arange(10))
    draws = UserDraws(np.arange(10), np.array([[2.0], [1.0]] + [[0.0]] * 8), 10)
    found = registry.OF_A_MODEL["calibration_error"].drawn(samples, draws)
    assert found == pytest.approx([(2 * 0.75 + 0.5) / 3])


def test_metric_without_a_fast_form_is_computed_of_the_samples_written_out():
    samples = some_samples(1)
    draws = metrics.draw_users(samples.user_idx, 5)
    fast = registry.OF_A_MODEL["auc"]
    slow = dataclasses.replace(fast, of_draws=None)
    assert slow.drawn(samples, draws) == pytest.approx(fast.drawn(samples, draws), abs=1e-12)


def test_draw_without_both_classes_is_undefined_and_no_error():
    samples = metrics.ScoredSamples(np.array([1, 0]), np.array([0.9, 0.1]), np.array([1, 2]))
    draws = UserDraws(np.array([1, 2]), np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]]), 2)
    for name in ("auc", "pr_auc", "normalized_entropy"):
        found = registry.OF_A_MODEL[name].drawn(samples, draws)
        assert np.isnan(found).tolist() == [True, False, True], name


def test_every_draw_has_as_many_users_as_there_are():
    draws = metrics.draw_users(np.repeat(np.arange(50), 3), 20)
    assert draws.weights.sum(axis=0).tolist() == [50.0] * 20
    assert draws.shrinkage == 1.0
    again = metrics.draw_users(np.repeat(np.arange(50), 3), 20)
    assert np.array_equal(draws.weights, again.weights)


def test_large_split_is_drawn_from_some_of_its_users_and_deviations_shrink():
    user = np.repeat(np.arange(400), 5)
    draws = metrics.draw_users(user, 3, max_samples=500, least_users=10)
    assert len(draws.users) == 100
    assert draws.shrinkage == 0.5
    samples = metrics.ScoredSamples(np.zeros(2000, int), np.zeros(2000), user)
    assert len(draws.restrict(samples)) == 500


def test_interval_covers_the_truth_as_often_as_it_says():
    # 400 logs of 150 users, two samples each, whose scores are 1 or 0: AUC 0.7 is the truth.
    covered = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        right = rng.random(300) < 0.7
        label = np.tile([1, 0], 150)
        score = np.where(right, label, 1 - label).astype(float)
        samples = metrics.ScoredSamples(label, score, np.repeat(np.arange(150), 2))
        draws = metrics.draw_users(samples.user_idx, 200, seed=seed)
        low, high = np.percentile(registry.OF_A_MODEL["auc"].drawn(samples, draws), [2.5, 97.5])
        covered += low <= 0.7 <= high
    # 95% of 400 are 380; six standard deviations of a binomial are 26.
    assert covered >= 354
