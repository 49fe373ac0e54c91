"""The perceptron is its layers, one after the other."""

from __future__ import annotations

import pytest
import torch

from din_core.network.layers.dice import Dice
from din_core.network.layers.mlp import MLP


def test_golden_number_by_hand():
    mlp = MLP(2, dims=(2,), activation="relu")
    with torch.no_grad():
        mlp.layers[0].weight.copy_(torch.tensor([[1.0, 2.0], [-1.0, 0.0]]))
        mlp.layers[0].bias.copy_(torch.tensor([0.5, 0.0]))
        mlp.output.weight.copy_(torch.tensor([[2.0, 10.0]]))
        mlp.output.bias.fill_(-1.0)
    # [1, 3]: hidden relu(1 + 6 + 0.5) = 7.5 and relu(-1) = 0, so 2 * 7.5 - 1.
    # [-2, 0]: hidden relu(-2 + 0.5) = 0 and relu(2) = 2, so 10 * 2 - 1.
    out = mlp(torch.tensor([[1.0, 3.0], [-2.0, 0.0]]))
    assert torch.equal(out, torch.tensor([14.0, 19.0]))


def test_from_first_layer_takes_up_where_the_first_layer_ends():
    torch.manual_seed(0)
    mlp = MLP(3, dims=(5, 4), activation="prelu")
    x = torch.randn(6, 3)
    assert torch.equal(mlp.from_first_layer(mlp.first_layer(x)), mlp(x))


def test_no_hidden_layer_is_a_linear_model():
    torch.manual_seed(0)
    mlp = MLP(3)
    x = torch.randn(4, 3)
    assert torch.equal(mlp(x), (x @ mlp.output.weight.T + mlp.output.bias).squeeze(1))


def test_dice_is_the_default_in_every_hidden_layer():
    assert [type(layer) for layer in MLP(3, dims=(5, 4)).activations] == [Dice, Dice]


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    mlp = MLP(3, dims=(50,), activation="relu", dropout=0.5)
    x = torch.randn(4, 3)
    assert not torch.equal(mlp(x), mlp(x))
    mlp.eval()
    assert torch.equal(mlp(x), mlp(x))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"dims": (4, 0)}, r"widths must be 1 or more, got \[3, 4, 0\]"),
        ({"dropout": 1.0}, r"dropout 1.0 is not in \[0, 1\)"),
        ({"dims": (4,), "activation": "tanh"}, "activation 'tanh' is none of"),
    ],
)
def test_impossible_options_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        MLP(3, **options)
