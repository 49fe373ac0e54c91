"""Mini-batch aware regularization against the paper's formulas, written out."""

import numpy as np
import pytest
import torch

from din_core.config import TrainingConfig
from din_core.inputs.epochs import EpochPlan, EpochPlanner
from din_core.training.regularization import GatheredRowsL2, MiniBatchAware, occurrences
from tests.core.training_logs import log, planted_log

CPU = torch.device("cpu")


def ids_of_samples(data, plan):
    """For each sample, the items it holds: its candidate and its history."""
    columns = plan.columns()
    return [
        [item, *data.event_items[start:end].tolist()]
        for item, start, end in zip(columns["item"], columns["start"], columns["end"], strict=True)
    ]


def test_occurrences_count_candidates_and_histories():
    # Training samples of user 1: history [1] and [1, 2]; candidates 2, 3 and their negatives.
    data = log([[1, 2, 3, 4, 5]], cates=[1, 1, 2, 2, 2, 2], n_items=6)
    positions_2_and_3 = data.samples["train"].take(data.samples["train"].label == 1)
    plan = EpochPlan(
        positions_2_and_3,
        row=np.array([0, 1, 1], dtype=np.int32),
        item=np.array([2, 3, 6], dtype=np.int32),
        label=np.array([1, 1, 0], dtype=np.int8),
    )
    counts = occurrences(data, plan)
    assert counts["target_item_idx"].tolist() == [0, 3, 3, 1, 0, 0, 1]
    assert counts["target_cate_idx"].tolist() == [0, 6, 2]
    assert counts["user_idx"].tolist() == [0, 3]


def test_occurrences_agree_with_a_slow_count():
    data = planted_log()
    plan = EpochPlanner(data, TrainingConfig(negatives="redrawn")).plan(1)
    everything = np.concatenate(ids_of_samples(data, plan))
    expected = np.bincount(everything, minlength=data.vocabulary.n_items + 1)
    assert occurrences(data, plan)["target_item_idx"].tolist() == expected.tolist()


def test_the_gradient_is_that_of_equation_5_for_the_batch():
    data = planted_log()
    plan = EpochPlanner(data, TrainingConfig(negatives="fixed")).plan(0)
    counts = occurrences(data, plan)["target_item_idx"]
    weight = torch.randn(data.vocabulary.n_items + 1, 4, requires_grad=True)
    batch = ids_of_samples(data, plan)[:3]

    # Equation 5 for one batch m: sum over ids j of alpha_mj / n_j * ||w_j||^2, times lambda / 2.
    strength, penalty = 0.3, torch.zeros(())
    for j in range(1, data.vocabulary.n_items + 1):
        alpha = float(any(j in ids for ids in batch))
        penalty = penalty + alpha / max(counts[j], 1) * weight[j].square().sum()
    (strength / 2 * penalty).backward()

    rows = torch.tensor(sorted({j for ids in batch for j in ids}))
    lazy = torch.zeros_like(weight)
    mini_batch_aware = MiniBatchAware(strength, {"t": counts}, CPU)
    lazy[rows] = mini_batch_aware("t", rows, weight.detach()[rows])
    torch.testing.assert_close(lazy, weight.grad)


def test_with_one_sample_a_batch_an_epoch_adds_up_to_equation_4():
    # Where no id occurs twice in a sample, alpha of equation 5 is exact: the sum over batches of
    # alpha_mj / n_j is 1 for every id that occurs, and equation 4 is the norm of those rows.
    data = log([[1, 2, 3, 4, 5], [5, 4, 3, 2, 1]], cates=[1] * 9, n_items=9)
    plan = EpochPlanner(data, TrainingConfig(negatives="fixed")).plan(0)
    counts = occurrences(data, plan)["target_item_idx"]
    weight = torch.randn(10, 4)
    penalty = MiniBatchAware(1.0, {"t": counts}, CPU)
    total = torch.zeros_like(weight)
    for ids in ids_of_samples(data, plan):
        assert len(set(ids)) == len(ids)
        total[ids] += penalty("t", torch.tensor(ids), weight[ids])
    occurring = torch.as_tensor(counts > 0)
    torch.testing.assert_close(total[occurring], weight[occurring])
    assert total[~occurring].abs().sum() == 0


@pytest.mark.parametrize(("frequent", "rare"), [(1000, 10)])
def test_frequent_rows_are_held_less(frequent, rare):
    penalty = MiniBatchAware(1.0, {"t": np.array([0, frequent, rare])}, CPU)
    gradient = penalty("t", torch.tensor([1, 2]), torch.ones(2, 1))
    assert gradient.squeeze(1).tolist() == pytest.approx([1 / frequent, 1 / rare])


def test_l2_pulls_every_gathered_row_alike():
    weight = torch.tensor([[1.0, -2.0], [0.5, 0.0]])
    assert torch.equal(GatheredRowsL2(0.5)("t", torch.tensor([3, 9]), weight), weight * 0.5)
