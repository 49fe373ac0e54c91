"""Figures of merit against hand-computed values and scikit-learn.

scikit-learn takes longer to import than all tests of this file: those that ask it import it, and
the workers that run others do without.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from din_core import metrics
from din_core.metrics import ranking, registry


def test_auc_counts_ordered_pairs_and_half_of_the_ties():
    # Pairs of positive and negative: (3, 1) won, (3, 2) won, (2, 1) won, (2, 2) tied.
    assert metrics.auc([1, 1, 0, 0], [3, 2, 1, 2]) == 3.5 / 4


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=30).filter(
        lambda rows: len({label for label, _ in rows}) == 2
    )
)
def test_auc_equals_scikit_learn_with_any_ties(rows):
    from sklearn.metrics import roc_auc_score

    label, score = zip(*rows, strict=True)
    assert metrics.auc(label, score) == pytest.approx(roc_auc_score(label, score), abs=1e-12)


@pytest.mark.parametrize(("label", "score"), [([], []), ([1, 1], [0.1, 0.2]), ([0], [0.5])])
def test_auc_of_one_class_is_undefined(label, score):
    assert metrics.auc(label, score) is None


def test_gauc_weighs_users_by_their_samples_and_leaves_one_class_out():
    user = [7, 7, 3, 3, 3, 5, 5]
    label = [1, 0, 0, 1, 0, 1, 1]
    score = [0.9, 0.1, 0.8, 0.5, 0.2, 0.1, 0.2]
    # User 7: AUC 1 on 2 samples; user 3: 1 of 2 pairs on 3 samples; user 5 has no negative.
    assert metrics.gauc(label, score, user) == pytest.approx((2 * 1 + 3 * 0.5) / 5)


def test_gauc_without_a_user_with_both_classes_is_undefined():
    assert metrics.gauc([1, 0], [0.3, 0.2], [1, 2]) is None


def test_gauc_ignores_a_shift_of_one_users_scores():
    rng = np.random.default_rng(0)
    user, label, score = rng.integers(0, 20, 400), rng.integers(0, 2, 400), rng.random(400)
    shifted = score + user
    assert metrics.gauc(label, shifted, user) == pytest.approx(metrics.gauc(label, score, user))


def test_logloss_equals_scikit_learn():
    from sklearn.metrics import log_loss

    label, score = [1, 0, 1], [0.8, 0.3, 0.01]
    assert metrics.logloss(label, score) == pytest.approx(log_loss(label, score))


def test_logloss_of_a_saturated_mistake_is_finite():
    assert 16 < metrics.logloss([1, 0], [0.0, 1.0]) < 17


def test_logloss_of_nothing_is_undefined():
    assert metrics.logloss([], []) is None


def test_rela_impr_is_the_papers():
    # Table 5 of arXiv 1706.06978: BaseModel 0.5970, DIN with Dice and MBA 0.6083.
    assert metrics.rela_impr(0.6083, 0.5970) == pytest.approx(11.65, abs=0.005)


@pytest.mark.parametrize(
    ("label", "score", "message"),
    [
        ([1, 2], [0.1, 0.2], "must be 0 or 1"),
        ([1, 0], [0.1, np.nan], "1 of 2 scores are NaN"),
        ([1, 0, 1], [0.1, 0.2], "shape"),
    ],
)
def test_what_is_no_label_or_score_is_refused(label, score, message):
    with pytest.raises(ValueError, match=message):
        metrics.auc(label, score)


def test_logloss_refuses_what_is_no_probability():
    with pytest.raises(ValueError, match=r"scores run -0.5 … 1.5"):
        metrics.logloss([1, 0], [1.5, -0.5])


def test_normalized_entropy_is_that_of_the_base_rate_at_1():
    label = [1, 0, 0, 0]
    assert metrics.normalized_entropy(label, [0.25] * 4) == pytest.approx(1.0)
    # -ln(0.5) for every sample, over -(1/4 ln 1/4 + 3/4 ln 3/4).
    assert metrics.normalized_entropy(label, [0.5] * 4) == pytest.approx(
        0.693147 / 0.562335, abs=1e-5
    )


@pytest.mark.parametrize("label", [[], [1, 1], [0]])
def test_normalized_entropy_of_one_class_is_undefined(label):
    assert metrics.normalized_entropy(label, [0.5] * len(label)) is None


def test_the_metrics_of_a_model_are_those_of_the_registry():
    samples = metrics.ScoredSamples(np.array([1, 0]), np.array([0.9, 0.2]), np.array([1, 1]))
    assert {name: metric(samples) for name, metric in registry.OF_A_MODEL.items()} == {
        "auc": 1.0,
        "gauc": 1.0,
        "logloss": pytest.approx((-np.log(0.9) - np.log(0.8)) / 2),
        "normalized_entropy": pytest.approx((-np.log(0.9) - np.log(0.8)) / 2 / np.log(2)),
        "pr_auc": 1.0,
        # Two samples, each a bin of its own: |0.2 - 0| and |0.9 - 1|.
        "calibration_error": pytest.approx((0.2 + 0.1) / 2),
        "predicted_over_observed": pytest.approx(1.1),
    }


def test_average_precision_is_the_mean_precision_at_the_positives():
    # At 0.9 one of one, at 0.5 (a tie of two) two of four.
    assert metrics.average_precision([1, 0, 1, 0], [0.9, 0.6, 0.5, 0.5]) == pytest.approx(0.75)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=30).filter(
        lambda rows: len({label for label, _ in rows}) == 2
    )
)
def test_average_precision_equals_scikit_learn_with_any_ties(rows):
    from sklearn.metrics import average_precision_score

    label, score = zip(*rows, strict=True)
    assert metrics.average_precision(label, score) == pytest.approx(
        average_precision_score(label, score), abs=1e-12
    )


@pytest.mark.parametrize("label", [[], [1, 1], [0]])
def test_average_precision_of_one_class_is_undefined(label):
    assert metrics.average_precision(label, [0.5] * len(label)) is None


def test_calibration_error_weighs_the_gap_of_each_bin_by_its_samples():
    label, score = [0, 1, 1, 1, 0, 1], [0.1, 0.1, 0.1, 0.8, 0.8, 0.8]
    # Two bins of three: |0.1 - 2/3| and |0.8 - 2/3|.
    expected = (abs(0.1 - 2 / 3) + abs(0.8 - 2 / 3)) / 2
    assert metrics.expected_calibration_error(label, score, n_bins=2) == pytest.approx(expected)


def test_equal_scores_share_a_bin_of_the_calibration_error():
    # Half are positive at 0.5: in two bins by place in the file it would be 0.5.
    assert metrics.expected_calibration_error([1, 1, 0, 0], [0.5] * 4, n_bins=2) == 0.0


def test_predicted_over_observed_is_undefined_without_a_positive():
    assert metrics.predicted_over_observed([0, 0], [0.1, 0.2]) is None
    assert metrics.predicted_over_observed([1, 0], [0.2, 0.4]) == pytest.approx(0.6)


def test_ranks_count_half_of_the_ties():
    assert ranking.rank_of_positive([0, 2, 0], [0, 0, 100]).tolist() == [1.0, 3.0, 51.0]


def test_ranking_figures_by_hand():
    found = {name: float(values.mean()) for name, values in ranking.by_name([1, 4, 30]).items()}
    assert found == pytest.approx(
        {
            "hr_at_1": 1 / 3,
            "hr_at_5": 2 / 3,
            "hr_at_10": 2 / 3,
            "hr_at_20": 2 / 3,
            "ndcg_at_5": (1 + 1 / np.log2(5)) / 3,
            "ndcg_at_10": (1 + 1 / np.log2(5)) / 3,
            "ndcg_at_20": (1 + 1 / np.log2(5)) / 3,
            "mrr": (1 + 1 / 4 + 1 / 30) / 3,
        }
    )


def test_every_figure_says_whether_less_of_it_is_better():
    label = np.array([1, 0, 1, 0, 0, 1])
    user_idx = np.array([1, 1, 2, 2, 3, 3])
    good = metrics.ScoredSamples(label, np.array([0.9, 0.1, 0.8, 0.2, 0.1, 0.9]), user_idx)
    bad = metrics.ScoredSamples(label, np.array([0.2, 0.7, 0.6, 0.5, 0.8, 0.1]), user_idx)
    lower = {name for name, metric in registry.OF_A_MODEL.items() if metric(good) < metric(bad)}
    # A sum of scores over a sum of labels has its best value in the middle.
    assert lower - {"predicted_over_observed"} == registry.LOWER_IS_BETTER
