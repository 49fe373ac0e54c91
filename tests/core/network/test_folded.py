"""Activations folded into the layers around them give what the layers themselves give."""

from __future__ import annotations

import pytest
import torch

from din_core.network.layers.attention import ActivationUnit
from din_core.network.layers.folded import from_first_layer, gate_of
from din_core.network.layers.mlp import MLP


def make_mlp(activation):
    torch.manual_seed(0)
    mlp = MLP(3, (5, 4), activation).eval().double()
    with torch.no_grad():
        for name, each in (*mlp.named_parameters(), *mlp.named_buffers()):
            if name.endswith("alpha"):
                # No slope, the identity, nearly the identity, and others.
                each.copy_(torch.tensor([0.0, 1.0, 1 - 1e-9, -0.7, 3.0][: len(each)]))
            elif name.endswith("running_mean"):
                each.uniform_(-2, 2)
            elif name.endswith("running_var"):
                each.copy_(torch.tensor([0.0, 1e-6, 1.0, 4.0, 100.0][: len(each)]))
    return mlp


@pytest.mark.parametrize("activation", ["dice", "prelu", "relu", "sigmoid"])
@pytest.mark.parametrize("n_times", [1, 3])
def test_folded_layers_give_what_the_layers_give(activation, n_times):
    mlp = make_mlp(activation)
    rows = torch.randn(6, n_times, 3, dtype=torch.float64)
    with torch.no_grad():
        s = mlp.first_layer(rows)
        gate = gate_of(mlp.activations[0])
        u = s if gate.before is None else s * gate.before + gate.shift
        folded = from_first_layer(mlp, gate, u.flatten(1), n_times)
        expected = mlp(rows.flatten(0, 1)).view(6, n_times)
    # An alpha of 1 is taken for 1 - 1e-7.
    torch.testing.assert_close(folded, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("activation", ["dice", "prelu", "relu"])
@pytest.mark.parametrize("length", [0, 1, 4])
def test_scores_of_a_shared_history_are_those_of_the_paper_s_formula(activation, length):
    torch.manual_seed(1)
    unit = ActivationUnit(3, (5, 4), activation).eval()
    target, history = torch.randn(2, 3), torch.randn(length, 3)
    with torch.no_grad():
        shared = unit.shared_scores(target, history)
        rows = torch.arange(2).repeat_interleave(length)
        expected = unit.scores_by_concatenation(target, history.repeat(2, 1), rows)
    torch.testing.assert_close(shared, expected.view(2, length), rtol=0, atol=1e-5)
