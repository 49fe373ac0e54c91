"""Pictures and ONNX files of a ported script, argument by argument."""

from __future__ import annotations

import logging
import shutil

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from din_core.tutorial import CTRTrainer, DenseFeature, ONNXExporter, visualize_model
from tests.core.tutorial.tutorial_logs import small_din

EXAMPLES = {
    "target_item_id": torch.tensor([1, 4, 2]),
    "hist_item_id": torch.tensor([[3, 1], [2, 0], [0, 0]], dtype=torch.int32),
}


def predicted(path, inputs):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["probability"], {name: each.numpy() for name, each in inputs.items()})[0]


def sizes(path):
    graph = onnx.load(path).graph
    return {
        each.name: [d.dim_value or d.dim_param for d in each.type.tensor_type.shape.dim]
        for each in (*graph.input, *graph.output)
    }


def test_sizes_are_free_unless_they_are_to_be_fixed_and_verbose_tells_the_log(tmp_path, caplog):
    caplog.set_level(logging.INFO, "din_core.tutorial.delivery")
    exporter = ONNXExporter(small_din())
    assert exporter.export(tmp_path / "free.onnx", None, EXAMPLES, 7, 6, 20, True)
    assert not caplog.records
    assert sizes(tmp_path / "free.onnx") == {
        "target_item_id": ["batch"],
        "hist_item_id": ["batch", "length"],
        "probability": ["batch"],
    }
    made = tmp_path / "made.onnx"
    exporter.export(made, batch_size=7, seq_length=6, dynamic_batch=False, verbose=True)
    assert "inputs ['target_item_id', 'hist_item_id'], opset 20, sizes " in caplog.text
    assert sizes(tmp_path / "made.onnx") == {
        "target_item_id": [7],
        "hist_item_id": [7, 6],
        "probability": [7],
    }


def test_a_fixed_graph_predicts_for_its_sizes_and_refuses_others(tmp_path):
    model, path = small_din(), tmp_path / "fixed.onnx"
    ONNXExporter(model).export(path, dummy_input=EXAMPLES, dynamic_batch=False)
    inputs = {name: each.long() for name, each in EXAMPLES.items()}
    expected = model.eval()(inputs).detach().numpy()
    assert np.abs(predicted(path, inputs) - expected).max() < 1e-6
    with pytest.raises(Exception, match="invalid dimensions"):
        predicted(path, {name: each[:2] for name, each in inputs.items()})


@pytest.mark.parametrize("opset", [18, pytest.param(25, marks=pytest.mark.thorough)])
def test_the_opset_is_the_one_asked_for(tmp_path, opset):
    ONNXExporter(small_din()).export(tmp_path / "model.onnx", opset_version=opset)
    assert [each.version for each in onnx.load(tmp_path / "model.onnx").opset_import] == [opset]


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"mode": "user"}, ValueError, "mode='user': a click model has no towers"),
        ({"opset_version": 14}, ValueError, "opset_version=14: only 18 to 25 are written"),
        ({"onnx_export_kwargs": {"dynamo": False}}, ValueError, r"kwargs \['dynamo'\]: how torch"),
        ({"batch_size": 0}, ValueError, "batch_size=0 must be 1 or more"),
        ({"seq_length": -1}, ValueError, "seq_length=-1 must be 0 or more"),
        ({"device": "gpu"}, ValueError, "device='gpu' is not the name of a device"),
        ({"dummy_input": {}}, KeyError, "dummy_input has no feature 'target_item_id'"),
        ({"dummy_input": torch.ones(1)}, TypeError, "dummy_input=.*inputs go by feature"),
    ],
)
def test_what_an_export_cannot_honour_is_refused_before_there_is_a_file(
    tmp_path, options, error, sentence
):
    with pytest.raises(error, match=sentence):
        ONNXExporter(small_din()).export(tmp_path / "model.onnx", **options)
    assert not list(tmp_path.iterdir())


def test_inputs_are_described():
    model = small_din(DenseFeature("price"))
    assert ONNXExporter(model).get_input_info() == {
        "mode": None,
        "input_names": ["target_item_id", "price", "hist_item_id"],
        "inputs": [
            {"name": "target_item_id", "type": "SparseFeature", "embed_dim": 2, "vocab_size": 5},
            {"name": "price", "type": "DenseFeature", "embed_dim": 1},
            {
                "name": "hist_item_id",
                "type": "SequenceFeature",
                "embed_dim": 2,
                "vocab_size": 5,
                "pooling": "concat",
            },
        ],
    }


def test_the_trainer_passes_every_argument_on(tmp_path):
    trainer = CTRTrainer(small_din())
    path = tmp_path / "model.onnx"
    trainer.export_onnx(path, EXAMPLES, 7, 6, 19, False, "cpu", True, None)
    assert sizes(path)["hist_item_id"] == [3, 2]
    assert onnx.load(path).opset_import[0].version == 19
    with pytest.raises(ValueError, match="depth=4: every operation is drawn"):
        trainer.visualization(depth=4)
    assert trainer.visualization(graph_name="mine").source.startswith("digraph mine {")


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"depth": -1}, ValueError, "depth=-1: every operation is drawn"),
        ({"show_shapes": False}, ValueError, "show_shapes=False: every operation"),
        ({"expand_nested": False}, ValueError, "expand_nested=False: every operation"),
        ({"hide_inner_tensors": True}, TypeError, "hide_inner_tensors: an option of torchview"),
        (
            {"input_data": "model.png"},
            TypeError,
            "'model.png'.*a file to draw into is named by",
        ),
        ({"input_data": {}}, KeyError, "no input for"),
        ({"device": "gpu"}, ValueError, "device='gpu' is not the name of a device"),
        ({"save_path": "model.gif"}, ValueError, r"\.png, \.svg or \.pdf, not '\.gif'"),
    ],
)
def test_what_a_picture_cannot_honour_is_refused(options, error, sentence):
    with pytest.raises(error, match=sentence):
        visualize_model(small_din(), **options)


def test_the_picture_is_that_of_the_inputs_at_hand():
    model = small_din()
    assert "units.0.mlp" in visualize_model(model).source
    assert r"probability\n (3)" in visualize_model(model, EXAMPLES).source
    assert visualize_model(model, EXAMPLES).source == visualize_model(model, batch_size=3).source
    assert visualize_model(model, graph_name='a"b').source.startswith('digraph "a\\"b" {')


@pytest.mark.skipif(shutil.which("dot") is None, reason="needs Graphviz")
def test_a_path_without_ending_becomes_a_pdf(tmp_path):
    visualize_model(small_din(), save_path=tmp_path / "drawn")
    assert (tmp_path / "drawn.pdf").read_bytes().startswith(b"%PDF")


def test_dense_features_are_trained_exported_and_drawn(tmp_path):
    model = small_din(DenseFeature("price"), DenseFeature("vector", 3))
    x = {
        **{name: each.long() for name, each in EXAMPLES.items()},
        "price": torch.tensor([1, 2, 3]),  # integers are numbers as well
        "vector": torch.randn(3, 3),
    }
    trainer = CTRTrainer(model, optimizer_params={"lr": 0.1}, model_path=tmp_path)
    losses = [trainer.train_one_epoch([(x, torch.tensor([1.0, 0.0, 1.0]))]) for _ in range(30)]
    assert losses[-1] < losses[0]
    path = tmp_path / "model.onnx"
    trainer.export_onnx(path, dummy_input=x, dynamic_batch=False)
    assert sizes(path)["price"] == [3]
    assert sizes(path)["vector"] == [3, 3]
    types = {e.name: e.type.tensor_type.elem_type for e in onnx.load(path).graph.input}
    assert types["price"] == types["vector"] == onnx.TensorProto.FLOAT
    expected = model.eval()(x).detach().numpy()
    assert np.abs(predicted(path, {**x, "price": x["price"].float()}) - expected).max() < 1e-6
    assert "mlp.layers.0.weight" in visualize_model(model, x).source
