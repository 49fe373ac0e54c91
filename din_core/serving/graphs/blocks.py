"""A graph over many rows, computed a block of rows at a time.

What does not depend on the rows (a user's history, and the products of weights with it), or on
their number alone, is computed once before; what does runs over blocks that are small enough for a
core's cache. Shapes: N rows, B rows of a block, K blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from din_core.serving.graphs.constants import with_constants_folded

_PREFIX = "blocks/"
_SIZE = f"{_PREFIX}size"
#: Numbers of a constant up to which the shape of a value may follow from it.
_NUMBERS_OF_A_SHAPE = 16


def in_blocks(model: onnx.ModelProto, rows: Mapping[str, float], most: int) -> onnx.ModelProto:
    """Rewrite a graph so that it takes its rows in blocks.

    Args:
        model: A graph without subgraphs whose one output has one value a row, ``[N]``.
        rows: The inputs ``[N]``, which call that size by one name, and what fills the last block.
        most: Most rows of a block. Blocks are equal but for the filling, so that little is
            computed for nothing.

    Returns:
        A graph with the same inputs and output and, up to rounding, the same values.
    """
    folded = with_constants_folded(model)
    graph = folded.graph
    numbers_of_rows = _numbers_of_rows(folded, rows)
    depends = set(rows)
    inside: list[onnx.NodeProto] = []
    before: list[onnx.NodeProto] = []
    for node in graph.node:  # in an order in which they can be computed
        for place, name in enumerate(node.input):
            node.input[place] = _SIZE if name in numbers_of_rows else name
        if depends.isdisjoint(node.input):
            before.append(node)
        elif node.output[0] not in numbers_of_rows:
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
            *_blocks(graph, rows, most),
            *before,  # which may take the number of rows of a block
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


def _numbers_of_rows(model: onnx.ModelProto, rows: Mapping[str, float]) -> set[str]:
    """Outputs of the nodes that read how many rows there are, as ``[N]``."""
    graph = model.graph
    small = [each for each in graph.initializer if np.prod(each.dims) <= _NUMBERS_OF_A_SHAPE]
    described = [  # of weights, which may take gigabytes, only what they look like
        helper.make_tensor_value_info(each.name, each.data_type, list(each.dims))
        for each in graph.initializer
        if np.prod(each.dims) > _NUMBERS_OF_A_SHAPE
    ]
    inputs = [*graph.input, *described]
    light = helper.make_graph(list(graph.node), graph.name, inputs, list(graph.output), small)
    opsets = list(model.opset_import)
    alone = helper.make_model(light, opset_imports=opsets, ir_version=model.ir_version)
    inferred = onnx.shape_inference.infer_shapes(alone).graph
    sizes: dict[str, list[str]] = {
        value.name: [axis.dim_param for axis in value.type.tensor_type.shape.dim]
        for value in (*inferred.input, *inferred.value_info)
    }
    [[n]] = {tuple(sizes[name]) for name in rows}
    assert n, "the number of rows has no name"
    found: set[str] = set()
    for node in model.graph.node:
        of_input = sizes.get(node.input[0], []) if node.op_type == "Shape" else []
        given = {each.name: each.i for each in node.attribute}
        start, end = given.get("start", 0), given.get("end", len(of_input))
        if of_input[start:end] == [n]:
            found.update(node.output)
    return found


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
