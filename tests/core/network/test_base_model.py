"""BaseModel: the history added up, then an MLP."""

from __future__ import annotations

import torch

from din_core.config import BaseModelConfig
from din_core.network.features import DenseFeature, SequenceFeature, SparseFeature
from din_core.network.models import BaseModel, ModelInputs

ITEM = SparseFeature("item", 4, 1)
HISTORY = SequenceFeature("hist", 4, 1, "concat", shared_with="item")


def test_golden_forward_by_hand():
    config = BaseModelConfig(mlp_dims=(2,), activation="relu")
    model = BaseModel(config, ModelInputs([DenseFeature("price")], [HISTORY], [ITEM])).eval()
    with torch.no_grad():
        model.embedding.table(ITEM).weight.copy_(torch.tensor([[0.0], [1.0], [2.0], [-4.0]]))
        # Columns: history sum, item, price.
        model.mlp.layers[0].weight.copy_(torch.tensor([[-1.0, 1.0, 0.5], [0.0, 3.0, -2.0]]))
        model.mlp.layers[0].bias.copy_(torch.tensor([0.0, 1.0]))
        model.mlp.output.weight.copy_(torch.tensor([[0.1, 0.2]]))
        model.mlp.output.bias.fill_(-0.5)
    x = {
        "item": torch.tensor([2, 2]),
        "hist": torch.tensor([[1, 3], [0, 0]]),
        "price": torch.tensor([1.0, 6.0]),
    }
    # First: sum 1 - 4 = -3, item 2, price 1. Hidden: relu(3 + 2 + 0.5) = 5.5, relu(6 - 2 + 1) = 5.
    # Logit: 0.55 + 1 - 0.5 = 1.05.
    # Second: sum 0, item 2, price 6. Hidden: relu(2 + 3) = 5, relu(6 - 12 + 1) = 0. Logit: 0.
    torch.testing.assert_close(model.logits(model.as_batch(x)), torch.tensor([1.05, 0.0]))
