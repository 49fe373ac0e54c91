"""A bundle whose every answer can be computed by hand: no network, four items, two users.

The score of a candidate is its worth, and a hundredth of the worth of each event of the history.
An unknown item is worth nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
from onnx import TensorProto, helper
from pyarrow import parquet

from din_core import manifests
from din_core.serving.bundle.histories import USERS_OF_A_GROUP

#: By kind of ids: items in their order with what each is worth, and users with their histories.
ITEMS: dict[str, dict[Any, float]] = {
    "int64": {10: 0.1, 20: 0.4, 30: 0.4, 40: 0.2},
    "string": {"a": 0.1, "b": 0.4, "c": 0.4, "é,\n": 0.2},
}
USERS: dict[str, dict[Any, list[Any]]] = {
    "int64": {1: [10, 40], 2: []},
    "string": {"u1": ["a", "é,\n"], "u2": []},
}
PADDING = {"int64": -1, "string": ""}
VERSION = "v1"


#: Index of the item and time of each training event, in days, and the times of the histories.
EVENTS = [(1, 0), (1, 100), (2, 10), (4, 100)]
HISTORY_DAYS = [[0, 100], []]
END = 110


def write(
    folder: Path,
    kind: str = "int64",
    *,
    context: tuple[str, ...] = (),
    log_numbers: tuple[str, ...] = (),
) -> Path:
    """Write the bundle and return its folder.

    With a number of the context, the score has a tenth of it on top, none where it is NaN. Those
    that are ``log_numbers`` are counted in ``EVENTS``, up to the day ``END``. The items' first
    attribute is 1, 2, 1, and unknown of the last.
    """
    context += log_numbers
    (folder / "vocabularies").mkdir(parents=True)
    items, users = list(ITEMS[kind]), USERS[kind]
    rows = pa.table(
        {
            "item_idx": pa.array(range(1, len(items) + 1), pa.int32()),
            "item_id": items,
            "cate_idx": pa.array([1, 2, 1, None], pa.int32()),
        }
    )
    parquet.write_table(rows, folder / "vocabularies" / "items.parquet")
    histories = pa.table(
        {
            "user_id": list(users),
            "hist_item_id": pa.array(list(users.values()), pa.list_(rows["item_id"].type)),
        }
    )
    if log_numbers:
        seconds = [[day * 86_400.0 for day in days] for days in HISTORY_DAYS]
        histories = histories.append_column("hist_time", pa.array(seconds, pa.list_(pa.float64())))
        columns = {
            "item_idx": pa.array([item for item, _ in EVENTS], pa.int32()),
            "time": [day * 86_400.0 for _, day in EVENTS],
        }
        parquet.write_table(pa.table(columns), folder / "item_events.parquet")
    parquet.write_table(histories, folder / "histories.parquet", row_group_size=USERS_OF_A_GROUP)
    onnx.save(_rank(kind, context), folder / "rank.onnx")
    onnx.save(_score(kind, context), folder / "score.onnx")
    onnx.save(_explain(kind), folder / "explain.onnx")
    manifests.write(
        folder,
        VERSION,
        {
            "bundle_format": 1,
            "ids": {"user_id": kind, "item_id": kind},
            "padding": PADDING[kind],
            "user_padding": PADDING[kind],
            "uses_user": False,
            "max_history": 3,
            "context": list(context),
            "log_numbers": list(log_numbers),
            "first_item_attribute": "cate_idx",
            "log": {"last_time": END * 86_400.0},
            "left_out": {},
        },
    )
    return folder


def _worth(kind: str, ids: str, worth: str) -> onnx.NodeProto:
    keys = {"keys_int64s" if kind == "int64" else "keys_strings": list(ITEMS[kind])}
    return helper.make_node(
        "LabelEncoder",
        [ids],
        [worth],
        domain="ai.onnx.ml",
        values_floats=list(ITEMS[kind].values()),
        default_float=0.0,
        **keys,
    )


def _constant(name: str, value: Any) -> onnx.NodeProto:
    tensor = onnx.numpy_helper.from_array(np.array(value), name)
    return helper.make_node("Constant", [], [name], value=tensor)


def _model(
    nodes: list[onnx.NodeProto], inputs: dict[str, Any], outputs: dict[str, Any], kind: str
) -> onnx.ModelProto:
    types = {"id": TensorProto.INT64 if kind == "int64" else TensorProto.STRING}
    graph = helper.make_graph(
        nodes,
        "by_hand",
        [
            helper.make_tensor_value_info(name, types.get(name[-2:], TensorProto.FLOAT), shape)
            for name, shape in inputs.items()
        ],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in outputs.items()
        ],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 9
    onnx.checker.check_model(model)
    return model


def _summed(
    kind: str, target: str, history: str, axis: int, context: tuple[str, ...], of_all: str
) -> list[onnx.NodeProto]:
    """The score of each target, and ``hundredths``, what each event adds."""
    nodes = [
        _constant("hundredth", np.float32(0.01)),
        _constant("tenth", np.float32(0.1)),
        _constant("axis", np.array([axis])),
        _worth(kind, target, "worth"),
        _worth(kind, history, "past"),
        helper.make_node("Mul", ["past", "hundredth"], ["hundredths"]),
        helper.make_node("ReduceSum", ["hundredths", "axis"], ["sum"], keepdims=0),
        helper.make_node("Add", ["worth", "sum"], ["score_0"]),
    ]
    for number, name in enumerate(context):
        nodes += [
            helper.make_node("IsNaN", [name], [f"missing_{number}"]),
            _constant(f"zero_{number}", np.float32(0)),
            helper.make_node(
                "Where", [f"missing_{number}", f"zero_{number}", name], [f"known_{number}"]
            ),
            helper.make_node("Mul", [f"known_{number}", "tenth"], [f"part_{number}"]),
            helper.make_node("Add", [f"score_{number}", f"part_{number}"], [f"score_{number + 1}"]),
        ]
    return [*nodes, helper.make_node("Identity", [f"score_{len(context)}"], [of_all])]


def _rank(kind: str, context: tuple[str, ...]) -> onnx.ModelProto:
    inputs = {
        "history_item_id": ["L"],
        "candidate_item_id": ["N"],
        **{each: ["N"] for each in context},
    }
    nodes = _summed(kind, "candidate_item_id", "history_item_id", 0, context, "probability")
    return _model(nodes, inputs, {"probability": ["N"]}, kind)


def _score(kind: str, context: tuple[str, ...]) -> onnx.ModelProto:
    inputs = {
        "target_item_id": ["B"],
        "hist_item_id": ["B", "L"],
        **{each: ["B"] for each in context},
    }
    nodes = _summed(kind, "target_item_id", "hist_item_id", 1, context, "probability")
    return _model(nodes, inputs, {"probability": ["B"]}, kind)


def _explain(kind: str) -> onnx.ModelProto:
    nodes = _summed(kind, "candidate_item_id", "history_item_id", 0, (), "probability")
    nodes += [
        helper.make_node("Sub", ["probability", "hundredths"], ["probability_without"]),
        helper.make_node("Identity", ["past"], ["attention_weight"]),
    ]
    outputs = {"probability": [1], "probability_without": ["L"], "attention_weight": ["L"]}
    return _model(nodes, {"history_item_id": ["L"], "candidate_item_id": [1]}, outputs, kind)
