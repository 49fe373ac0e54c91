"""Dice is the published formula, forward and backward, and calm at the edges."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from din_core.network.layers.dice import Dice, activation_layer, synchronize_statistics
from tests import forks


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def published(s, alpha, eps=1e-8):
    """Equation 3 of arXiv 1706.06978, word by word."""
    mean = s.mean(0)
    var = ((s - mean) ** 2).mean(0)
    p = torch.sigmoid((s - mean) / torch.sqrt(var + eps))
    return p * s + (1 - p) * alpha * s


def test_golden_numbers_by_hand():
    # Channel 0: values 1 and 3, mean 2, biased variance 1, normalised -1 and 1.
    # Channel 1: values 0 and 8, mean 4, biased variance 16, normalised -1 and 1.
    dice = Dice(2)
    with torch.no_grad():
        dice.alpha.copy_(torch.tensor([0.0, 0.5]))
    low, high = sigmoid(-1), sigmoid(1)
    expected = [
        [low * 1, 0.0],
        [high * 3, high * 8 + (1 - high) * 0.5 * 8],
    ]
    out = dice(torch.tensor([[1.0, 0.0], [3.0, 8.0]]))
    torch.testing.assert_close(out, torch.tensor(expected), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e3])
def test_equals_the_published_formula_forward_and_backward(scale):
    torch.manual_seed(0)
    s = (torch.randn(50, 6) * scale + 0.1).requires_grad_()
    weight = torch.randn(50, 6)
    dice = Dice(6)
    nn.init.uniform_(dice.alpha, -1, 1)
    ours = dice(s)
    theirs = published(s.double(), dice.alpha.double())
    # Where the mean is a thousand times the deviation, float32 leaves p about four digits.
    torch.testing.assert_close(ours, theirs.float(), rtol=0, atol=5e-5 * s.abs().max().item())
    ours_grads = torch.autograd.grad((ours * weight).sum(), [s, dice.alpha])
    theirs_grads = torch.autograd.grad((theirs * weight).sum(), [s, dice.alpha])
    for mine, reference in zip(ours_grads, theirs_grads, strict=True):
        torch.testing.assert_close(
            mine, reference, rtol=2e-3, atol=2e-3 * reference.abs().max().item()
        )


def test_gradient_flows_through_the_statistics():
    dice = Dice(3).double()
    nn.init.uniform_(dice.alpha, -1, 1)
    torch.manual_seed(0)
    s = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    alpha = dice.alpha.detach().clone().requires_grad_()

    def run(s, alpha):
        return torch.func.functional_call(dice, {"alpha": alpha}, (s,))

    assert torch.autograd.gradcheck(run, (s, alpha))


def test_alpha_starts_at_zero_one_per_channel():
    dice = Dice(4)
    assert torch.equal(dice.alpha, torch.zeros(4))
    assert dice.eps == 1e-8


def test_each_channel_has_its_own_statistics():
    torch.manual_seed(0)
    s = torch.randn(9, 2)
    together, alone = Dice(2)(s), Dice(1)(s[:, :1])
    torch.testing.assert_close(together[:, :1], alone)


def test_first_batches_are_averaged_and_later_ones_decay():
    dice = Dice(1, momentum=0.25)
    batches = [torch.tensor([[0.0], [2.0 * mean]]) for mean in (1.0, 2.0, 3.0, 4.0, 5.0)]
    for batch in batches[:4]:
        dice(batch)
    assert dice.running_mean.item() == pytest.approx(2.5)  # (1 + 2 + 3 + 4) / 4
    assert dice.running_var.item() == pytest.approx(7.5)  # (1 + 4 + 9 + 16) / 4, biased
    dice(batches[4])
    assert dice.running_mean.item() == pytest.approx(2.5 + 0.25 * (5 - 2.5))
    assert dice.n_updates.item() == 5


def test_tiny_variances_reach_the_running_statistics():
    # Fresh embeddings of 1e-4 make pre-activations vary by about 1e-5.
    torch.manual_seed(0)
    s = torch.randn(2000, 1, dtype=torch.float32) * 1e-5 + 0.2
    dice = Dice(1)
    dice(s)
    assert dice.running_var.item() == pytest.approx(1e-10, rel=0.2)


def test_evaluation_uses_running_statistics_and_no_neighbours():
    dice = Dice(2)
    dice(torch.tensor([[1.0, 0.0], [3.0, 8.0]]))
    dice.eval()
    # Mean 2 and variance 1 in channel 0, mean 4 and variance 16 in channel 1.
    expected = torch.tensor([[5 * sigmoid(3), 4 * sigmoid(0)]])
    torch.testing.assert_close(dice(torch.tensor([[5.0, 4.0]])), expected)
    both = dice(torch.tensor([[5.0, 4.0], [-100.0, 100.0]]))
    torch.testing.assert_close(both[:1], expected)
    assert dice.n_updates.item() == 1


def test_one_row_is_halved_and_leaves_the_running_statistics():
    dice = Dice(2)
    s = torch.tensor([[4.0, -6.0]], requires_grad=True)
    out = dice(s)
    assert torch.equal(out, torch.tensor([[2.0, -3.0]]))
    out.sum().backward()
    assert torch.isfinite(s.grad).all()
    assert torch.isfinite(dice.alpha.grad).all()
    assert torch.equal(dice.running_var, torch.ones(2))
    assert dice.n_updates.item() == 0


def test_no_rows_give_no_rows_and_zero_gradients():
    dice = Dice(2)
    s = torch.zeros(0, 2, requires_grad=True)
    out = dice(s)
    out.sum().backward()
    assert out.shape == (0, 2)
    assert torch.equal(dice.alpha.grad, torch.zeros(2))
    assert torch.equal(dice.running_mean, torch.zeros(2))


def test_a_constant_channel_is_finite_forward_and_backward():
    dice = Dice(1)
    s = torch.full((5, 1), 0.3, requires_grad=True)
    out = dice(s)
    out.sum().backward()
    torch.testing.assert_close(out, torch.full((5, 1), 0.15))
    assert torch.isfinite(s.grad).all()


def test_bfloat16_keeps_statistics_in_float32_and_stays_bounded():
    torch.manual_seed(0)
    dice = Dice(3)
    s = (torch.randn(500, 3) * 1e-5 + 0.2).to(torch.bfloat16).requires_grad_()
    out = dice(s)
    out.float().sum().backward()
    assert out.dtype == torch.bfloat16
    assert dice.running_mean.dtype == torch.float32
    assert torch.isfinite(s.grad).all()
    assert out.abs().max() <= 0.21
    wide = torch.randn(500, 3)
    ours, reference = Dice(3)(wide.to(torch.bfloat16)), Dice(3)(wide)
    torch.testing.assert_close(ours.float(), reference, rtol=0.03, atol=0.03)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("prelu", [[-0.5, 1.0]]),
        ("relu", [[0.0, 1.0]]),
        ("sigmoid", [[sigmoid(-2), sigmoid(1)]]),
    ],
)
def test_other_activations_by_name(name, expected):
    out = activation_layer(name, 2)(torch.tensor([[-2.0, 1.0]]))
    torch.testing.assert_close(out, torch.tensor(expected))


def test_prelu_learns_one_slope_per_channel():
    assert activation_layer("prelu", 3).weight.shape == (3,)


def test_unknown_activation_is_refused():
    with pytest.raises(ValueError, match="activation 'gelu' is none of"):
        activation_layer("gelu", 3)


def _two_halves(rank: int, folder: str) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
    )
    s, weight = torch.load(f"{folder}/inputs.pt")
    # Halves of different size, as the last batch of an epoch may have.
    rows = slice(0, 3) if rank == 0 else slice(3, 8)
    dice = Dice(2)
    nn.init.constant_(dice.alpha, 0.3)
    synchronize_statistics(dice)
    part = s[rows].clone().requires_grad_()
    out = dice(part)
    (out * weight[rows]).sum().backward()
    result = (out.detach(), part.grad, dice.running_mean, dice.running_var)
    torch.save(result, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_equal_one_on_the_whole_batch(tmp_path):
    torch.manual_seed(0)
    s, weight = torch.randn(8, 2), torch.randn(8, 2)
    torch.save((s, weight), tmp_path / "inputs.pt")
    forks.context()
    torch.multiprocessing.start_processes(
        _two_halves, (str(tmp_path),), nprocs=2, start_method="forkserver"
    )
    parts = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]

    dice = Dice(2)
    nn.init.constant_(dice.alpha, 0.3)
    whole = s.clone().requires_grad_()
    out = dice(whole)
    (out * weight).sum().backward()

    torch.testing.assert_close(torch.cat([part[0] for part in parts]), out.detach())
    torch.testing.assert_close(torch.cat([part[1] for part in parts]), whole.grad)
    for part in parts:
        torch.testing.assert_close(part[2], dice.running_mean)
        torch.testing.assert_close(part[3], dice.running_var)
