"""Numbers in the network: measured by the training samples, and defined where they are missing."""

import math

import pytest
import torch

from din_core.config import BaseModelConfig, DINConfig, PNNConfig
from din_core.network.features import DenseFeature, Normalization
from din_core.network.layers.dense import DenseInputs
from din_core.network.models import build_model
from din_core.network.vocabulary import Vocabulary
from din_core.serving.graphs import index_graph, parity
from din_core.serving.graphs.tracing import ExportError

MEASURED = Normalization(mean=10.0, std=4.0, has_missing=True)
NOT_THERE = [math.nan, math.inf, -math.inf]


def taken(feature, values):
    return DenseInputs([feature])(feature, torch.tensor(values)).tolist()


def test_a_number_is_measured_by_mean_and_deviation():
    feature = DenseFeature("price", normalization=MEASURED)
    assert taken(feature, [10.0, 18.0, 9.0]) == [[0.0, 0.0], [2.0, 0.0], [-0.25, 0.0]]


@pytest.mark.parametrize("value", NOT_THERE)
def test_a_missing_number_is_the_mean_and_says_so(value):
    feature = DenseFeature("price", normalization=MEASURED)
    assert taken(feature, [value, 14.0]) == [[0.0, 1.0], [1.0, 0.0]]


@pytest.mark.parametrize("value", NOT_THERE)
def test_what_training_never_lacked_is_the_mean_and_nothing_else(value):
    feature = DenseFeature("price", normalization=Normalization(mean=10.0, std=4.0))
    assert taken(feature, [value]) == [[0.0, 0.0]]


def test_a_number_too_far_from_the_mean_for_32_bits_counts_as_missing():
    feature = DenseFeature("price", normalization=Normalization(std=1e-30, has_missing=True))
    assert taken(feature, [3e38, 0.0]) == [[0.0, 1.0], [0.0, 0.0]]


def test_numbers_without_a_normalization_enter_as_they_are():
    assert taken(DenseFeature("vector", 2), [[3.0, -7.0]]) == [[3.0, -7.0]]


@pytest.mark.parametrize(
    "arguments",
    [{"mean": math.nan}, {"mean": math.inf}, {"std": 0.0}, {"std": -1.0}, {"std": math.inf}],
)
def test_a_normalization_that_gives_no_number_is_refused(arguments):
    with pytest.raises(ValueError, match=r"numbers that are all equal have std=1"):
        Normalization(**arguments)


def test_a_vector_is_not_normalized_as_one_number():
    with pytest.raises(ValueError, match="'vector': a normalization is for one number"):
        DenseFeature("vector", 3, normalization=MEASURED)


def vocabulary(**numbers):
    return Vocabulary(n_users=3, n_items=5, item_attributes={"cate_idx": 2}, **numbers)


NUMBERS = {
    "item_dense": {"price": MEASURED},
    "user_dense": {"a.b": Normalization(mean=40.0, std=10.0)},
    "context_dense": {"target_hour": Normalization(mean=12.0, has_missing=True)},
}


DIN = DINConfig(embed_dim=4, mlp_dims=(8,), attention_dims=(8,))
EVERY_MODEL = pytest.mark.parametrize(
    "config",
    [
        DIN,
        BaseModelConfig(embed_dim=4, mlp_dims=(8,)),
        PNNConfig(embed_dim=4, mlp_dims=(8,), product_layer="inner"),
    ],
    ids=lambda config: config.model,
)


def small_model(config=DIN, **numbers):
    torch.manual_seed(1)
    return build_model(config, vocabulary(**numbers)).eval()


def test_the_description_of_numbers_survives_json():
    assert Vocabulary.from_dict(vocabulary(**NUMBERS).to_dict()) == vocabulary(**NUMBERS)
    assert "item_dense" not in vocabulary().to_dict()


def test_inputs_are_named_by_the_role_of_their_column():
    names = [feature.name for feature in small_model(**NUMBERS).input_features]
    assert names == [
        "target_item_idx",
        "target_cate_idx",
        "target_price",
        "user_idx",
        "a.b",
        "target_hour",
        "hist_item_idx",
        "hist_cate_idx",
    ]


def test_what_numbers_are_measured_by_is_kept_with_the_weights():
    state = small_model(**NUMBERS).state_dict()
    kept = {name: value.item() for name, value in state.items() if name.startswith("dense.")}
    assert kept == {
        "dense.target_price_number.mean": 10.0,
        "dense.target_price_number.std": 4.0,
        "dense.target_price_number.has_missing": 1.0,
        "dense.a%2Eb_number.mean": 40.0,
        "dense.a%2Eb_number.std": 10.0,
        "dense.a%2Eb_number.has_missing": 0.0,
        "dense.target_hour_number.mean": 12.0,
        "dense.target_hour_number.std": 1.0,
        "dense.target_hour_number.has_missing": 1.0,
    }


@EVERY_MODEL
def test_a_missing_number_is_not_the_mean_where_training_lacked_some(config):
    model = small_model(config, **NUMBERS)
    ids = {
        feature.name: torch.ones((3, 2) if feature.name.startswith("hist_") else 3).long()
        for feature in model.embedding.features
    }
    mean, missing = 10.0, math.nan
    numbers = {"target_price": [mean, missing, mean], "a.b": [40.0, 40.0, missing]}
    inputs = {name: torch.tensor(values) for name, values in numbers.items()}
    scores = model({**ids, **inputs, "target_hour": torch.zeros(3)}).tolist()
    at_mean, without_price, without_ab = scores
    assert abs(at_mean - without_price) > 1e-3  # some training samples lacked it
    assert at_mean == pytest.approx(without_ab, abs=1e-6)  # none lacked that


@EVERY_MODEL
def test_the_exported_graph_takes_raw_numbers_and_missing_ones(tmp_path, config):
    model = small_model(config, **NUMBERS)
    path = index_graph.export_onnx(model, tmp_path / "din.onnx")
    assert parity.require_parity(model, path) < 1e-6
    values = [*NOT_THERE, 10.0, 1e4, -3e38]
    inputs = {
        feature.name: torch.ones(
            (len(values), 2) if feature.name.startswith("hist_") else len(values)
        ).long()
        for feature in model.embedding.features
    }
    for name in ("target_price", "a.b", "target_hour"):
        inputs[name] = torch.tensor(values)
    assert parity.difference_on(model, path, inputs) < 1e-6


def test_parity_looks_at_missing_numbers(tmp_path):
    # The exported graph alone does not tell a missing price from the mean.
    model = small_model(**NUMBERS)
    scaled = small_model(**{**NUMBERS, "item_dense": {"price": Normalization(mean=10.0, std=4.0)}})
    scaled.load_state_dict(
        {
            name: torch.zeros_like(value) if name.endswith("price_number.has_missing") else value
            for name, value in model.state_dict().items()
        }
    )
    path = index_graph.export_onnx(scaled, tmp_path / "din.onnx")
    with pytest.raises(ExportError, match="differs from PyTorch's"):
        parity.require_parity(model, path)
