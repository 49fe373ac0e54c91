"""What the pictures are drawn of, by hand, and that they are drawn of nothing as well."""

import io

import numpy as np
import pytest
from PIL import Image

from din_core import metrics
from din_core.evaluation import pictures
from din_core.evaluation.intervals import Interval
from din_core.evaluation.judgement import Evaluation, Figure


def samples(label, score):
    return metrics.ScoredSamples(np.array(label), np.array(score), np.arange(len(label)))


def test_roc_goes_up_by_positives_and_across_by_negatives_ties_at_once():
    # From the top: a positive, then a positive and a negative that tie, then a negative.
    across, up = pictures.roc(samples([1, 0, 1, 0], [0.9, 0.5, 0.5, 0.1]))
    assert across.tolist() == [0, 0, 0.5, 1]
    assert up.tolist() == [0, 0.5, 1, 1]


def test_roc_of_many_samples_has_the_area_of_all_of_them_in_few_points():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 5_000)
    of = samples(label, label + rng.normal(size=5_000))
    across, up = pictures.roc(of)
    assert len(across) <= 200
    assert (across[0], up[0], across[-1], up[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(up, across) == pytest.approx(metrics.auc(of.label, of.score), abs=1e-3)


def test_reliability_is_mean_score_and_share_of_positives_of_each_tenth():
    score, share = pictures.reliability(samples([0, 1] * 10, np.arange(20) / 20))
    assert score.tolist() == pytest.approx([(2 * i + 0.5) / 20 for i in range(10)])
    assert share.tolist() == [0.5] * 10


@pytest.mark.parametrize(
    "figures", [(), (Figure("auc", Interval(None), 3, ("category_seen", "no")),)]
)
def test_pictures_are_drawn_without_samples_and_without_figures(figures):
    for draw in (pictures.curves, pictures.auc_by_slice):
        with Image.open(io.BytesIO(draw(Evaluation(figures)))) as picture:
            assert picture.format == "PNG"
