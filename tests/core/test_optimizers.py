"""Lazy Adam against the dense one, and against a slow loop over rows."""

import copy

import pytest
import torch
from torch import nn

from din_core.optimizers import RowAdam, dense_adam
from din_core.regularization import TouchedRowsL2


def table(n_rows=6, dim=3, seed=0):
    torch.manual_seed(seed)
    return nn.Embedding(n_rows, dim, sparse=True)


def backward(embedding, rows, gradient_seed):
    """Give the rows of one look-up random gradients of very different size."""
    generator = torch.Generator().manual_seed(gradient_seed)
    out = embedding(torch.tensor(rows))
    scale = 10 ** torch.randint(-4, 2, out.shape, generator=generator).float()
    (out * torch.randn(out.shape, generator=generator) * scale).sum().backward()


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_rows_touched_every_step_move_as_in_dense_adam(l2):
    lazy = table()
    dense = copy.deepcopy(lazy)
    dense.sparse = False
    optimizer = RowAdam({"t": lazy}, 0.01, TouchedRowsL2(l2))
    reference = torch.optim.Adam(dense.parameters(), lr=0.01, weight_decay=l2)
    for step in range(50):
        for embedding in (lazy, dense):
            backward(embedding, [0, 1, 2, 3, 4, 5, 2, 2], step)
        optimizer.step()
        reference.step()
        reference.zero_grad()
    torch.testing.assert_close(lazy.weight, dense.weight, rtol=1e-5, atol=1e-6)


def test_a_row_that_is_touched_now_and_then_moves_as_if_alone():
    # Each row's own sequence of gradients in dense Adam, without the steps that missed it.
    touched = [[0, 1], [1], [1, 2], [0], [1, 2, 2], [2]]
    lazy = table(n_rows=3)
    alone = [nn.Parameter(lazy.weight[row].detach().clone()) for row in range(3)]
    references = [torch.optim.Adam([weight], lr=0.1, weight_decay=0.01) for weight in alone]
    optimizer = RowAdam({"t": lazy}, 0.1, TouchedRowsL2(0.01))
    for step, rows in enumerate(touched):
        backward(lazy, rows, step)
        gradient = lazy.weight.grad.to_dense()
        for row in set(rows):
            alone[row].grad = gradient[row].clone()
            references[row].step()
        optimizer.step()
    torch.testing.assert_close(lazy.weight.detach(), torch.stack([each.detach() for each in alone]))


def test_untouched_rows_and_their_moments_stay_bit_for_bit():
    lazy = table()
    before = lazy.weight.detach().clone()
    optimizer = RowAdam({"t": lazy}, 0.1, TouchedRowsL2(0.5))
    for step in range(3):
        backward(lazy, [1, 4], step)
        optimizer.step()
    untouched = [0, 2, 3, 5]
    assert torch.equal(lazy.weight[untouched], before[untouched])
    assert not torch.equal(lazy.weight[[1, 4]], before[[1, 4]])
    assert optimizer.state["t"]["n_updates"].tolist() == [0, 3, 0, 0, 3, 0]
    assert optimizer.state["t"]["exp_avg_sq"][untouched].abs().sum() == 0


def test_the_first_step_of_a_late_row_is_one_step_size():
    lazy = table()
    optimizer = RowAdam({"t": lazy}, 0.1)
    for step in range(100):
        backward(lazy, [1], step)
        optimizer.step()
    before = lazy.weight[2].detach().clone()
    backward(lazy, [2], 7)
    optimizer.step()
    torch.testing.assert_close((lazy.weight[2] - before).abs(), torch.full((3,), 0.1))


def test_the_padding_row_never_moves():
    lazy = nn.Embedding(4, 2, padding_idx=0, sparse=True)
    optimizer = RowAdam({"t": lazy}, 0.1, TouchedRowsL2(1.0))
    backward(lazy, [0, 1, 0], 0)
    optimizer.step()
    assert lazy.weight[0].tolist() == [0.0, 0.0]


def test_a_table_without_gradient_is_left_alone():
    lazy = table()
    RowAdam({"t": lazy}, 0.1, TouchedRowsL2(1.0)).step()
    assert torch.equal(lazy.weight, table().weight)


def test_observers_see_weights_before_and_after():
    seen = []
    lazy = table()
    before = lazy.weight[[1, 3]].detach().clone()
    optimizer = RowAdam({"t": lazy}, 0.1, on_update=lambda *update: seen.append(update))
    backward(lazy, [3, 1, 3], 0)
    optimizer.step()
    ((name, rows, old, new),) = seen
    assert (name, rows.tolist()) == ("t", [1, 3])
    assert torch.equal(old, before)
    assert torch.equal(new, lazy.weight[[1, 3]].detach())


def test_dense_weights_decay_coupled():
    # One step of Adam is one step size in the gradient's direction; 0.5 * 2 outweighs -0.9.
    weight = nn.Parameter(torch.tensor([2.0]))
    weight.grad = torch.tensor([-0.9])
    dense_adam([weight], 0.1, 0.5).step()
    assert weight.item() == pytest.approx(1.9, abs=1e-5)
