"""What people would pick instead, by hand on logs of a few events. The libraries are not needed."""

import numpy as np
import pytest

from benchmarks import page, quality_cases, quality_peers
from benchmarks.processes import Run
from tests.core.training_logs import log


def small_log():
    """Four users; the last two events of each are held out."""
    return log([[1, 2, 3, 4], [1, 2, 4, 3], [1, 3, 2, 4], [2, 3, 1, 4]], cates=[1] * 6, n_items=6)


def test_popularity_counts_training_events_alone():
    data = small_log()
    scores, _ = quality_peers.popularity(data, 0)
    count = np.array([0, 3, 3, 2, 0, 0, 0])  # of the first two events of each
    for split in ("val", "test"):
        assert scores[split].tolist() == count[data.samples[split].item].tolist()


def test_co_occurrence_adds_up_the_cosines_of_the_history():
    data = small_log()
    # Training baskets: {1, 2}, {1, 2}, {1, 3}, {2, 3}.
    cosine = {(1, 2): 2 / 3, (1, 3): 1 / np.sqrt(6), (2, 3): 1 / np.sqrt(6)}
    samples = data.samples["val"]
    expected = []
    for start, end, item in zip(samples.start, samples.end, samples.item, strict=True):
        pairs = [tuple(sorted((int(each), int(item)))) for each in data.event_items[start:end]]
        expected.append(sum(cosine.get(pair, 0.0) for pair in pairs))
    scores, settings = quality_peers.co_occurrence(data, 0)
    popularity, _ = quality_peers.popularity(data, 0)
    added = settings["popularity_weight"] * np.log1p(popularity["val"])
    own = np.array(expected)
    np.testing.assert_allclose(scores["val"], own / own.std() + added, rtol=1e-5)


def test_ease_is_the_ridge_regression_of_each_item_on_the_others():
    data = small_log()
    baskets = np.zeros((4, 7))
    for row, items in enumerate([(1, 2), (1, 2), (1, 3), (2, 3)]):
        baskets[row, list(items)] = 1
    scores, settings = quality_peers.ease(data, 0)
    weights = np.zeros((7, 7))
    for item in range(7):
        others = np.delete(np.arange(7), item)
        x = baskets[:, others]
        ridge = x.T @ x + settings["strength"] * np.eye(6)
        weights[others, item] = np.linalg.solve(ridge, x.T @ baskets[:, item])
    popularity, _ = quality_peers.popularity(data, 0)

    def own(split):
        samples = data.samples[split]
        return np.array([
            weights[data.event_items[start:end], item].sum()
            for start, end, item in zip(samples.start, samples.end, samples.item, strict=True)
        ])  # fmt: skip

    for split in ("val", "test"):
        added = settings["popularity_weight"] * np.log1p(popularity[split])
        np.testing.assert_allclose(scores[split], own(split) / own("val").std() + added, rtol=1e-3)


def run_of(outcome="ok", message="", **figures):
    return Run(
        outcome=outcome, process_seconds=9.0, cpu_seconds=9.0, peak_mb=1.0, message=message,
        report={"work_seconds": 2.0, "library": "", "settings": {}, **figures},
    )  # fmt: skip


def test_page_has_a_line_a_side_and_says_why_one_is_missing():
    runs = {
        f"{side}.{seed}": [run_of(val_auc=0.7, test_auc=0.6 + seed / 100, test_gauc=None)]
        for side in quality_cases.SIDES
        for seed in (1, 3)
    }
    runs["bpr.1"] = runs["bpr.3"] = [run_of("failed", "Traceback\nModuleNotFoundError: implicit")]
    entries = quality_cases.entries_of({"source": "generated"}, runs)
    assert len(entries) == len(quality_cases.SIDES)
    popularity = entries[0]
    assert popularity["test_auc"] == pytest.approx(0.62)
    assert popularity["test_auc_sd"] == pytest.approx(0.01 * np.sqrt(2))
    shown = page.render({"cases": entries})
    assert "| popularity |  | 0.7000 | **0.6200** ± 0.0141 | undefined | 2 s |" in shown
    assert "| failed | ModuleNotFoundError: implicit |" in shown
