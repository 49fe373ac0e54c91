"""Every model keeps the invariants, is trained, saved, exported and drawn: a new one, too."""

from __future__ import annotations

import dataclasses
from typing import Literal

import onnx
import pytest
import torch
from torch import nn

from din_core import metrics
from din_core.config import (
    MODEL_CONFIGS,
    BaseModelConfig,
    DINConfig,
    ModelConfig,
    PNNConfig,
    TrainingConfig,
    model_config,
)
from din_core.config.options import config_class, option
from din_core.network import models
from din_core.network.models import ClickModel, build_model
from din_core.network.tensor_hash import tensors_hash
from din_core.network.vocabulary import Vocabulary
from din_core.serving import pictures
from din_core.serving.architecture.overview import overview_source
from din_core.serving.graphs import index_graph, parity
from din_core.serving.saved_models import SavedModelError, load_model, save_model
from din_core.training.checkpoints import fingerprint
from din_core.training.loop import train
from din_core.training.prediction import predict
from tests.core.training_logs import planted_log

VARIANTS = {
    **{f"{name}, as it comes": config() for name, config in MODEL_CONFIGS.items()},
    "din, biases of positions": DINConfig(position_bias=3, activation="relu"),
    "din, softmax over biased weights": DINConfig(
        position_bias=2, use_softmax=True, attention="joint", product_inputs=True
    ),
    "base_model, separate histories": BaseModelConfig(history_embeddings="separate"),
    "base_model, relu, no user": BaseModelConfig(activation="relu", use_user=False),
    "pnn, elementwise": PNNConfig(product_layer="elementwise", activation="prelu"),
    "pnn, relu, no user": PNNConfig(activation="relu", use_user=False),
}
VOCABULARY = Vocabulary(
    n_users=9, n_items=20, item_attributes={"cate_idx": 5}, user_attributes={"gender_idx": 2}
)
LOOP = TrainingConfig(
    n_epoch=8,
    batch_size=64,
    learning_rate=0.02,
    weight_decay=0.0,
    embedding_l2=1e-3,
    ema_decay=0.9,
    negatives="redrawn",
    fused=False,
    num_threads=1,
    checkpoint_seconds=0,
)


def small(config):
    """The same model in a size for tests, with weights that matter from the start."""
    sizes = {"embed_dim": 4, "mlp_dims": (16, 8), "attention_dims": (8, 8)}
    known = {field.name for field in dataclasses.fields(config)}
    return dataclasses.replace(
        config, embedding_init_std=1.0, **{name: sizes[name] for name in sizes.keys() & known}
    )


def padded_inputs(length=4):
    """Four samples: full, partly padded, empty, and padded in between."""
    items = [[3, 7, 20, 1], [5, 0, 0, 0], [0, 0, 0, 0], [2, 0, 9, 0]]
    cates = [[1, 2, 5, 1], [3, 0, 0, 0], [0, 0, 0, 0], [4, 0, 1, 0]]
    padding = [0] * (length - 4)
    return {
        "target_item_idx": torch.tensor([4, 8, 20, 1]),
        "target_cate_idx": torch.tensor([2, 3, 5, 1]),
        "user_idx": torch.tensor([1, 9, 3, 0]),
        "gender_idx": torch.tensor([1, 2, 0, 1]),
        "hist_item_idx": torch.tensor([row + padding for row in items]),
        "hist_cate_idx": torch.tensor([row + padding for row in cates]),
    }


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS.keys())
def config(request):
    return small(request.param)


@pytest.fixture
def model(config):
    torch.manual_seed(0)
    model = build_model(config, VOCABULARY)
    model(padded_inputs())  # running statistics that are not the initial ones
    for name, parameter in model.named_parameters():
        if name.endswith("position_bias"):  # which begins as 0
            torch.nn.init.uniform_(parameter)
    return model.eval()


@pytest.fixture(scope="module")
def planted():
    return planted_log()


def test_every_configuration_has_a_model():
    assert set(models.BUILDERS) == set(MODEL_CONFIGS.values())


def test_padding_length_does_not_change_a_prediction(model):
    expected = model(padded_inputs())
    for length in (5, 50):
        torch.testing.assert_close(model(padded_inputs(length)), expected, rtol=0, atol=1e-6)


def test_batch_companions_do_not_change_a_prediction(model):
    inputs = padded_inputs()
    alone = [model({name: value[[b]] for name, value in inputs.items()}) for b in range(4)]
    torch.testing.assert_close(torch.cat(alone), model(inputs), rtol=0, atol=1e-6)


def test_padded_twin_agrees_with_flat_histories(model):
    for inputs in (padded_inputs(), {**padded_inputs(), "target_item_idx": torch.full((4,), 99)}):
        flat = model.logits(model.as_batch(inputs))
        torch.testing.assert_close(model.padded_logits(inputs), flat, rtol=0, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_only_empty_histories_are_finite_forward_and_backward(model, training):
    empty = dict.fromkeys(("hist_item_idx", "hist_cate_idx"), torch.zeros(4, 0, dtype=torch.int64))
    out = model.train(training)({**padded_inputs(), **empty})
    out.sum().backward()
    assert torch.isfinite(out).all()
    gradients = [each.grad for each in model.parameters() if each.grad is not None]
    assert all(torch.isfinite(each).all() for each in gradients)


def test_history_candidate_and_user_attribute_change_a_prediction(model):
    inputs = padded_inputs()
    for name in ("hist_item_idx", "target_item_idx", "gender_idx"):
        other = {**inputs, name: inputs[name].clone()}
        other[name].view(4, -1)[0, 0] = 2
        logits, others = (model.logits(model.as_batch(each)) for each in (inputs, other))
        assert (others - logits)[0].abs() > 1e-5, name


def test_loss_is_the_summed_log_loss_of_the_batch(model):
    batch = dataclasses.replace(
        model.as_batch(padded_inputs()), label=torch.tensor([1.0, 0.0, 0.0, 1.0])
    )
    p = torch.sigmoid(model.logits(batch).detach().double())
    by_hand = -(p[0].log() + (1 - p[1]).log() + (1 - p[2]).log() + p[3].log())
    assert model.loss(batch).item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_losses_of_shares_add_up(config):
    torch.manual_seed(0)
    if hasattr(config, "activation"):
        config = dataclasses.replace(config, activation="relu")  # statistics are of a whole batch
    model = build_model(config, VOCABULARY)
    labels = torch.tensor([1.0, 0.0, 0.0, 1.0])
    batch = dataclasses.replace(model.as_batch(padded_inputs()), label=labels)
    shares = [model.loss(share).item() for share in batch.shares(3)]
    assert sum(shares) == pytest.approx(model.loss(batch).item(), rel=1e-5)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"activation": "relu"}, True),
        ({"activation": "relu", "dropout": 0.1}, False),
        ({"activation": "dice"}, False),
    ],
)
def test_samples_are_independent_without_dice_and_dropout(options, expected):
    for config in (DINConfig(**options), BaseModelConfig(**options), PNNConfig(**options)):
        assert build_model(config, VOCABULARY).samples_are_independent is expected


def goes_all_the_way(config, data, folder):
    """Train, predict, save, read back, export and draw; return the trained result."""
    result = train(config, LOOP, data)
    scores = predict(result.model, data, "test")
    # A user's own category against the other one or a leftover of the own: about 0.9 is possible.
    assert metrics.auc(scores["label"].to_numpy(), scores["score"].to_numpy()) > 0.8

    save_model(folder, result.model, config, data.vocabulary)
    read = load_model(folder)
    assert read.config == config
    assert type(read.model) is type(result.model)
    assert predict(read.model, data, "test") == scores

    path = index_graph.export_onnx(result.model, folder / "model.onnx")
    assert parity.require_parity(result.model, path) < 1e-6
    inputs = [each.name for each in result.model.input_features]
    assert [each.name for each in onnx.load(path).graph.input] == inputs
    assert result.model.title in pictures.graph_source(result.model)
    assert result.model.title in overview_source(result.model)
    return result


# DIN goes the same way in the tests of each station: `test_training`, `test_index_graph`,
# `test_saved_models`, `test_architecture`.
@pytest.mark.parametrize(
    "config",
    [
        pytest.param(each(), id=name, marks=[pytest.mark.thorough] if name == "din" else [])
        for name, each in MODEL_CONFIGS.items()
    ],
)
def test_every_model_goes_all_the_way(config, planted, tmp_path):
    config = dataclasses.replace(small(config), embedding_init_std=0.05)
    goes_all_the_way(config, planted, tmp_path)


@pytest.mark.parametrize("config", [BaseModelConfig(), PNNConfig()], ids=lambda each: each.model)
def test_a_killed_run_of_any_model_ends_with_the_same_weights(config, tmp_path):
    data = planted_log(n_users=20)
    config = dataclasses.replace(small(config), embedding_init_std=0.05)
    loop = dataclasses.replace(LOOP, n_epoch=3, checkpoint_seconds=1e-9)
    whole = train(config, loop, data)

    class PulledPlugError(Exception):
        pass

    def pull_the_plug(report):
        if report.epoch == 2:
            raise PulledPlugError

    with pytest.raises(PulledPlugError):
        train(config, loop, data, on_epoch=pull_the_plug, checkpoint_dir=tmp_path)
    told = []
    resumed = train(
        config, loop, data, on_epoch=lambda each: told.append(each.epoch), checkpoint_dir=tmp_path
    )

    assert told == [2, 3]
    assert tensors_hash(resumed.model.state_dict()) == tensors_hash(whole.model.state_dict())


# What the recipe "A model" in CONTRIBUTING asks for: a configuration, a model, a line.


@pytest.fixture
def third():
    """The inner product of candidate and history sum; registered while a test runs."""

    @config_class
    class DotConfig(ModelConfig):
        model: Literal["dot"] = option("dot", "Which model is trained.")

    class Dot(ClickModel):
        title = "Inner product"

        def __init__(self, config, inputs):
            super().__init__(*inputs, embedding_init_std=config.embedding_init_std)
            self.slope = nn.Parameter(torch.ones(()))
            self.constant = nn.Parameter(torch.zeros(()))

        def interact(self, x):
            pairs = zip(x.histories, x.targets, strict=True)
            products = [(x.positions.sum(history) * target).sum(1) for history, target in pairs]
            return self.slope * torch.stack(products).sum(0) + self.constant

    models.BUILDERS[DotConfig] = Dot
    yield DotConfig
    del models.BUILDERS[DotConfig], MODEL_CONFIGS["dot"]


def test_a_third_model_goes_all_the_way(third, planted, tmp_path):
    config = third(embed_dim=4, embedding_init_std=0.3)
    result = goes_all_the_way(config, planted, tmp_path)
    assert set(dict(result.model.named_parameters())) - {"slope", "constant"} == {
        f"embedding.{name}_table.weight"
        for name in ("target_item_idx", "target_cate_idx", "user_idx")
    }
    assert model_config({"model": "dot", "embed_dim": 4, "embedding_init_std": 0.3}) == config


def test_a_state_of_another_model_with_the_same_options_is_not_used(third):
    first, second = (fingerprint(each(), LOOP, "log", {}) for each in (third, BaseModelConfig))
    assert first != second


def test_a_model_without_its_code_is_not_loaded(third, planted, tmp_path, monkeypatch):
    save_model(tmp_path, build_model(third(), VOCABULARY), third(), VOCABULARY)
    monkeypatch.delitem(MODEL_CONFIGS, "dot")
    with pytest.raises(SavedModelError, match="a model 'dot', and this program has din, base_"):
        load_model(tmp_path)


def test_a_configuration_without_a_model_is_refused(third, monkeypatch):
    monkeypatch.delitem(models.BUILDERS, third)
    with pytest.raises(TypeError, match="no model is built from a DotConfig; add it to"):
        build_model(third(), VOCABULARY)


def test_a_model_decides_its_loss(third, planted, monkeypatch):
    monkeypatch.setattr(models.BUILDERS[third], "loss", lambda model, x: 0 * model.logits(x).sum())
    result = train(third(embedding_init_std=0.3), dataclasses.replace(LOOP, n_epoch=1), planted)
    assert result.history[0].train_loss == 0.0
    assert result.history[0].val_logloss > 0.1
