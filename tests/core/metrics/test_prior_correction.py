"""A score is not a rate of clicks; with the base rate known it becomes one."""

import numpy as np
import pytest

from din_core import metrics


def test_odds_are_multiplied_by_the_ratio_of_the_shares():
    # Trained 1:1, one in five is clicked: odds 3 become 3/4, a probability of 3/7.
    found = metrics.corrected_probability([0.75], trained_rate=0.5, base_rate=0.2)
    assert found == pytest.approx([3 / 7])


def test_score_that_knows_nothing_becomes_the_base_rate():
    found = metrics.corrected_probability([0.25], trained_rate=0.25, base_rate=0.01)
    assert found == pytest.approx([0.01])


def test_corrected_probability_is_the_truth_of_a_log_whose_negatives_were_thinned():
    """200,000 impressions with a known chance each; training sees one negative a click."""
    from sklearn.linear_model import LogisticRegression  # as in test_metrics

    rng = np.random.default_rng(5)
    x = rng.normal(size=200_000)
    truth = 1 / (1 + np.exp(-(x - 4)))  # some 3% are clicked
    clicked = rng.random(len(x)) < truth
    negatives = rng.choice(np.flatnonzero(~clicked), clicked.sum(), replace=False)
    rows = np.concatenate([np.flatnonzero(clicked), negatives])
    model = LogisticRegression(C=1e9).fit(x[rows, None], clicked[rows])
    score = model.predict_proba(x[:, None])[:, 1]
    base_rate = clicked.mean()
    found = metrics.corrected_probability(score, trained_rate=0.5, base_rate=base_rate)

    assert score.mean() > 10 * base_rate  # the score is no rate of clicks
    assert metrics.predicted_over_observed(clicked, found) == pytest.approx(1, abs=0.05)
    for low, high in ((-1, 0), (0, 1), (1, 2), (2, 3)):
        part = (low <= x) & (x < high)
        assert found[part].mean() == pytest.approx(truth[part].mean(), rel=0.1)
    assert metrics.auc(clicked, found) == pytest.approx(metrics.auc(clicked, score), abs=1e-9)


@pytest.mark.parametrize(
    ("trained", "base", "message"),
    [(0.0, 0.1, "trained_rate is 0"), (0.5, 1.0, "base_rate is 1"), (0.5, -1, "base_rate is -1")],
)
def test_rate_that_is_none_is_refused(trained, base, message):
    with pytest.raises(ValueError, match=message):
        metrics.corrected_probability([0.5], trained_rate=trained, base_rate=base)


def test_score_that_is_no_probability_is_refused():
    with pytest.raises(ValueError, match=r"scores run -1.0 … 2.0"):
        metrics.corrected_probability([-1, 2], trained_rate=0.5, base_rate=0.1)
