"""What is written, what is left out and why, and what a file says of itself."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from din_core.network.features import Normalization
from din_core.serving.graphs import tracing, writing
from din_core.serving.graphs.id_tables import padding_of
from din_core.serving.graphs.rank_graph import rank_graph
from din_core.serving.graphs.tracing import ExportError
from din_core.serving.saved_models import SavedModel
from tests.core.serving.graphs.tiny_bundles import (
    CONFIGS,
    DESCRIBED,
    PLAIN,
    make_bundle,
    make_model,
    write_vocabularies,
)

INT64 = np.iinfo(np.int64)
EVERY = {"din.onnx", "rank.onnx", "rank_indices.onnx", "score.onnx", "explain.onnx"}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundle"), CONFIGS["din"], DESCRIBED, strings=True)


@pytest.fixture(scope="module")
def products(tmp_path_factory):
    """A bundle at the limits: of ids, the items' alone count, and the largest file is just held."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "MOST_IDS", 15)  # 9 items and 7 users are 16
        patch.setattr(tracing, "LARGEST_FILE", bytes_of_indices() + BYTES_OF_IDS)
        return make_bundle(tmp_path_factory.mktemp("products"), CONFIGS["din_products"], PLAIN)


BYTES_OF_IDS = 9 * 8 * 3  # keys, indices, and as much again for what stands around them


def bytes_of_indices():
    """What a graph that takes indices holds."""
    weights = make_model(CONFIGS["din_products"], PLAIN).state_dict().values()
    cates = 10 * 8  # of nine items and the unknown one
    return sum(each.numel() * each.element_size() for each in weights) + cates


def test_graphs_name_their_inputs_outputs_and_free_sizes(bundle):
    def signature(name):
        graph = onnx.load(bundle.folder / name).graph
        return [
            {
                each.name: [
                    axis.dim_param or axis.dim_value for axis in each.type.tensor_type.shape.dim
                ]
                for each in values
            }
            for values in (graph.input, graph.output)
        ]

    assert set(bundle.report.sizes) == EVERY == {each.name for each in bundle.folder.iterdir()}
    ranked = {
        "user_id": [1], "history_item_id": ["length"], "candidate_item_id": ["candidates"],
        "hour": ["candidates"],
    }  # fmt: skip
    assert signature("rank.onnx") == [ranked, {"probability": ["candidates"]}]
    in_indices = {name.replace("_id", "_idx"): sizes for name, sizes in ranked.items()}
    assert signature("rank_indices.onnx") == [in_indices, {"probability": ["candidates"]}]
    scored = {
        "user_id": ["rows"], "target_item_id": ["rows"], "hist_item_id": ["rows", "length"],
        "hour": ["rows"],
    }  # fmt: skip
    assert signature("score.onnx") == [scored, {"probability": ["rows"]}]
    explained = {
        "user_id": [1], "history_item_id": ["length"], "candidate_item_id": [1], "hour": [1],
    }  # fmt: skip
    of_each_event = {
        "probability_without": ["length"],
        "attention_weight_hist_item_idx": ["length"],
        "attention_weight_hist_cate_idx": ["length"],
    }
    assert signature("explain.onnx") == [explained, {"probability": [1], **of_each_event}]


def computed_of_weights_alone(graph, known=()):
    """Operators that no input has a part in, in the bodies of loops, too."""
    known = {*known, *(each.name for each in graph.initializer)}
    found = []
    for node in graph.node:
        if node.op_type == "Constant" or all(name in known for name in node.input):
            known.update(node.output)
            found += [node.op_type] if node.op_type != "Constant" else []
        for each in node.attribute:
            found += computed_of_weights_alone(each.g, known) if each.HasField("g") else []
    return found


@pytest.mark.parametrize("name", sorted(EVERY))
def test_nothing_is_left_to_compute_of_the_weights_alone(bundle, name):
    assert computed_of_weights_alone(onnx.load(bundle.folder / name).graph) == []


def test_a_ranking_fuses_its_products_with_what_follows(products):
    """Nothing but the activation reads what a layer of ReLU gives, and no output is a column."""
    graph = onnx.load(products.folder / "rank.onnx").graph
    [body] = [each.g for node in graph.node for each in node.attribute if each.HasField("g")]
    readers = {}
    for node in body.node:
        for name in node.input:
            readers.setdefault(name, []).append(node.op_type)
    activated = {node.input[0] for node in body.node if node.op_type == "Relu"}
    assert len(activated) == 3  # one of the unit, two of the last layers
    assert all(readers[name] == ["Relu"] for name in activated)
    widths = {each.name: list(each.dims) for each in (*graph.initializer, *body.initializer)}
    products = [node for node in body.node if node.op_type in ("Gemm", "MatMul")]
    assert [1, 5] not in [widths.get(node.input[1]) for node in products]
    assert [1, 5] in [widths.get(node.input[0]) for node in products]


def operators_of_a_block(folder):
    graph = onnx.load(folder / "rank.onnx").graph
    [body] = [each.g for node in graph.node for each in node.attribute if each.HasField("g")]
    return [node.op_type for node in body.node]


def test_no_bias_of_a_ranking_is_added_in_a_pass(bundle):
    operators = operators_of_a_block(bundle.folder)
    first_layers = 3  # of the units of items and categories, and of what follows them
    assert operators.count("Add") == 2 * first_layers  # the offset and the slope of Dice


@pytest.mark.parametrize("name", ["bundle", "products"], ids=["plain", "biases of positions"])
def test_sizes_are_read_before_a_ranking_goes_by_blocks(name, request):
    operators = operators_of_a_block(request.getfixturevalue(name).folder)
    assert not {"Shape", "ConstantOfShape", "Range"}.intersection(operators)


def test_a_model_without_attention_has_no_weights(tmp_path):
    made = make_bundle(tmp_path, CONFIGS["base_model"], PLAIN)
    outputs = [each.name for each in onnx.load(made.folder / "explain.onnx").graph.output]
    assert outputs == ["probability", "probability_without"]


def test_graphs_say_how_they_are_to_be_asked(bundle):
    for name in EVERY:
        said = {each.key: each.value for each in onnx.load(bundle.folder / name).metadata_props}
        assert said == {
            "data_version": "v7",
            "format": "1",
            "history_order": "oldest first",
            "max_history": "4",
            "opset": "20",
            "padding": "0" if name in ("din.onnx", "rank_indices.onnx") else "",
        }


def test_graphs_are_the_same_bytes_twice_and_both_rankings_of_one_trace(
    products, tmp_path, monkeypatch
):
    traced = Counter()

    def counted(source):
        traced["ranking"] += 1
        return rank_graph(source)

    for name in ("rank.onnx", "rank_indices.onnx"):
        monkeypatch.setitem(writing._MADE, name, replace(writing._MADE[name], trace=counted))
    again = make_bundle(tmp_path, CONFIGS["din_products"], PLAIN)
    for name in EVERY:
        assert (products.folder / name).read_bytes() == (again.folder / name).read_bytes()
    assert traced == {"ranking": 1}


@pytest.mark.parametrize("part", ["trace", "finish"])
def test_a_graph_that_has_other_bytes_when_it_is_made_again_is_refused(part, tmp_path, monkeypatch):
    made = itertools.count()

    def numbered(*_):
        graph = onnx.ModelProto()
        graph.producer_version = str(next(made)) if part == "trace" else ""
        return graph

    def finish(graph, _):
        graph.producer_version = str(next(made))
        return graph

    recipe = writing._Made(numbered, finish if part == "finish" else None)
    monkeypatch.setitem(writing._MADE, "din.onnx", recipe)
    config, vocabularies = CONFIGS["base_model"], write_vocabularies(tmp_path, strings=False)
    saved = SavedModel(make_model(config, PLAIN), config, PLAIN, "", {})
    with pytest.raises(ExportError, match=r"din\.onnx: made twice from the same weights"):
        writing.write_all(saved, vocabularies, tmp_path / "graphs", max_history=4)
    assert not list((tmp_path / "graphs").iterdir())


def test_graphs_carry_no_trace_of_the_machine(bundle):
    for name in EVERY:
        content = (bundle.folder / name).read_bytes()
        assert b".py" not in content
        assert str(Path(writing.__file__).parent).encode() not in content


def test_every_id_is_in_a_file_once(bundle):
    for name in ("rank.onnx", "score.onnx", "explain.onnx"):
        content = (bundle.folder / name).read_bytes()
        assert content.count("日本".encode()) == 1


def test_what_holds_too_many_ids_is_left_out_and_said(products, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "MOST_IDS", 15)
    made = make_bundle(tmp_path, CONFIGS["din"], DESCRIBED)
    assert (
        set(made.report.sizes) == set(made.report.differences) == {"din.onnx", "rank_indices.onnx"}
    )
    assert set(made.report.left_out) == {"rank.onnx", "score.onnx", "explain.onnx"}
    assert made.report.left_out["rank.onnx"].startswith("16 ids, and a graph holds up to 15: map")
    assert {each.name for each in made.folder.iterdir()} == set(made.report.sizes)
    # Of a model that takes nothing of the user, the items alone count.
    assert products.report.left_out == {}


def test_what_holds_ids_of_too_many_bytes_is_left_out_and_said(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "MOST_ID_BYTES", 71)
    made = make_bundle(tmp_path, CONFIGS["din_products"], PLAIN)  # 9 items of 8 bytes
    assert "map ids to indices by the vocabularies" in made.report.left_out["score.onnx"]


def test_what_one_file_does_not_hold_is_left_out_and_said(products, tmp_path, monkeypatch):
    assert products.report.left_out == {}
    monkeypatch.setattr(tracing, "LARGEST_FILE", bytes_of_indices() + BYTES_OF_IDS - 1)
    made = make_bundle(tmp_path / "indices", CONFIGS["din_products"], PLAIN)
    assert set(made.report.left_out) == {"rank.onnx", "score.onnx", "explain.onnx"}
    assert "weights and ids take" in made.report.left_out["rank.onnx"]
    monkeypatch.setattr(tracing, "LARGEST_FILE", bytes_of_indices() - 1)
    made = make_bundle(tmp_path / "rows", CONFIGS["din_products"], PLAIN)
    assert set(made.report.sizes) == set(made.report.differences) == {"din.onnx"}
    assert "use din.onnx" in made.report.left_out["rank_indices.onnx"]


@pytest.mark.parametrize(
    ("keys", "padding"),
    [
        ([1, 2], -1),
        ([-1, 5], int(INT64.min)),
        ([-1, INT64.min, INT64.max], int(INT64.min) + 1),
        (["a", "-1"], ""),
        (["", "a"], "<padding 0>"),
        (["<padding 0>", ""], "<padding 1>"),
    ],
)
def test_padding_is_an_id_that_no_item_has(keys, padding):
    of = keys if isinstance(keys[0], str) else np.array(keys, dtype=np.int64)
    assert padding_of(of) == padding


def test_vocabularies_of_another_model_are_refused(tmp_path):
    with pytest.raises(ExportError, match=r"items\.parquet: 9 rows, and the model knows 8 items"):
        make_bundle(tmp_path / "fewer", CONFIGS["din_products"], replace(PLAIN, n_items=8))
    other = replace(PLAIN, item_attributes={"brand_idx": 2})
    with pytest.raises(ExportError, match=r"items\.parquet: no column 'brand_idx'"):
        make_bundle(tmp_path / "other", CONFIGS["din_products"], other)


def test_a_number_that_is_called_as_an_input_is_refused(tmp_path):
    clash = replace(PLAIN, context_dense={"user_id": Normalization()})
    with pytest.raises(ExportError, match="the number 'user_id' of the context"):
        make_bundle(tmp_path, CONFIGS["din_products"], clash)


LOADED = """
import sys, onnxruntime
for path in sys.argv[1:]:
    onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
"""


def test_onnxruntime_has_nothing_to_warn_of(bundle):
    # It did, of constants that were equal inside and outside of the blocks.
    paths = [str(bundle.folder / name) for name in sorted(EVERY)]
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *paths], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_ids_of_other_integers_are_int64(tmp_path):
    folder = tmp_path / "vocabulary"
    folder.mkdir()
    columns = {"item_idx": [1, 2], "item_id": pa.array([7, 9], pa.int32())}
    pq.write_table(pa.table(columns), folder / "items.parquet")
    from din_core.serving.graphs.id_tables import read

    _, [ids] = read(replace(PLAIN, n_items=2, item_attributes={}), folder, with_users=False)
    assert not ids.are_strings
    assert ids.keys.dtype == np.int64
