"""A graph in blocks answers as the whole one, whatever the number of rows."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from din_core.serving.graphs.blocks import in_blocks
from din_core.serving.graphs.tracing import session_on

PARSED = """
<ir_version: 10, opset_import: ["" : 20]>
made (float[length] history, float[rows] x, int64[rows] place) => (float[rows] y)
<float two = {2.0}, float same = {2.0}, float minus = {1.0}>
{
    four = Mul (two, same)
    total = ReduceSum <keepdims = 0> (history)
    share = Mul (total, four)
    shifted = Sub (x, minus)
    looked = Cast <to = 1> (place)
    product = Mul (shifted, share)
    y = Add (product, looked)
}
"""


def make_graph():
    return onnx.parser.parse_model(PARSED)


def run(model, n):
    x, place = np.arange(n, dtype=np.float32), np.arange(n) * 10
    feed = {"history": np.array([1, 2], np.float32), "x": x, "place": place}
    return session_on(model.SerializeToString()).run(None, feed)[0]


@pytest.mark.parametrize("n", [0, 1, 3, 4, 5, 7, 8, 9, 100])
def test_rows_in_blocks_answer_as_all_at_once(n):
    blocked = in_blocks(make_graph(), {"x": 0.0, "place": 0}, 4)
    onnx.checker.check_model(blocked, full_check=True)
    # (x - 1) * (1 + 2) * 4 + 10 x
    assert run(blocked, n).tolist() == [(x - 1) * 12 + 10 * x for x in range(n)]


def test_what_depends_on_no_row_is_computed_once_and_what_depends_on_nothing_never():
    blocked = in_blocks(make_graph(), {"x": 0.0, "place": 0}, 4)
    outside = [each.op_type for each in blocked.graph.node]
    [scan] = [each for each in blocked.graph.node if each.op_type == "Scan"]
    [body] = [each.g for each in scan.attribute if each.name == "body"]
    assert "ReduceSum" in outside
    assert [each.op_type for each in body.node] == ["Sub", "Cast", "Mul", "Add"]
    constants = {
        float(numpy_helper.to_array(each)): each.name
        for each in (*blocked.graph.initializer, *body.initializer)
        if each.data_type == TensorProto.FLOAT
    }
    assert set(constants) == {8.0 / 2, 1.0}  # 2 * 2, and what is subtracted in the blocks
    assert [each.name for each in body.initializer] == [constants[1.0]]


SIZED = """
<ir_version: 10, opset_import: ["" : 20]>
made (float[rows] x, float[other] z) => (float[rows] y)
<int64[1] two = {2}, int64[1] minus = {-1}>
{
    n = Shape <start = 0, end = 1> (x)
    m = Shape (x)
    shape = Concat <axis = 0> (n, two)
    ones = ConstantOfShape <value = float[1] {1.0}> (shape)
    zeros = ConstantOfShape (m)
    total = ReduceSum <keepdims = 0> (z)
    shifted = Add (x, zeros)
    column = Unsqueeze (shifted, minus)
    pairs = Mul (column, ones)
    sums = ReduceSum <keepdims = 0> (pairs, minus)
    y = Mul (sums, total)
}
"""


@pytest.mark.parametrize("n", [0, 1, 4, 5, 9])
def test_what_depends_on_the_number_of_rows_alone_is_computed_once(n):
    blocked = in_blocks(onnx.parser.parse_model(SIZED), {"x": 0.0}, 4)
    onnx.checker.check_model(blocked, full_check=True)
    [scan] = [each for each in blocked.graph.node if each.op_type == "Scan"]
    [body] = [each.g for each in scan.attribute if each.name == "body"]
    inside = [each.op_type for each in body.node]
    assert inside == ["Add", "Unsqueeze", "Mul", "ReduceSum", "Mul"]
    feed = {"x": np.arange(n, dtype=np.float32), "z": np.array([1, 2], np.float32)}
    [answer] = session_on(blocked.SerializeToString()).run(None, feed)
    assert answer.tolist() == [6 * x for x in range(n)]  # (x + x) * (1 + 2)


def test_the_size_of_another_axis_is_no_number_of_rows():
    other = onnx.parser.parse_model(SIZED.replace("end = 1> (x)", "end = 1> (z)"))
    blocked = in_blocks(other, {"x": 0.0}, 4)
    assert ["z"] in [each.input for each in blocked.graph.node if each.op_type == "Shape"]
    feed = {"x": np.arange(5, dtype=np.float32), "z": np.array([3], np.float32)}
    [answer] = session_on(blocked.SerializeToString()).run(None, feed)
    assert answer.tolist() == [0, 6, 12, 18, 24]


WIDE = """
<ir_version: 10, opset_import: ["" : 20]>
made (float[rows] x) => (float[rows] y)
<int64[1] minus = {-1}>
{
    column = Unsqueeze (x, minus)
    pairs = Concat <axis = 1> (column, column)
    width = Shape <start = 1, end = 2> (pairs)
    both = Shape (pairs)
    ones = ConstantOfShape <value = float[1] {1.0}> (width)
    halves = ConstantOfShape <value = float[1] {0.5}> (both)
    weighed = Mul (pairs, ones)
    halved = Mul (weighed, halves)
    y = ReduceSum <keepdims = 0> (halved, minus)
}
"""


def test_of_a_table_of_rows_neither_its_width_nor_its_shape_is_their_number():
    blocked = in_blocks(onnx.parser.parse_model(WIDE), {"x": 0.0}, 4)
    [answer] = session_on(blocked.SerializeToString()).run(None, {"x": np.arange(5.0, dtype="f")})
    assert answer.tolist() == [0, 1, 2, 3, 4]


def test_equal_constants_are_one():
    nodes = [
        helper.make_node("Add", ["x", "a"], ["u"]),
        helper.make_node("Identity", ["a"], ["b"]),
        helper.make_node("Add", ["u", "b"], ["v"]),
        helper.make_node("Add", ["v", "c"], ["y"]),
    ]
    value = np.float32(3.0)
    graph = helper.make_graph(
        nodes,
        "sums",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows"])],
        [numpy_helper.from_array(np.array(value), name) for name in ("a", "c")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    blocked = in_blocks(model, {"x": 0.0}, 2)
    [scan] = [each for each in blocked.graph.node if each.op_type == "Scan"]
    [body] = [each.g for each in scan.attribute if each.name == "body"]
    assert len(body.initializer) == 1
    answer = session_on(blocked.SerializeToString()).run(None, {"x": np.zeros(3, np.float32)})[0]
    assert answer.tolist() == [9.0] * 3
