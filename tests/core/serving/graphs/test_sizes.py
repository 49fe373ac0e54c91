"""The size of an axis is read by one node."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from din_core.serving.graphs.sizes import with_sizes_at_once
from din_core.serving.graphs.tracing import session_on

PARSED = """
<ir_version: 10, opset_import: ["" : 20]>
made (float[rows, columns] x) => (int64[n] sizes)
{
    shape = Shape (x)
    rows = Gather <axis = 0> (shape, AXIS)
    as_list = Unsqueeze (rows, zero_in_list)
    sizes = Concat <axis = 0> (as_list, LAST)
}
"""


def make_graph(axis, last="three"):
    text = PARSED.replace("AXIS", axis).replace("LAST", last)
    model = onnx.parser.parse_model(text)
    constants = {"zero": 0, "one": 1, "last": -1, "zero_in_list": [0], "three": [3]}
    model.graph.initializer.extend(
        numpy_helper.from_array(np.array(value), name) for name, value in constants.items()
    )
    return model


@pytest.mark.parametrize(("axis", "size"), [("zero", 5), ("one", 2)])
def test_a_size_is_read_by_one_node(axis, size):
    shorter = with_sizes_at_once(make_graph(axis))
    onnx.checker.check_model(shorter, full_check=True)
    assert [node.op_type for node in shorter.graph.node] == ["Shape", "Concat"]
    [sizes] = session_on(shorter.SerializeToString()).run(None, {"x": np.zeros((5, 2), np.float32)})
    assert sizes.tolist() == [size, 3]


def test_an_axis_counted_from_the_end_is_left_to_three_nodes():
    shorter = with_sizes_at_once(make_graph("last"))
    assert [node.op_type for node in shorter.graph.node][:3] == ["Shape", "Gather", "Unsqueeze"]


def test_a_shape_that_others_read_stays():
    shorter = with_sizes_at_once(make_graph("zero", last="shape"))
    assert sorted(node.op_type for node in shorter.graph.node) == ["Concat", "Shape", "Shape"]
