"""What all rows of a product have in common, taken out of it and computed once.

A traced ranking repeats the user and the sum of the history for each candidate, and multiplies the
repetitions with weights: ``[x, t, s, s * t] W`` where *s* is the same in every row. That is
``x Wx + t (Wt + diag(s) Wst) + s Ws``, whose bracket and last term are made once for all rows.
Shapes: N rows, D width of a part, K of all parts, H columns of the result.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from din_core.serving.graphs.constants import replace_nodes
from din_core.serving.graphs.tracing import Array

_PREFIX = "shared/"
_PLAIN = {"alpha": 1.0, "beta": 1.0, "transA": 0}


def with_shared_rows_apart(model: onnx.ModelProto, rows: Collection[str]) -> onnx.ModelProto:
    """Rewrite products of rows of which some parts are the same in every row.

    A part is, where it is read by indices that are all 0, as
    :class:`din_core.network.layers.positions.SharedPositions` has them.

    Args:
        model: A graph without subgraphs, its constants folded.
        rows: The inputs ``[N]``.

    Returns:
        Another model with the same inputs and outputs and, up to rounding, the same values.
    """
    rewritten = onnx.ModelProto()
    rewritten.CopyFrom(model)
    graph = rewritten.graph
    products = _Products(graph, rows)
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:  # in an order in which they can be computed
        nodes += products.apart(node) or [node]
    replace_nodes(graph, nodes)
    return rewritten


class _Products:
    """The products of a graph, and what is the same in all of its rows."""

    def __init__(self, graph: onnx.GraphProto, rows: Collection[str]) -> None:
        self._graph = graph
        self._made_by = {name: node for node in graph.node for name in node.output}
        self._constants = {each.name: each for each in graph.initializer}
        self._numbers = itertools.count()
        self._of_rows = set(rows)
        for node in graph.node:
            if not self._of_rows.isdisjoint(node.input):
                self._of_rows.update(node.output)

    def apart(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Make nodes that stand in for a product; none where it has nothing to take out."""
        weight = self._weight_of(node)
        if weight is None:
            return []
        parts = self._parts_of(node.input[0])
        widths = [self._width(name) or 0 for name in parts]
        if 0 in widths or sum(widths) != weight.shape[1]:
            return []
        own: dict[str, Array] = {}
        shared: list[tuple[str, Array]] = []
        scaled: dict[str, list[tuple[str, Array]]] = {}
        columns = np.split(weight, np.cumsum(widths)[:-1], axis=1)
        for name, of_part in zip(parts, columns, strict=True):
            if self._is_shared(name):
                shared.append((name, of_part))
            elif product := self._shared_factor(name):
                scale, rest = product
                scaled.setdefault(rest, []).append((scale, of_part))
            else:
                own[name] = own[name] + of_part if name in own else of_part
        if not (shared or scaled) or not (own or scaled):
            return []
        made: list[onnx.NodeProto] = []
        total = node.input[2] if len(node.input) > 2 else ""
        for name, of_part in shared:
            total = self._product([self._once(name, made)], self._constant(of_part), total, made)
        for name, scales in scaled.items():
            matrix = self._constant(own.pop(name)) if name in own else ""
            for scale, of_part in scales:
                factors = [self._constant(of_part), self._once(scale, made)]
                term = self._node("Mul", factors, made)
                matrix = self._node("Add", [matrix, term], made) if matrix else term
            total = self._product([name], matrix, total, made)
        if own:
            matrix = self._constant(np.concatenate(list(own.values()), axis=1))
            total = self._product(list(own), matrix, total, made)
        made[-1].output[0] = node.output[0]
        return made

    def _weight_of(self, node: onnx.NodeProto) -> Array | None:
        """The constant matrix of a product, ``[H, K]``."""
        if node.op_type not in ("MatMul", "Gemm") or node.input[1] not in self._constants:
            return None
        given: dict[str, Any] = {
            each.name: helper.get_attribute_value(each) for each in node.attribute
        }
        weight = numpy_helper.to_array(self._constants[node.input[1]])
        if weight.ndim != 2 or any(given.get(name, of) != of for name, of in _PLAIN.items()):
            return None
        return weight if given.get("transB") else weight.T

    def _parts_of(self, name: str) -> list[str]:
        """What lies side by side in a row."""
        node = self._made_by.get(name)
        is_side_by_side = node is not None and node.op_type == "Concat" and _axis(node) in (1, -1)
        return list(node.input) if node is not None and is_side_by_side else [name]

    def _width(self, name: str) -> int | None:
        """D of a part ``[N, D]``; ``None`` where it is not known."""
        if name in self._constants:
            dims = self._constants[name].dims
            return dims[1] if len(dims) == 2 else None
        node = self._made_by.get(name)
        if node is None:
            return None
        if node.op_type == "Concat" and _axis(node) in (1, -1):
            widths = [self._width(each) for each in node.input]
            return None if None in widths else sum(each for each in widths if each is not None)
        if node.op_type == "Mul":  # of which one may be a column
            widest = max((self._width(each) or 0 for each in node.input), default=0)
            return widest if widest > 1 else None
        if node.op_type == "Gather" and _axis(node) == 0:
            return self._width(node.input[0])
        if node.op_type == "ReduceSum" and self._adds_rows_up(node):
            return self._width(node.input[0])
        return self._width(node.input[1]) if node.op_type == "MatMul" else None

    def _adds_rows_up(self, node: onnx.NodeProto) -> bool:
        """Whether a sum over ``[L, D]`` is ``[1, D]``."""
        axes = self._constants.get(node.input[1]) if len(node.input) > 1 else None
        keeps = all(each.i for each in node.attribute if each.name == "keepdims")
        return axes is not None and keeps and numpy_helper.to_array(axes).tolist() == [0]

    def _is_shared(self, name: str) -> bool:
        """Whether all rows are the same."""
        node = self._made_by.get(name)
        if node is None:
            return False
        if node.op_type == "Gather" and _axis(node) == 0:
            return node.input[0] not in self._of_rows and self._is_shared(node.input[1])
        if node.op_type != "ConstantOfShape":
            return False
        values = [numpy_helper.to_array(each.t) for each in node.attribute]
        return [each.tolist() for each in values if each.dtype == np.int64] == [[0]]

    def _shared_factor(self, name: str) -> tuple[str, str] | None:
        """The shared one of two factors of the same width, and the other."""
        node = self._made_by.get(name)
        if node is None or node.op_type != "Mul":
            return None
        first, second = node.input
        if self._width(first) != self._width(second):
            return None
        if self._is_shared(first) == self._is_shared(second):
            return None
        return (first, second) if self._is_shared(first) else (second, first)

    def _once(self, name: str, made: list[onnx.NodeProto]) -> str:
        """One of the rows that are all the same, ``[1, D]``, or one of their indices, ``[1]``."""
        node = self._made_by[name]
        if node.op_type == "ConstantOfShape":
            return self._constant(np.zeros(1, np.int64))
        index = self._once(node.input[1], made)
        return self._node("Gather", [node.input[0], index], made, axis=0)

    def _product(
        self, parts: Sequence[str], matrix: str, start: str, made: list[onnx.NodeProto]
    ) -> str:
        rows = parts[0]
        if len(parts) > 1:
            rows = self._node("Concat", parts, made, axis=1)
        return self._node("Gemm", [rows, matrix, *([start] if start else [])], made, transB=1)

    def _node(
        self, op: str, inputs: Sequence[str], made: list[onnx.NodeProto], **attributes: Any
    ) -> str:
        output = f"{_PREFIX}{next(self._numbers)}"
        made.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def _constant(self, value: Array) -> str:
        name = f"{_PREFIX}constant_{next(self._numbers)}"
        self._graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name


def _axis(node: onnx.NodeProto) -> int | None:
    """The axis that a node works on: 0 where it says none, ``None`` for none in particular."""
    return next((each.i for each in node.attribute if each.name == "axis"), 0)
