"""The port table of the documentation is true: names, parameters, their order and defaults.

The signatures are those of torch-rechub 0.9.0. What differs is listed here, and must be told in the
row of the table that the name stands in.
"""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

from din_core import tutorial

PAGE = Path(__file__).parents[3] / "docs" / "port-from-torch-rechub.md"

_OPTIMIZATION = (
    "optimizer_fn=Adam, optimizer_params=None, regularization_params=None, scheduler_fn=None, "
    "scheduler_params=None, n_epoch=10, earlystop_patience=10, device='cpu', gpus=None, "
    "loss_mode=True, model_path='./', model_logger=None"
)
_DRAWING = (
    "input_data=None, batch_size=2, seq_length=10, depth=3, show_shapes=True, "
    "expand_nested=True, save_path=None, graph_name='model'"
)
THEIRS = {
    "SparseFeature": "name, vocab_size, embed_dim=None, shared_with=None, padding_idx=None, "
    "initializer=RandomNormal",
    "SequenceFeature": "name, vocab_size, embed_dim=None, pooling='mean', shared_with=None, "
    "padding_idx=None, initializer=RandomNormal",
    "DenseFeature": "name, embed_dim=1",
    "DIN": "features, history_features, target_features, mlp_params, attention_mlp_params",
    "generate_seq_feature": "data, user_col, item_col, time_col, item_attribute_cols=[], "
    "min_item=0, shuffle=True, max_len=50",
    "df_to_dict": "data",
    "pad_sequences": "sequences, maxlen=None, dtype='int32', padding='pre', truncating='pre', "
    "value=0.0",
    "get_auto_embedding_dim": "num_classes",
    "DataGenerator": "x, y",
    "DataGenerator.generate_dataloader": "x_val=None, y_val=None, x_test=None, y_test=None, "
    "split_ratio=None, batch_size=16, num_workers=0",
    "CTRTrainer": f"model, {_OPTIMIZATION}",
    "CTRTrainer.fit": "train_dataloader, val_dataloader=None",
    "CTRTrainer.train_one_epoch": "data_loader, log_interval=10",
    "CTRTrainer.evaluate": "model, data_loader",
    "CTRTrainer.predict": "model, data_loader",
    "CTRTrainer.export_onnx": "output_path, dummy_input=None, batch_size=2, seq_length=10, "
    "opset_version=14, dynamic_batch=True, device=None, verbose=False, onnx_export_kwargs=None",
    "CTRTrainer.visualization": f"{_DRAWING}, device=None, dpi=300, **kwargs",
    "ONNXExporter": "model, device='cpu'",
    "ONNXExporter.export": "output_path, mode=None, dummy_input=None, batch_size=2, "
    "seq_length=10, opset_version=14, dynamic_batch=True, verbose=False, onnx_export_kwargs=None",
    "ONNXExporter.get_input_info": "mode=None",
    "visualize_model": f"model, {_DRAWING}, device='cpu', dpi=300, **kwargs",
}
DIFFERENT_DEFAULTS = {
    ("SparseFeature", "initializer"): None,
    ("SequenceFeature", "initializer"): None,
    ("generate_seq_feature", "item_attribute_cols"): (),
    ("CTRTrainer.export_onnx", "opset_version"): 20,
    ("ONNXExporter.export", "opset_version"): 20,
}


def table():
    """The rows of the port table, as lists of three cells."""
    text = PAGE.read_text(encoding="utf-8")
    rows = text[text.index("| torch-rechub | here |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def row_of(name):
    """Their cell and the differences, of the row that tells of a name, given as class.method."""
    method = name.rpartition(".")[2]
    for theirs, *rest in table():
        if f"{method}`" in theirs and ("." not in name or name.split(".")[0] in theirs):
            return theirs + rest[-1]
    raise AssertionError(f"no row of the table tells of {name}")


def parameters(name):
    """Ours, in their order."""
    found = tutorial
    for part in name.split("."):
        found = getattr(found, part)
    listed = list(inspect.signature(found).parameters.values())
    return [each for each in listed if each.name != "self"]


@pytest.mark.parametrize("name", THEIRS)
def test_parameters_stand_in_their_order_with_their_defaults(name):
    ours = parameters(name)
    signature = ast.parse(f"def f({THEIRS[name]}): ...").body[0].args
    names = [each.arg for each in signature.args]
    by_position = [each for each in ours if each.kind is each.POSITIONAL_OR_KEYWORD]
    assert [each.name for each in by_position] == names
    required = len(names) - len(signature.defaults)
    for each, node in zip(by_position[required:], signature.defaults, strict=True):
        if (name, each.name) in DIFFERENT_DEFAULTS:
            assert each.default == DIFFERENT_DEFAULTS[name, each.name]
            assert f"`{each.name}` is" in row_of(name)
        elif isinstance(node, ast.Name):
            assert each.default.__name__ == node.id
        else:
            assert each.default == ast.literal_eval(node)
    assert all(each.default is each.empty for each in by_position[:required])
    for each in ours:
        if each not in by_position:
            assert each.kind in (each.KEYWORD_ONLY, each.VAR_KEYWORD)
            assert each.kind is each.KEYWORD_ONLY or signature.kwarg is not None


def test_every_name_of_the_module_is_in_the_table_and_the_other_way_round():
    ours = {name for _, here, _ in table() for name in re.findall(r"`([^`]+)`", here)}
    documented = {name for name in ours if name in dir(tutorial)}
    assert documented == set(tutorial.__all__)
    for name in THEIRS:
        row_of(name)


def test_every_row_names_what_there_is():
    pipeline = "the same, and in the pipeline"
    for _, here, _ in table():
        if here.startswith(pipeline):
            continue
        for name in re.findall(r"`([^`]+)`", here):
            module, _, attribute = name.rpartition(".")
            found = __import__(module, fromlist=[attribute]) if module else tutorial
            assert hasattr(found, attribute), name


def test_refused_parameters_are_told_in_the_table():
    told = {
        "ONNXExporter.export": ["mode", "onnx_export_kwargs", "verbose", "device", "dummy_input"],
        "visualize_model": ["depth", "show_shapes", "expand_nested"],
        "DataGenerator.generate_dataloader": ["num_workers", "split_ratio"],
        "CTRTrainer": ["gpus", "loss_mode=False", "model_path/model.safetensors"],
        "SparseFeature": ["padding_idx"],
        "DIN": ["mlp_params", "attention_mlp_params", "output_layer=True"],
    }
    for name, each_told in told.items():
        for parameter in each_told:
            assert f"`{parameter}`" in row_of(name), (name, parameter)
