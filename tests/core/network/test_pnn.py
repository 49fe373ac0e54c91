"""PNN: embeddings and their products, then an MLP."""

from __future__ import annotations

import pytest
import torch

from din_core.config import PNNConfig
from din_core.network.features import DenseFeature, SequenceFeature, SparseFeature
from din_core.network.models import PNN, ModelInputs

ITEM = SparseFeature("item", 4, 2)
HISTORY = SequenceFeature("hist", 4, 2, "concat", shared_with="item")
USER = SparseFeature("user", 2, 2)
PRICE = DenseFeature("price")
INPUTS = ModelInputs([PRICE, USER], [HISTORY], [ITEM])


def golden(product_layer):
    """A linear model whose MLP input is remembered, on two samples."""
    model = PNN(PNNConfig(mlp_dims=(), product_layer=product_layer), INPUTS).eval()
    seen = []
    model.mlp.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    with torch.no_grad():
        model.embedding.table(ITEM).weight.copy_(
            torch.tensor([[0.0, 0.0], [1.0, 2.0], [3.0, -1.0], [0.5, 4.0]])
        )
        model.embedding.table(USER).weight.copy_(torch.tensor([[0.0, 0.0], [-2.0, 1.0]]))
        model.mlp.output.weight.fill_(0.1)
        model.mlp.output.bias.fill_(-1.0)
    x = {
        "item": torch.tensor([2, 3]),
        "user": torch.tensor([1, 0]),
        "price": torch.tensor([7.0, 0.0]),
        "hist": torch.tensor([[1, 3], [0, 0]]),
    }
    with torch.no_grad():
        return model.logits(model.as_batch(x)), seen[0]


def test_inner_products_by_hand():
    # First sample: sum (1.5, 6), item (3, -1), price 7, user (-2, 1).
    # sum.item = 4.5 - 6 = -1.5; sum.user = -3 + 6 = 3; item.user = -6 - 1 = -7.
    # Second: sum (0, 0), item (0.5, 4), price 0, user unknown: every product is 0.
    expected = torch.tensor(
        [
            [1.5, 6.0, 3.0, -1.0, 7.0, -2.0, 1.0, -1.5, 3.0, -7.0],
            [0.0, 0.0, 0.5, 4.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        ]
    )
    logits, seen = golden("inner")
    torch.testing.assert_close(seen, expected)
    # 0.1 * 10.0 - 1 and 0.1 * 4.5 - 1.
    torch.testing.assert_close(logits, torch.tensor([0.0, -0.55]))


def test_elementwise_products_by_hand():
    # sum x item = (1.5 * 3, 6 * -1).
    expected = torch.tensor(
        [
            [1.5, 6.0, 3.0, -1.0, 7.0, -2.0, 1.0, 4.5, -6.0],
            [0.0, 0.0, 0.5, 4.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        ]
    )
    _, seen = golden("elementwise")
    torch.testing.assert_close(seen, expected)


def test_inner_products_of_different_widths_are_refused():
    wide = SparseFeature("user", 2, 3)
    inputs = ModelInputs([wide], [HISTORY], [ITEM])
    with pytest.raises(ValueError, match="features 'item' and 'user' are 2 and 3 wide"):
        PNN(PNNConfig(mlp_dims=(2,)), inputs)
    PNN(PNNConfig(mlp_dims=(2,), product_layer="elementwise"), inputs)


def test_what_follows_from_the_features_is_not_saved_with_the_weights():
    model = PNN(PNNConfig(mlp_dims=()), INPUTS)
    assert set(model.state_dict()) == {
        "embedding.item_table.weight",
        "embedding.user_table.weight",
        "mlp.output.weight",
        "mlp.output.bias",
    }
