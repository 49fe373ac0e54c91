"""Saved models come back as they were, or not at all."""

from __future__ import annotations

import hashlib
import json
import struct

import pytest
import torch
from torch import nn

from din_core.config import DINConfig
from din_core.network.features import Normalization
from din_core.network.models import build_model
from din_core.network.tensor_hash import tensors_hash
from din_core.network.vocabulary import Vocabulary
from din_core.serving.saved_models import SavedModelError, load_model, save_model

CONFIG = DINConfig(embed_dim=2, mlp_dims=(4,), attention_dims=(3,), embedding_init_std=0.5)
VOCABULARY = Vocabulary(n_users=4, n_items=5, item_attributes={"cate_idx": 2})


@pytest.fixture
def model():
    torch.manual_seed(0)
    return build_model(CONFIG, VOCABULARY)


def test_a_saved_model_predicts_the_same_when_read_back(tmp_path, model):
    inputs = {
        "target_item_idx": torch.tensor([1, 2]),
        "target_cate_idx": torch.tensor([1, 2]),
        "user_idx": torch.tensor([3, 0]),
        "hist_item_idx": torch.tensor([[4, 5], [3, 0]]),
        "hist_cate_idx": torch.tensor([[1, 2], [1, 0]]),
    }
    model.train()
    model(inputs)  # gives the running statistics values of their own
    saved = save_model(tmp_path / "new" / "folder", model, CONFIG, VOCABULARY, {"auc": 0.75})

    read = load_model(tmp_path / "new" / "folder")

    assert torch.equal(read.model(inputs), model.eval()(inputs))
    assert (read.config, read.vocabulary) == (CONFIG, VOCABULARY)
    assert read.metadata == {"auc": 0.75}
    assert read.tensors_hash == saved == tensors_hash(model.state_dict())
    assert not read.model.training


def test_columns_keep_their_order_and_the_model_its_answers(tmp_path):
    vocabulary = Vocabulary(
        n_users=4,
        n_items=5,
        item_attributes={"cate_idx": 2, "brand_idx": 2},
        item_dense={"weight": Normalization(), "price": Normalization()},
        user_attributes={"town_idx": 3, "age_idx": 3},
    )
    torch.manual_seed(0)
    model = build_model(CONFIG, vocabulary).eval()
    save_model(tmp_path, model, CONFIG, vocabulary)

    read = load_model(tmp_path)

    inputs = {
        each.name: torch.tensor([[1, 2], [2, 0]] if "hist" in each.name else [1, 2])
        for each in model.input_features
    }
    inputs |= {"target_weight": torch.tensor([1.0, 2.0]), "target_price": torch.tensor([5.0, 0.0])}
    assert list(read.vocabulary.item_attributes) == ["cate_idx", "brand_idx"]
    assert torch.equal(read.model(inputs), model(inputs))


def test_the_description_is_readable_beside_the_weights(tmp_path, model):
    saved = save_model(tmp_path, model, CONFIG, VOCABULARY)
    description = json.loads((tmp_path / "model.json").read_text())
    assert description["tensors_hash"] == saved
    assert description["vocabulary"]["n_items"] == 5
    assert description["config"]["attention_dims"] == [3]


def test_saving_leaves_no_temporary_file(tmp_path, model):
    save_model(tmp_path, model, CONFIG, VOCABULARY)
    save_model(tmp_path, model, CONFIG, VOCABULARY)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.safetensors"]


def test_reading_leaves_the_random_numbers_alone(tmp_path, model):
    save_model(tmp_path, model, CONFIG, VOCABULARY)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    load_model(tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_a_missing_model_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(SavedModelError, match=r"model\.safetensors: no such file; train a model"):
        load_model(tmp_path)


def test_a_torn_file_is_refused(tmp_path, model):
    save_model(tmp_path, model, CONFIG, VOCABULARY)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(SavedModelError, match="not a whole model file"):
        load_model(tmp_path)


def test_a_flipped_bit_is_noticed(tmp_path, model):
    save_model(tmp_path, model, CONFIG, VOCABULARY)
    path = tmp_path / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(SavedModelError, match="not those that were saved"):
        load_model(tmp_path)


def test_another_programs_safetensors_file_is_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"weight": torch.ones(2)}, tmp_path / "model.safetensors")
    with pytest.raises(SavedModelError, match="format None instead of 3"):
        load_model(tmp_path)


def test_hash_depends_on_content_alone():
    tensors = {"a": torch.arange(6.0), "b": torch.ones(2, dtype=torch.bfloat16)}
    same = {"b": torch.ones(4, dtype=torch.bfloat16)[::2], "a": nn.Parameter(torch.arange(6.0))}
    assert tensors_hash(tensors) == tensors_hash(same)


@pytest.mark.parametrize(
    "other",
    [
        {"a": torch.tensor([1.0, 2.0])},
        {"b": torch.tensor([1.0, 3.0])},
        {"a": torch.tensor([[1.0, 3.0]])},
        {"a": torch.tensor([1.0, 3.0], dtype=torch.float64)},
        {"a": torch.tensor([1.0, 3.0]), "b": torch.tensor([])},
    ],
    ids=["value", "name", "shape", "type", "further tensor"],
)
def test_hash_tells_different_tensors_apart(other):
    assert tensors_hash(other) != tensors_hash({"a": torch.tensor([1.0, 3.0])})


def test_hash_is_the_same_on_every_machine():
    tensors = {"weight": torch.tensor([[1.0, -2.0]]), "n_updates": torch.tensor(3)}
    by_hand = (
        b'["n_updates", "torch.int64", []]'
        + struct.pack("<q", 3)
        + b'["weight", "torch.float32", [1, 2]]'
        + struct.pack("<2f", 1.0, -2.0)
    )
    assert tensors_hash(tensors) == hashlib.sha256(by_hand).hexdigest()
