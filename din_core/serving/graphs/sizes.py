"""Sizes of axes, each read by one node where the tracer takes three.

A node that computes next to nothing still costs a runtime a microsecond or two, in each block of a
ranking again.
"""

from __future__ import annotations

import onnx
from onnx import helper, numpy_helper

from din_core.serving.graphs.constants import replace_nodes


def with_sizes_at_once(model: onnx.ModelProto) -> onnx.ModelProto:
    """Let ``Shape`` read the one size that is wanted.

    Args:
        model: A graph without subgraphs, its constants folded; of opset 15 or later.

    Returns:
        Another model with the same inputs and outputs, in which ``Unsqueeze(Gather(Shape(x), 0))``
        is ``Shape(x)`` from axis 0 to 1, and so for each axis.
    """
    rewritten = onnx.ModelProto()
    rewritten.CopyFrom(model)
    graph = rewritten.graph
    made_by = {name: node for node in graph.node for name in node.output}
    numbers = {
        each.name: numpy_helper.to_array(each).tolist()
        for each in graph.initializer
        if each.data_type == onnx.TensorProto.INT64 and list(each.dims) in ([], [1])
    }

    def size_read(node: onnx.NodeProto) -> onnx.NodeProto | None:
        if node.op_type != "Unsqueeze" or numbers.get(node.input[1]) != [0]:
            return None
        gather = made_by.get(node.input[0])
        shape = None if gather is None else made_by.get(gather.input[0])
        if gather is None or shape is None:
            return None
        axis = numbers.get(gather.input[1]) if gather.op_type == "Gather" else None
        if shape.op_type != "Shape" or shape.attribute or not isinstance(axis, int) or axis < 0:
            return None
        return helper.make_node("Shape", shape.input, node.output, start=axis, end=axis + 1)

    replace_nodes(graph, [size_read(node) or node for node in graph.node])
    return rewritten
