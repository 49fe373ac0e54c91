"""Activations folded into the layers around them give what the layers themselves give."""

from __future__ import annotations

import pytest
import torch

from din_core.network.layers.attention import ActivationUnit
from din_core.network.layers.folded import gate_of
from din_core.network.layers.mlp import MLP, folded_layers


def make_mlp(activation, dims=(5, 4)):
    torch.manual_seed(0)
    mlp = MLP(3, dims, activation).eval().double()
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
@pytest.mark.parametrize("dims", [(5,), (5, 4), (5, 4, 3)])
def test_folded_layers_give_what_the_layers_give(activation, n_times, dims):
    mlp = make_mlp(activation, dims)
    rows = torch.randn(6, n_times, 3, dtype=torch.float64)
    with torch.no_grad():
        gate = gate_of(mlp.activations[0])
        layer = gate.layer_before(mlp.first_layer.weight, mlp.first_layer.bias)
        u = torch.nn.functional.linear(rows, *layer)
        folded = mlp.from_folded_layer(gate, u.flatten(1), n_times)
        expected = mlp(rows.flatten(0, 1)).unsqueeze(0)
    # An alpha of 1 is taken for 1 - 1e-7.
    torch.testing.assert_close(folded, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("activation", ["dice", "relu"])
@pytest.mark.parametrize("dims", [(), (5,), (5, 4)])
def test_layers_are_folded_for_a_while(activation, dims):
    model = torch.nn.ModuleDict({"mlp": make_mlp(activation, dims)})
    rows = torch.randn(6, 3, dtype=torch.float64)
    with torch.no_grad():
        expected = model["mlp"](rows)
        with folded_layers(model):
            folded = model["mlp"](rows)
        assert torch.equal(model["mlp"](rows), expected)
    torch.testing.assert_close(folded, expected, rtol=0, atol=1e-5)
    if activation == "dice" and dims:
        assert not torch.equal(folded, expected)  # another order of the same operations


@pytest.mark.parametrize("activation", ["dice", "prelu", "relu"])
@pytest.mark.parametrize("length", [0, 1, 4])
@pytest.mark.parametrize("width", [3, 17], ids=["narrow", "wide"])
def test_scores_of_a_shared_history_are_those_of_the_paper_s_formula(activation, length, width):
    torch.manual_seed(1)
    unit = ActivationUnit(width, (5, 4), activation).eval()
    target, history = torch.randn(2, width), torch.randn(length, width)
    with torch.no_grad():
        shared = unit.shared_scores(target, history)
        rows = torch.arange(2).repeat_interleave(length)
        expected = unit.scores_by_concatenation(target, history.repeat(2, 1), rows)
    torch.testing.assert_close(shared, expected.view(2, length), rtol=0, atol=1e-5)
