"""A product takes once what all of its rows have in common, and gives what it gave."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from din_core.serving.graphs.shared_rows import with_shared_rows_apart
from din_core.serving.graphs.tracing import session_on

TABLE = np.array([[0, 0], [1, 2], [3, 5], [-1, 4]], np.float32)
PAST = np.array([1, 2])  # whose rows add up to 4 and 7
WEIGHT = np.arange(24, dtype=np.float32).reshape(3, 8) / 10
BIAS = np.array([1, 0, -1], np.float32)
PLACES = [1, 3, 0, 2]

PARSED = """
<ir_version: 10, opset_import: ["" : 20]>
made (int64[length] past, int64[rows] place) => (float[rows, three] y)
{
    n = Shape (place)
    zeros = ConstantOfShape <value = int64[1] {INDEX}> (n)
    history = Gather (table, past)
    total = ReduceSum <keepdims = 1> (history, first)
    s = Gather <axis = 0> (total, zeros)
    t = Gather <axis = 0> (table, place)
    x = Mul (t, t)
    st = Mul (PRODUCT)
    row = Concat <axis = 1> (PARTS)
    y = OPERATION
}
"""
GEMM = "Gemm <transB = 1> (row, weight, bias)"


def make_graph(parts, operation=GEMM, product="s, t", index=0):
    text = PARSED.replace("INDEX", str(index)).replace("PRODUCT", product)
    model = onnx.parser.parse_model(text.replace("PARTS", parts).replace("OPERATION", operation))
    width = 2 * len(parts.split(","))
    constants = {
        "first": np.array([0]),
        "table": TABLE,
        "weight": WEIGHT[:, :width],
        "columns": WEIGHT[:, :width].T,
        "bias": BIAS,
    }
    model.graph.initializer.extend(
        numpy_helper.from_array(np.ascontiguousarray(value), name)
        for name, value in constants.items()
    )
    return model


def expected(parts, bias):
    t = TABLE[PLACES]
    s = np.array([[4, 7]] * 4)
    values = {"x": t * t, "s": s, "st": s * t, "t": t}
    row = np.concatenate([values[name] for name in parts.split(", ")], axis=1)
    return row @ WEIGHT[:, : row.shape[1]].T + bias


def run(model, places=PLACES):
    feed = {"past": PAST, "place": np.array(places, np.int64)}
    return session_on(model.SerializeToString()).run(None, feed)[0]


def inputs_of_products(model):
    """What the products of a graph multiply, and how wide the constant ones are."""
    sizes = {each.name: list(each.dims) for each in model.graph.initializer}
    return [
        (node.input[0], sizes.get(node.input[1]))
        for node in model.graph.node
        if node.op_type in ("Gemm", "MatMul")
    ]


@pytest.mark.parametrize(
    ("parts", "n_products"),
    [
        ("x, t, s, st", 3),  # of s, of t, of x
        ("st, x", 2),  # of t, of x
        ("s, x", 2),
        ("st, s", 2),
        ("st, st, t, s", 2),
    ],
)
@pytest.mark.parametrize("product", ["s, t", "t, s"])
@pytest.mark.parametrize(
    ("operation", "bias"), [(GEMM, BIAS), ("MatMul (row, columns)", 0)], ids=["gemm", "matmul"]
)
def test_products_give_what_they_gave(parts, n_products, product, operation, bias):
    apart = with_shared_rows_apart(make_graph(parts, operation, product), ["place"])
    onnx.checker.check_model(apart, full_check=True)
    np.testing.assert_allclose(run(apart), expected(parts, bias), rtol=1e-6)
    assert run(apart, []).shape == (0, 3)
    assert len(inputs_of_products(apart)) == n_products
    # Nothing repeats the row that all have in common.
    assert "s" not in {name for node in apart.graph.node for name in (*node.input, *node.output)}


def test_the_rows_own_part_keeps_its_constant_columns():
    apart = with_shared_rows_apart(make_graph("x, t, s, st"), ["place"])
    assert inputs_of_products(apart)[-1] == ("x", [3, 2])
    assert all(each.name != "weight" for each in apart.graph.initializer)


@pytest.mark.parametrize(
    "changes",
    [
        {"parts": "x, t"},  # nothing in common
        {"parts": "x, t, s, st", "index": 1},  # not the one row that there is
        {"parts": "s, s"},  # and no row of its own that would tell how many there are
        {"parts": "x, st", "product": "t, t"},
        {"parts": "x, s", "operation": "Gemm <transB = 1, alpha = 2.0> (row, weight, bias)"},
    ],
)
def test_what_has_nothing_to_take_out_stays_as_it_is(changes):
    model = make_graph(**changes)
    apart = with_shared_rows_apart(model, ["place"])
    assert inputs_of_products(apart) == inputs_of_products(model)
