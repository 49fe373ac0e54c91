"""The exported graph predicts what torch predicts, for every shape a server may send."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from din_core.config import DINConfig
from din_core.network.models import build_model
from din_core.network.vocabulary import Vocabulary
from din_core.serving.graphs import tracing
from din_core.serving.graphs.index_graph import export_onnx
from din_core.serving.graphs.parity import parity, require_parity
from din_core.serving.graphs.random_inputs import random_inputs
from tests import forks

VOCABULARY = Vocabulary(
    n_users=7, n_items=9, item_attributes={"cate_idx": 3}, user_attributes={"gender_idx": 2}
)


def make_model(**options):
    torch.manual_seed(0)
    config = DINConfig(mlp_dims=(6, 5), attention_dims=(5, 4), embedding_init_std=1.0, **options)
    model = build_model(config, VOCABULARY)
    random = np.random.default_rng(1)
    inputs = random_inputs(model, 20, 6, random)
    for _ in range(3):  # running statistics and slopes that are not the initial ones
        model({name: torch.from_numpy(each) for name, each in inputs.items()})
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("alpha", "position_bias")):
                parameter.uniform_(-0.5, 0.5)
    return model.eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    model = make_model()
    return model, export_onnx(model, tmp_path_factory.mktemp("onnx") / "sub" / "model.onnx")


def run(path, inputs):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["probability"], inputs)[0]


def test_graph_agrees_with_torch_for_every_batch_size_and_length(exported):
    model, path = exported
    assert parity(model, path) < 1e-6
    assert parity(model, path, shapes=[(2, 0), (3, 2), (2, 200)]) < 1e-6


def test_parity_notices_other_weights(exported):
    _, path = exported
    other = make_model()
    with torch.no_grad():
        other.mlp.output.bias += 0.1
    assert parity(other, path) > 1e-3


@pytest.mark.parametrize(
    "options",
    [
        {"use_softmax": True, "activation": "prelu"},
        {"attention": "joint", "product_inputs": True, "use_user": False},
        {"position_bias": 3},
    ],
    ids=["softmax", "joint with products", "biases of positions"],
)
def test_every_variant_agrees_with_torch(tmp_path, options):
    model = make_model(**options)
    path = export_onnx(model, tmp_path / "model.onnx")
    assert parity(model, path) < 1e-6


def test_any_column_name_can_be_exported(tmp_path):
    names = ['a"b', "a\\", "a\nb", "weight.kg", "{x}", "<i>", "→"]
    vocabulary = Vocabulary(n_users=3, n_items=4, item_attributes=dict.fromkeys(names, 2))
    model = build_model(DINConfig(mlp_dims=(3,), attention_dims=(3,)), vocabulary)
    path = export_onnx(model, tmp_path / "model.onnx")
    assert parity(model, path, shapes=[(2, 3)]) < 1e-6
    inputs = {each.name for each in onnx.load(path).graph.input}
    assert {f"hist_{name}" for name in names} <= inputs


def test_inputs_are_the_features_as_int64_and_free_in_batch_and_length(exported):
    _, path = exported
    graph = onnx.load(path).graph
    shapes = {
        each.name: [axis.dim_param for axis in each.type.tensor_type.shape.dim]
        for each in graph.input
    }
    assert shapes == {
        "target_item_idx": ["batch"],
        "target_cate_idx": ["batch"],
        "user_idx": ["batch"],
        "gender_idx": ["batch"],
        "hist_item_idx": ["batch", "length"],
        "hist_cate_idx": ["batch", "length"],
    }
    types = {each.type.tensor_type.elem_type for each in graph.input}
    assert types == {onnx.TensorProto.INT64}
    assert [each.name for each in graph.output] == ["probability"]


def test_padding_on_either_side_does_not_change_a_prediction(exported):
    _, path = exported
    single = {name: np.array([1]) for name in ("target_item_idx", "target_cate_idx", "gender_idx")}
    single["user_idx"] = np.array([2])

    def predict(items, cates):
        history = {"hist_item_idx": np.array([items]), "hist_cate_idx": np.array([cates])}
        return run(path, {**single, **history})[0]

    expected = predict([4, 5], [1, 2])
    assert predict([4, 5, 0, 0, 0], [1, 2, 0, 0, 0]) == pytest.approx(expected, abs=1e-7)
    assert predict([0, 4, 0, 5], [0, 1, 0, 2]) == pytest.approx(expected, abs=1e-7)
    assert abs(predict([4, 5, 6], [1, 2, 3]) - expected) > 1e-4


INT64 = np.iinfo(np.int64)
SIZES = {
    "target_item_idx": 9, "target_cate_idx": 3, "user_idx": 7, "gender_idx": 2, "hist_item_idx": 9,
    "hist_cate_idx": 3,
}  # fmt: skip


@pytest.mark.parametrize("name", SIZES)
def test_an_index_that_the_table_lacks_is_unknown(exported, name):
    model, path = exported
    row = {
        "target_item_idx": [2], "target_cate_idx": [1], "user_idx": [3], "gender_idx": [1],
        "hist_item_idx": [[4, 5, 6]], "hist_cate_idx": [[1, 2, 3]],
    }  # fmt: skip
    known = {each: np.array(value, dtype=np.int64) for each, value in row.items()}

    def with_index(index):
        changed = known[name].copy()
        changed.flat[0] = index
        return {**known, name: changed}

    def in_torch(inputs):
        with torch.no_grad():
            return model({each: torch.from_numpy(value) for each, value in inputs.items()})[0]

    n = SIZES[name]
    expected = run(path, with_index(0))[0]
    assert abs(run(path, with_index(n))[0] - expected) > 1e-4  # the last index is known
    for index in (-1, -n, -n - 1, n + 1, 2**40, INT64.min, INT64.max):
        assert run(path, with_index(index))[0] == expected
        assert in_torch(with_index(index)) == in_torch(with_index(0))
    assert in_torch(with_index(0)).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("padding", [-1, 10, INT64.min])
def test_a_position_that_no_table_knows_is_padding(exported, padding):
    _, path = exported
    single = {name: np.array([1]) for name in SIZES if not name.startswith("hist")}
    short = {"hist_item_idx": np.array([[4, 5]]), "hist_cate_idx": np.array([[1, 2]])}
    long = {
        "hist_item_idx": np.array([[4, padding, 5]]),
        "hist_cate_idx": np.array([[1, padding, 2]]),
    }
    expected = run(path, {**single, **short})[0]
    assert run(path, {**single, **long})[0] == pytest.approx(expected, abs=1e-7)


def test_parity_asks_for_indices_that_the_tables_lack(exported, monkeypatch):
    model, path = exported
    asked = []
    as_batch = model.as_batch

    def remember(inputs):
        asked.extend(int(each) for each in inputs["target_item_idx"])
        return as_batch(inputs)

    monkeypatch.setattr(model, "as_batch", remember)
    parity(model, path, shapes=[(512, 1)])
    assert {-1, 10, INT64.min, INT64.max} <= set(asked)
    assert np.mean([0 <= each <= 9 for each in asked]) > 0.8


def test_a_graph_that_predicts_otherwise_is_refused(exported):
    model, path = exported
    assert require_parity(model, path) < 1e-6
    other = make_model()
    with torch.no_grad():
        other.mlp.output.bias += 0.001
    with pytest.raises(
        tracing.ExportError, match=r"differs from PyTorch's by 0\.000\d+, and 1e-05"
    ):
        require_parity(other, path)
    with torch.no_grad():
        other.mlp.output.bias.fill_(float("nan"))
    with pytest.raises(tracing.ExportError, match="by nan"):
        require_parity(other, path)


def test_file_carries_no_path_and_no_trace(exported):
    _, path = exported
    content = path.read_bytes()
    assert str(Path(tracing.__file__).parent).encode() not in content
    assert b".py" not in content
    assert [each.name for each in path.parent.iterdir()] == ["model.onnx"]


def _kernel(*arguments):
    raise AssertionError("the exported graph is the plain formula")


@pytest.fixture(scope="module")
def exported_again(tmp_path_factory):
    """The same weights in another object, in the middle of training, to another file."""
    model = make_model().train()
    model.units[0].kernel = _kernel
    before = {name: value.clone() for name, value in model.state_dict().items()}
    path = export_onnx(model, tmp_path_factory.mktemp("again") / "another_name.onnx")
    return model, before, path


def test_same_weights_give_the_same_bytes(exported, exported_again):
    assert exported_again[2].read_bytes() == exported[1].read_bytes()


def test_export_leaves_the_model_as_it_was(exported_again):
    model, before, _ = exported_again
    assert model.training
    assert model.units[0].kernel is _kernel
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_weights_beyond_the_format_are_refused_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(tracing, "LARGEST_FILE", 100)
    with pytest.raises(tracing.ExportError, match="ONNX file holds 2 GiB; train with"):
        export_onnx(make_model(), tmp_path / "model.onnx")


WITHOUT_A_COMPILER = """
import pathlib, sys
assert "onnxscript" not in sys.modules
sys.modules["onnxscript"] = None  # as where it is not installed
from din_core.config import DINConfig, TrainingConfig
from din_core.serving.graphs.index_graph import export_onnx
from din_core.training.loop import train
from tests.core.training_logs import planted_log

network = DINConfig(embed_dim=4, mlp_dims=(8,), attention_dims=(4,))
trained = train(network, TrainingConfig(n_epoch=1, fused=False), planted_log(n_users=40))
export_onnx(trained.model, pathlib.Path(file))
pipe.send([name for name in ("torch._dynamo", "torch._inductor") if name in sys.modules])
"""


def test_training_and_export_load_no_compiler(tmp_path):
    # Importing it takes longer than all steps on a small log. What a fork begins with, the modules
    # of training and export among it, would have loaded it as well.
    assert forks.answer(WITHOUT_A_COMPILER, file=str(tmp_path / "din.onnx")) == []
