"""Adam for embedding rows against dense Adam over the whole table."""

import copy

import pytest
import torch
from torch import nn

from din_core.training.dense_adam import dense_adam
from din_core.training.lanes import lanes
from din_core.training.regularization import GatheredRowsL2
from din_core.training.row_adam import RowAdam


def table(n_rows=6, dim=3, seed=0, scale=1.0):
    torch.manual_seed(seed)
    embedding = nn.Embedding(n_rows, dim)
    with torch.no_grad():
        embedding.weight *= scale
    return embedding


def dense_twin(embedding, **options):
    """The same table, and torch's Adam over all of it."""
    twin = copy.deepcopy(embedding)
    return twin, torch.optim.Adam(twin.parameters(), **options)


def taken(optimizer):
    """A look-up in rows that the optimizer has taken for it."""

    def look_up(ids):
        rows, place = ids.unique(return_inverse=True)
        return optimizer.take({"t": rows})["t"][place]

    return look_up


def backward(look_up, rows, gradient_seed, scales=(-4, 2)):
    """Give the rows of one look-up random gradients of very different size."""
    generator = torch.Generator().manual_seed(gradient_seed)
    out = look_up(torch.tensor(rows))
    scale = 10 ** torch.randint(*scales, out.shape, generator=generator).float()
    (out * torch.randn(out.shape, generator=generator) * scale).sum().backward()


@pytest.mark.parametrize("options", [{}, {"l2": 0.1}, {"penalty": GatheredRowsL2(0.1)}])
def test_rows_gathered_every_step_move_as_in_dense_adam(options):
    rows = table()
    twin, reference = dense_twin(rows, lr=0.01, weight_decay=0.1 if options else 0.0)
    optimizer = RowAdam({"t": rows}, 0.01, **options)
    for step in range(50):
        for look_up in (taken(optimizer), twin):
            backward(look_up, [0, 1, 2, 3, 4, 5, 2, 2], step)
        optimizer.step()
        reference.step()
        reference.zero_grad()
    torch.testing.assert_close(rows.weight, twin.weight, rtol=1e-5, atol=1e-6)


# Between none and much lies nothing new.
@pytest.mark.parametrize("l2", [0.0, pytest.param(2e-3, marks=pytest.mark.thorough), 0.1])
def test_rows_gathered_now_and_then_stay_close_to_dense_adam(l2):
    rows = table(n_rows=200, scale=0.1)
    twin, reference = dense_twin(rows, lr=1e-3, weight_decay=l2)
    start = rows.weight.detach().clone()
    optimizer = RowAdam({"t": rows}, 1e-3, l2)
    generator = torch.Generator().manual_seed(3)
    chance = torch.linspace(0.005, 0.9, 200)  # from once in 200 steps to nearly always
    for step in range(400):
        gathered = torch.rand(200, generator=generator) < chance
        gathered[0] = True
        ids = gathered.nonzero().squeeze(1)
        for look_up in (taken(optimizer), twin):
            backward(look_up, ids.tolist(), step, scales=(-3, -1))
        optimizer.step()
        reference.step()
        reference.zero_grad()
    optimizer.catch_up_all()
    distance = (rows.weight - twin.weight).detach().norm(dim=1)
    moved = (twin.weight - start).detach().norm(dim=1)
    assert moved.min() > 1e-3
    assert (distance / moved).median() < 0.01
    assert (distance / moved).quantile(0.95) < 0.2


def test_an_idle_row_decays_as_in_dense_adam():
    # Dense Adam with weight decay takes a row from 0.05 to next to nothing in 60 steps of 1e-3.
    rows = table()
    with torch.no_grad():
        rows.weight.fill_(0.05)
    twin, reference = dense_twin(rows, lr=1e-3, weight_decay=1e-3)
    optimizer = RowAdam({"t": rows}, 1e-3, 1e-3)
    for step in range(100):
        for look_up in (taken(optimizer), twin):
            backward(look_up, [1], step)
        optimizer.step()
        reference.step()
        reference.zero_grad()
    assert rows.weight[2].tolist() == pytest.approx([0.05] * 3)
    optimizer.catch_up_all()
    assert twin.weight[2].abs().max() < 0.01
    assert rows.weight[2].abs().max() < 0.01


def test_momentum_carries_a_row_on_as_in_dense_adam():
    rows = table(scale=0.1)
    twin, reference = dense_twin(rows, lr=1e-3)
    optimizer = RowAdam({"t": rows}, 1e-3)
    for step in range(300):
        gathered = [0, 1] if step < 280 else [0]
        for look_up in (taken(optimizer), twin):
            backward(look_up, gathered, step, scales=(-1, 0))
        if step == 279:
            before = rows.weight[1].detach().clone()
        optimizer.step()
        reference.step()
        reference.zero_grad()
    optimizer.catch_up_all()
    expected = twin.weight[1] - before
    torch.testing.assert_close(rows.weight[1] - before, expected, rtol=0.02, atol=1e-6)
    torch.testing.assert_close(
        optimizer.state["t"]["moments"][1, 0],
        reference.state[twin.weight]["exp_avg"][1],
        rtol=1e-4,
        atol=1e-9,
    )


def test_a_step_does_not_visit_idle_rows():
    rows = table()
    before = rows.weight.detach().clone()
    optimizer = RowAdam({"t": rows}, 0.1, 0.5)
    for step in range(3):
        backward(taken(optimizer), [1, 4], step)
        optimizer.step()
    idle = [0, 2, 3, 5]
    assert torch.equal(rows.weight[idle], before[idle])
    assert not torch.equal(rows.weight[[1, 4]], before[[1, 4]])
    assert optimizer.state["t"]["last_step"].tolist() == [0, 3, 0, 0, 3, 0]
    assert optimizer.state["t"]["moments"][idle].abs().sum() == 0


def test_catching_up_twice_is_catching_up_once():
    rows = table()
    optimizer = RowAdam({"t": rows}, 0.1, 0.5)
    for step in range(3):
        backward(taken(optimizer), [1] if step else [1, 2], step)
        optimizer.step()
    optimizer.catch_up_all()
    once = rows.weight.detach().clone()
    moments = optimizer.state["t"]["moments"].clone()
    optimizer.catch_up_all()
    assert torch.equal(rows.weight, once)
    assert torch.equal(optimizer.state["t"]["moments"], moments)


@pytest.mark.parametrize("n_steps", [0, 1, 1_000, 1_000_000, 10_000_000])
@pytest.mark.parametrize("l2", [0.0, 10.0])
def test_a_row_that_missed_no_step_is_taken_as_it_is(n_steps, l2):
    rows = table(n_rows=64, scale=10.0)
    optimizer = RowAdam({"t": rows}, 0.1, l2)
    state = optimizer.state["t"]
    optimizer.n_steps = n_steps
    state["last_step"].fill_(n_steps)
    state["moments"].normal_()
    state["moments"][:, 1].square_()
    state["moments"][::3] = 0  # rows that no gradient has reached yet, as that of padding
    with torch.no_grad():
        rows.weight[::4] = 0
    weight, moments = rows.weight.detach().clone(), state["moments"].clone()
    assert torch.equal(optimizer.take({"t": torch.arange(64)})["t"], weight)
    optimizer.catch_up_all()
    assert torch.equal(rows.weight, weight)
    assert torch.equal(state["moments"], moments)


def test_rows_are_taken_as_they_are_now_and_the_table_changes_in_the_step():
    rows = table()
    optimizer = RowAdam({"t": rows}, 0.1, 0.5)
    backward(taken(optimizer), [1, 2], 0)
    optimizer.step()
    before = rows.weight.detach().clone()
    optimizer.n_steps = 9
    leaf = optimizer.take({"t": torch.tensor([2])})["t"]
    assert torch.equal(rows.weight, before)
    assert not torch.isclose(leaf, before[2]).any()
    again = optimizer.take({"t": torch.tensor([2])})["t"]
    assert torch.equal(leaf, again)


@pytest.mark.parametrize("l2", [0.0, 1e-3, 10.0])
def test_a_gap_of_any_length_leaves_finite_rows(l2):
    rows = table()
    optimizer = RowAdam({"t": rows}, 0.1, l2)
    backward(taken(optimizer), [0, 1, 2, 3], 0)
    optimizer.step()
    largest = rows.weight.detach().abs().max()
    optimizer.n_steps = 10_000_000
    optimizer.catch_up_all()
    assert torch.isfinite(rows.weight).all()
    assert rows.weight.abs().max() <= largest + 10  # ten coasting steps at most, of 0.1 * sqrt(n)


def test_gathered_rows_l2_pulls_gathered_rows_only():
    rows = table()
    before = rows.weight.detach().clone()
    optimizer = RowAdam({"t": rows}, 0.1, penalty=GatheredRowsL2(100.0))
    backward(taken(optimizer), [1], 0)
    optimizer.step()
    optimizer.catch_up_all()
    assert torch.equal(rows.weight[2:], before[2:])
    assert (rows.weight[1].abs() < before[1].abs()).all()


def test_the_padding_row_never_moves():
    rows = nn.Embedding(4, 2, padding_idx=0)
    optimizer = RowAdam({"t": rows}, 0.1, 1.0)
    for step in range(3):
        # Twice among the rows, as where their number does not depend on the ids.
        leaf = optimizer.take({"t": torch.tensor([0, 1, 0])})["t"]
        assert leaf[[0, 2]].tolist() == [[0.0, 0.0]] * 2
        backward(lambda place, leaf=leaf: leaf[place], [0, 1, 0], step)
        optimizer.step()
    optimizer.n_steps += 5
    optimizer.catch_up_all()
    assert rows.weight[0].tolist() == [0.0, 0.0]
    assert optimizer.state["t"]["moments"][0].tolist() == [[0.0, 0.0]] * 2


def test_a_table_without_gradient_is_left_alone():
    rows = table()
    optimizer = RowAdam({"t": rows}, 0.1, 1.0)
    optimizer.step()
    optimizer.take({"t": torch.tensor([1, 2])})  # and nothing is computed from them
    optimizer.step()
    assert torch.equal(rows.weight, table().weight)


def test_observers_are_told_before_rows_change():
    seen = []
    rows = table()
    start = rows.weight.detach().clone()
    optimizer = RowAdam(
        {"t": rows}, 0.1, before_update=lambda name, ids, w: seen.append((name, ids, w.clone()))
    )
    backward(taken(optimizer), [3, 1, 3], 0)
    optimizer.step()
    backward(taken(optimizer), [1], 1)
    optimizer.step()
    optimizer.take({"t": torch.tensor([3])})
    assert [(name, ids.tolist()) for name, ids, _ in seen] == [
        ("t", [1, 3]),
        ("t", [1]),
        ("t", [3]),
    ]
    assert torch.equal(seen[0][2], start[[1, 3]])


def test_dense_weights_decay_coupled():
    # One step of Adam is one step size in the gradient's direction; 0.5 * 2 outweighs -0.9.
    weight = nn.Parameter(torch.tensor([2.0]))
    weight.grad = torch.tensor([-0.9])
    dense_adam([weight], 0.1, 0.5).step()
    assert weight.item() == pytest.approx(1.9, abs=1e-5)


def test_rows_shared_by_lanes_move_as_they_do_in_one():
    def weights_after(n_lanes):
        torch.manual_seed(0)
        table = nn.Embedding(3000, 3, padding_idx=0)
        with lanes(n_lanes) as opened:
            optimizer = RowAdam({"t": table}, 0.01, l2=0.5, lanes=opened)
            for step in range(4):
                index = torch.arange(0, 3000, step + 1)
                rows = optimizer.take({"t": index})["t"]
                (rows * torch.cos(index + step).unsqueeze(1)).sum().backward()
                optimizer.step()
            optimizer.catch_up_all()
        return table.weight.detach()

    one, two = weights_after(1), weights_after(2)
    assert not one[0].any()
    assert not two[0].any()
    torch.testing.assert_close(two, one)


@pytest.mark.parametrize("n_lanes", [1, 2])
def test_parts_of_gradients_are_added_up_and_other_work_is_done_beside_them(n_lanes):
    index = {"long": torch.arange(1, 2500), "short": torch.tensor([2, 1])}

    def tables():
        torch.manual_seed(0)
        return {name: nn.Embedding(2500, 3, padding_idx=0) for name in index}

    def gradient(name, part):
        generator = torch.Generator().manual_seed(part)
        return torch.randn(len(index[name]), 3, generator=generator)

    expected, found = tables(), tables()
    one = RowAdam(expected, 0.01)
    for name, leaf in one.take(index).items():
        leaf.grad = gradient(name, 0) + gradient(name, 1)
    one.step()
    done = []
    with lanes(n_lanes) as opened:
        other = RowAdam(found, 0.01, lanes=opened)
        other.take(index)
        parts = {name: [gradient(name, 0), gradient(name, 1)] for name in index}
        other.step(parts, beside=lambda: done.append(torch.is_grad_enabled()))
    assert done == [False]
    for name, each in expected.items():
        assert torch.equal(found[name].weight, each.weight)


def test_dense_adam_moves_weights_as_torch_does_bit_for_bit():
    def weights():
        torch.manual_seed(3)
        return [nn.Parameter(torch.randn(shape)) for shape in ((5, 7), (11,), (2,))]

    ours, theirs = weights(), weights()
    optimizer = dense_adam(ours, 0.01, 0.1)
    reference = torch.optim.Adam(theirs, lr=0.01, weight_decay=0.1, fused=True)
    for step in range(1, 6):
        for of in (ours, theirs):
            for number, weight in enumerate(of):
                # The last weight has a gradient in every other step only, and so its own count.
                has_one = number < 2 or step % 2
                weight.grad = torch.sin(weight.detach() * step) if has_one else None
        optimizer.param_groups[0]["lr"] = reference.param_groups[0]["lr"] = 0.01 / step
        optimizer.step()
        reference.step()
    assert [int(optimizer.state[each]["step"]) for each in ours] == [5, 5, 3]
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.equal(mine, other)
        for name, value in reference.state[other].items():
            assert torch.equal(optimizer.state[mine][name], value)
    optimizer.zero_grad()
    assert all(each.grad is None for each in ours)
