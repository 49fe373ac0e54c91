"""What a graph computes from its weights alone, computed once when it is written.

A runtime does so, too, when it loads the graph; but not every one, not across the border of a
loop's body, and each process again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx
from onnx import helper, numpy_helper

from din_core.serving.graphs.tracing import session_on


def with_constants_folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace what depends on no input by its value, and equal values by one of them.

    Args:
        model: A graph without subgraphs.

    Returns:
        Another model with the same inputs and outputs, without nodes ``Constant``; constants that
        nothing reads are left out.
    """
    graph = model.graph
    known = {each.name for each in graph.initializer}
    constant: list[onnx.NodeProto] = []
    varying: list[onnx.NodeProto] = []
    for node in graph.node:  # in an order in which they can be computed
        if all(name in known or not name for name in node.input):
            constant.append(node)
            known.update(node.output)
        else:
            varying.append(onnx.NodeProto.FromString(node.SerializeToString()))
    read = {name for node in varying for name in node.input} & known
    computed = _computed(model, constant, read - {each.name for each in graph.initializer})
    kept: dict[bytes, onnx.TensorProto] = {}
    same: dict[str, str] = {}
    for each in sorted([*graph.initializer, *computed], key=lambda tensor: tensor.name):
        if each.name in read:
            nameless = onnx.TensorProto.FromString(each.SerializeToString())
            nameless.ClearField("name")
            first = kept.setdefault(nameless.SerializeToString(deterministic=True), each)
            same[each.name] = first.name
    for node in varying:
        for place, name in enumerate(node.input):
            node.input[place] = same.get(name, name)
    folded = onnx.ModelProto()
    folded.CopyFrom(model)
    del folded.graph.node[:], folded.graph.initializer[:], folded.graph.value_info[:]
    folded.graph.node.extend(varying)
    folded.graph.initializer.extend(kept.values())
    return folded


def replace_nodes(graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto]) -> None:
    """Give a graph other nodes, and leave out those, and the constants, that nothing reads.

    Args:
        graph: Changed in place; without subgraphs.
        nodes: In an order in which they can be computed.
    """
    read = {each.name for each in graph.output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(nodes):
        if not read.isdisjoint(node.output):
            kept.append(node)
            read.update(node.input)
    constants = [each for each in graph.initializer if each.name in read]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(constants)


def _computed(
    model: onnx.ModelProto, nodes: list[onnx.NodeProto], wanted: set[str]
) -> list[onnx.TensorProto]:
    """Values of some names, by onnxruntime."""
    if not wanted:
        return []
    names = sorted(wanted)
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "constants",
        [],
        [onnx.ValueInfoProto(name=name) for name in names],
        [each for each in model.graph.initializer if each.name in used],
    )
    alone = helper.make_model(
        graph, opset_imports=list(model.opset_import), ir_version=model.ir_version
    )
    values: Any = session_on(alone.SerializeToString()).run(names, {})
    return [numpy_helper.from_array(value, name) for name, value in zip(names, values, strict=True)]
