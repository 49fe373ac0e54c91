"""What stands before a graph that takes the indices of a vocabulary, and trusts them.

Either ONNX-ML's ``LabelEncoder``, so that the graph takes ids: one encoder for all inputs of a
kind, so that a file holds each id once. Or a comparison with the size of the vocabulary. What it
lacks is index 0, unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from din_core.serving.graphs.id_tables import Ids

_ML_OPSET = 4


def take_ids(graph: onnx.ModelProto, inputs: Mapping[str, str], ids: Ids) -> None:
    """Let a graph take ids where it takes indices.

    Args:
        graph: Changed in place.
        inputs: Name of an input of indices to the name that it has as ids; inputs of another kind
            than the ids' are left alone.
        ids: The vocabulary of one kind.
    """
    by_name = {each.name: each for each in graph.graph.input}
    taken = [name for name in inputs if name in by_name and name.endswith(f"{ids.kind}_idx")]
    if not taken:
        return
    kind = TensorProto.STRING if ids.are_strings else TensorProto.INT64
    for name in taken:
        by_name[name].type.tensor_type.elem_type = kind
        by_name[name].name = inputs[name]
    ranks = {name: len(by_name[name].type.tensor_type.shape.dim) for name in taken}
    nodes = _encoded([(inputs[name], name, ranks[name]) for name in taken], ids)
    kept = list(graph.graph.node)
    del graph.graph.node[:]
    graph.graph.node.extend([*nodes, *kept])
    if all(each.domain != "ai.onnx.ml" for each in graph.opset_import):
        graph.opset_import.append(helper.make_opsetid("ai.onnx.ml", _ML_OPSET))


def take_indices(graph: onnx.ModelProto, sizes: Mapping[str, int]) -> None:
    """Let a graph take any index: one below 0 or beyond the vocabulary is 0.

    Args:
        graph: Changed in place.
        sizes: Name of an input of indices to the largest index there is; inputs that the graph
            lacks are left out.
    """
    names = [each.name for each in graph.graph.input if each.name in sizes]
    nodes = [_constant("known/zero", np.array(0))]
    for name in names:
        trusted = f"known/{name}"
        nodes += [
            _constant(f"{trusted}/size", np.array(sizes[name])),
            helper.make_node("GreaterOrEqual", [name, "known/zero"], [f"{trusted}/from"]),
            helper.make_node("LessOrEqual", [name, f"{trusted}/size"], [f"{trusted}/to"]),
            helper.make_node("And", [f"{trusted}/from", f"{trusted}/to"], [f"{trusted}/is"]),
            helper.make_node("Where", [f"{trusted}/is", name, "known/zero"], [trusted]),
        ]
    for node in graph.graph.node:
        for place, name in enumerate(node.input):
            if name in names:
                node.input[place] = f"known/{name}"
    kept = list(graph.graph.node)
    del graph.graph.node[:]
    graph.graph.node.extend([*nodes, *kept])


def _encoded(inputs: Sequence[tuple[str, str, int]], ids: Ids) -> list[onnx.NodeProto]:
    """Nodes from ids to indices, (ids, indices, rank) each."""
    place = f"{ids.kind}_ids"
    if len(inputs) == 1:
        return [_encoder(inputs[0][0], inputs[0][1], ids)]
    nodes = [_constant(f"{place}/flat", np.array([-1]))] if any(r != 1 for *_, r in inputs) else []
    sizes: list[str] = []
    flat: list[str] = []
    for raw, _, rank in inputs:
        shape, size = f"{place}/shape_of_{raw}", f"{place}/size_of_{raw}"
        nodes.append(helper.make_node("Shape", [raw], [shape]))
        sizes.append(shape if rank == 1 else f"{place}/length_{raw}")
        flat.append(raw if rank == 1 else f"{place}/flat_{raw}")
        if rank != 1:
            nodes += [
                helper.make_node("Size", [raw], [size]),
                helper.make_node("Reshape", [size, f"{place}/flat"], [sizes[-1]]),
                # Not to -1, which no size follows from where another one is 0.
                helper.make_node("Reshape", [raw, sizes[-1]], [flat[-1]], allowzero=1),
            ]
    parts = [index if rank == 1 else f"{place}/flat_{index}" for _, index, rank in inputs]
    nodes += [
        helper.make_node("Concat", flat, [f"{place}/all"], axis=0),
        _encoder(f"{place}/all", f"{place}/indices", ids),
        helper.make_node("Concat", sizes, [f"{place}/sizes"], axis=0),
        helper.make_node("Split", [f"{place}/indices", f"{place}/sizes"], parts, axis=0),
    ]
    nodes += [
        helper.make_node(
            "Reshape", [f"{place}/flat_{index}", f"{place}/shape_of_{raw}"], [index], allowzero=1
        )
        for raw, index, rank in inputs
        if rank != 1
    ]
    return nodes


def _encoder(source: str, target: str, ids: Ids) -> onnx.NodeProto:
    n = len(ids.keys)
    keys = (
        # Not by helper.make_tensor, which cuts NUL characters off the end.
        TensorProto(
            name="keys",
            data_type=TensorProto.STRING,
            dims=[n],
            string_data=[key.encode() for key in ids.keys],
        )
        if isinstance(ids.keys, list)
        else numpy_helper.from_array(np.ascontiguousarray(ids.keys, dtype=np.int64), "keys")
    )
    return helper.make_node(
        "LabelEncoder",
        [source],
        [target],
        domain="ai.onnx.ml",
        keys_tensor=keys,
        values_tensor=numpy_helper.from_array(np.arange(1, n + 1, dtype=np.int64), "values"),
        default_tensor=numpy_helper.from_array(np.zeros(1, np.int64), "default"),
    )


def _constant(name: str, value: np.ndarray) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value, name))
