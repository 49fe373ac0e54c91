"""A graph over many rows, computed a block of rows at a time.

What does not depend on the rows (a user's history, and the products of weights with it) is computed
once before; what does runs over blocks that are small enough for a core's cache. Shapes: N rows, B
rows of a block, K blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from din_core.serving.graphs.constants import with_constants_folded

_PREFIX = "blocks/"


def in_blocks(model: onnx.ModelProto, rows: Mapping[str, float], most: int) -> onnx.ModelProto:
    """Rewrite a graph so that it takes its rows in blocks.

    Args:
        model: A graph without subgraphs whose one output has one value a row, ``[N]``.
        rows: The inputs ``[N]``, and what fills the last block.
        most: Most rows of a block. Blocks are equal but for the filling, so that little is
            computed for nothing.

    Returns:
        A graph with the same inputs and output and, up to rounding, the same values.
    """
    graph = with_constants_folded(model).graph
    depends = set(rows)
    inside: list[onnx.NodeProto] = []
    before: list[onnx.NodeProto] = []
    for node in graph.node:  # in an order in which they can be computed
        if depends.isdisjoint(node.input):
            before.append(node)
        else:
            inside.append(node)
            depends.update(node.output)
    read_before = {name for node in before for name in node.input}
    constants = {each.name for each in graph.initializer} - read_before
    [output] = graph.output
    body = helper.make_graph(
        inside,
        f"{_PREFIX}block",
        [_of_block(each) for each in graph.input if each.name in rows],
        [_of_block(output)],
        [each for each in graph.initializer if each.name in constants],
    )
    whole = helper.make_graph(
        [
            *before,
            *_blocks(graph, rows, most),
            helper.make_node(
                "Scan",
                [f"{_PREFIX}of_{each.name}" for each in graph.input if each.name in rows],
                [f"{_PREFIX}{output.name}"],
                body=body,
                num_scan_inputs=len(rows),
            ),
            helper.make_node("Reshape", [f"{_PREFIX}{output.name}", "blocks/flat"], ["blocks/all"]),
            helper.make_node("Slice", ["blocks/all", "blocks/zero", "blocks/n"], [output.name]),
        ],
        graph.name,
        list(graph.input),
        list(graph.output),
        [each for each in graph.initializer if each.name not in constants],
    )
    return helper.make_model(
        whole,
        opset_imports=list(model.opset_import),
        ir_version=model.ir_version,
        producer_name=model.producer_name,
        producer_version=model.producer_version,
    )


def _of_block(value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    kind = value.type.tensor_type.elem_type
    return helper.make_tensor_value_info(value.name, kind, ["block"])


def _blocks(graph: onnx.GraphProto, rows: Mapping[str, float], most: int) -> list[onnx.NodeProto]:
    """Nodes that cut the rows into K equal blocks, the last one filled up."""

    def constant(name: str, value: object, dtype: type = np.int64) -> onnx.NodeProto:
        array = np.array(value, dtype=dtype)
        full = f"{_PREFIX}{name}"
        return helper.make_node("Constant", [], [full], value=numpy_helper.from_array(array, full))

    def node(op: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
        full = [name if name in rows else f"{_PREFIX}{name}" for name in inputs]
        return helper.make_node(op, full, [f"{_PREFIX}{output}"], **attributes)

    first = next(each.name for each in graph.input if each.name in rows)
    nodes = [
        constant("flat", [-1]),
        constant("zero", [0]),
        constant("one", [1]),
        constant("most", [most]),
        node("Shape", [first], "n"),
        # K = (N - 1) / most + 1, then B = (N - 1) / K + 1; of no rows 1 and 0, since division of
        # integers goes towards 0.
        node("Sub", ["n", "one"], "n_less_one"),
        node("Div", ["n_less_one", "most"], "k_less_one"),
        node("Add", ["k_less_one", "one"], "k"),
        node("Div", ["n_less_one", "k"], "size_less_one"),
        node("Add", ["size_less_one", "one"], "size"),
        node("Mul", ["size", "k"], "filled"),
        node("Sub", ["filled", "n"], "missing"),
        node("Concat", ["k", "size"], "shape", axis=0),
    ]
    for each in graph.input:
        if each.name in rows:
            dtype = helper.tensor_dtype_to_np_dtype(each.type.tensor_type.elem_type)
            fill = numpy_helper.from_array(np.array([rows[each.name]], dtype=dtype))
            nodes += [
                node("ConstantOfShape", ["missing"], f"fill_of_{each.name}", value=fill),
                node("Concat", [each.name, f"fill_of_{each.name}"], f"all_of_{each.name}", axis=0),
                # The shape is [1, 0] where N is 0.
                node("Reshape", [f"all_of_{each.name}", "shape"], f"of_{each.name}", allowzero=1),
            ]
    return nodes
