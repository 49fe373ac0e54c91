"""The Open Inference Protocol: what is read, what is answered, what is refused."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from din_core.errors import WrongRequestError
from din_core.serving.server import open_inference


@pytest.fixture(scope="module")
def session():
    """Adds one to each number, and passes names on as how many there are of them."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["index"], ["number"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["number", "one"], ["total"]),
            helper.make_node("Size", ["names"], ["n"]),
            helper.make_node("Cast", ["n"], ["n_names"], to=TensorProto.FLOAT),
        ],
        "increment",
        [
            helper.make_tensor_value_info("index", TensorProto.INT64, ["batch"]),
            helper.make_tensor_value_info("names", TensorProto.STRING, ["batch", 2]),
        ],
        [
            helper.make_tensor_value_info("total", TensorProto.FLOAT, ["batch"]),
            helper.make_tensor_value_info("n_names", TensorProto.FLOAT, []),
        ],
        [helper.make_tensor("one", TensorProto.FLOAT, [], [1.0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return onnxruntime.InferenceSession(
        onnx.ModelProto.SerializeToString(model), providers=["CPUExecutionProvider"]
    )


def _inputs(index=(5, 7), names=("a", "b", "c", "ü")):
    return [
        {"name": "index", "datatype": "INT64", "shape": [len(index)], "data": list(index)},
        {"name": "names", "datatype": "BYTES", "shape": [len(index), 2], "data": list(names)},
    ]


def _infer(session, request, tail=b""):
    body = json.dumps(request).encode()
    read = open_inference.read_request(body + tail, len(body) if tail else None, session)
    return open_inference.answer(*read, "increment", "3", session)


def test_metadata_writes_a_free_size_as_minus_one(session):
    assert open_inference.metadata("increment", "3", session) == {
        "name": "increment",
        "versions": ["3"],
        "platform": "onnx_onnxv1",
        "inputs": [
            {"name": "index", "datatype": "INT64", "shape": [-1]},
            {"name": "names", "datatype": "BYTES", "shape": [-1, 2]},
        ],
        "outputs": [
            {"name": "total", "datatype": "FP32", "shape": [-1]},
            {"name": "n_names", "datatype": "FP32", "shape": []},
        ],
    }


def test_tensors_of_json_are_answered_in_json(session):
    body, n_json = _infer(session, {"id": "42", "inputs": _inputs()})
    assert n_json is None
    assert json.loads(body) == {
        "model_name": "increment",
        "model_version": "3",
        "id": "42",
        "outputs": [
            {"name": "total", "datatype": "FP32", "shape": [2], "data": [6.0, 8.0]},
            {"name": "n_names", "datatype": "FP32", "shape": [], "data": [4.0]},
        ],
    }


def test_nested_data_is_the_same_as_flat(session):
    inputs = _inputs()
    inputs[1]["data"] = [["a", "b"], ["c", "ü"]]
    assert _infer(session, {"inputs": inputs}) == _infer(session, {"inputs": _inputs()})


def test_binary_tensors_are_read_and_answered_in_bytes(session):
    index = np.array([5, 7], "<i8").tobytes()
    packed = [each.encode() for each in ("a", "", "c", "ü")]
    names = b"".join(len(each).to_bytes(4, "little") + each for each in packed)
    inputs = [
        {**tensor, "parameters": {"binary_data_size": len(raw)}}
        for tensor, raw in zip(_inputs(), (index, names), strict=True)
    ]
    asked = [{"name": "total", "parameters": {"binary_data": True}}, {"name": "n_names"}]
    body, n_json = _infer(session, {"inputs": inputs, "outputs": asked}, index + names)
    head = json.loads(body[:n_json])
    assert head["outputs"][0]["parameters"] == {"binary_data_size": 8}
    assert head["outputs"][1]["data"] == [4.0]
    assert np.frombuffer(body[n_json:], "<f4").tolist() == [6.0, 8.0]


def test_every_output_is_bytes_where_the_request_says_so(session):
    body, n_json = _infer(
        session, {"inputs": _inputs(), "parameters": {"binary_data_output": True}}
    )
    assert np.frombuffer(body[n_json:], "<f4").tolist() == [6.0, 8.0, 4.0]


def _changed(place, **fields):
    inputs = _inputs()
    inputs[place] = {**inputs[place], **fields}
    return {"inputs": inputs}


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ([], "not a JSON object"),
        ({}, "inputs: missing"),
        ({"inputs": {}}, "inputs: missing, or not a list"),
        ({"inputs": [3]}, r"inputs\[0\]: not an object"),
        ({"inputs": _inputs()[:1]}, "inputs: 'names' is missing"),
        ({"inputs": [*_inputs(), _inputs()[0]]}, r"inputs\[2\].name: 'index' is sent twice"),
        (_changed(0, name="indices"), r"inputs\[0\].name: 'indices' is none of \['index', 'names"),
        (_changed(0, datatype="INT32"), r"inputs\[0\].datatype: 'index' is INT64, not 'INT32'"),
        (_changed(0, shape=[2, 1]), r"inputs\[0\].shape: \[2, 1\] does not fit \[-1\]"),
        (_changed(0, shape=[-1]), r"inputs\[0\].shape: \[-1\] is not a list of sizes"),
        (_changed(1, shape=[1, 4]), r"inputs\[1\].shape: \[1, 4\] does not fit \[-1, 2\]"),
        (_changed(0, data=[1]), r"inputs\[0\].data: 1 values do not fill the shape \[2\]"),
        (_changed(0, data=[1, 2.5]), r"inputs\[0\].data: 2.5 is no value of INT64"),
        (_changed(0, data=[1, True]), r"inputs\[0\].data: True is no value of INT64"),
        (_changed(0, data=[1, None]), r"inputs\[0\].data: None is no value of INT64"),
        (_changed(0, data=[1, 2**63]), r"inputs\[0\].data: a value lies outside of INT64"),
        (_changed(0, data=None), r"inputs\[0\].data: missing"),
        (_changed(0, parameters={"binary_data_size": 8}), "binary_data_size: 8, and 0 bytes are"),
        ({"inputs": _inputs(), "outputs": [{"name": "sum"}]}, r"outputs\[0\].name: 'sum' is none"),
        ({"inputs": _inputs(), "outputs": "total"}, "outputs: not a list"),
    ],
)
def test_a_wrong_request_is_refused_with_its_field(session, request_, sentence):
    with pytest.raises(WrongRequestError, match=sentence):
        _infer(session, request_)


@pytest.mark.parametrize(
    ("body", "length", "sentence"),
    [
        (b"{", None, "the body is not JSON"),
        (b"\xff", None, "the body is not JSON"),
        (b"{}", 5, "Inference-Header-Content-Length is 5, and the body has 2 bytes"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(session, body, length, sentence):
    with pytest.raises(WrongRequestError, match=sentence):
        open_inference.read_request(body, length, session)


def _with_bytes(place, raw, others=b""):
    request = _changed(place, parameters={"binary_data_size": len(raw)})
    return request, raw + others


@pytest.mark.parametrize(
    ("place", "raw", "others", "sentence"),
    [
        (0, b"1234567", b"", "7 bytes do not fill INT64"),
        (1, b"\x01\x00\x00\x00a", b"", "1 strings do not fill the shape"),
        (1, b"\x09\x00\x00\x00a", b"", "string 0 ends behind the tensor"),
        (1, b"\x01\x00", b"", "string 0 ends behind the tensor"),
        (1, b"\x01\x00\x00\x00\xff", b"", "string 0 is not UTF-8"),
        (0, b"0123456701234567", b"x", "1 bytes behind the last binary tensor"),
    ],
)
def test_bytes_that_do_not_fit_are_refused(session, place, raw, others, sentence):
    request, tail = _with_bytes(place, raw, others)
    with pytest.raises(WrongRequestError, match=sentence):
        _infer(session, request, tail)


def test_sizes_that_do_not_fit_each_other_are_refused_not_crashed():
    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["total"])],
        "add",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "ab"],
        [helper.make_tensor_value_info("total", TensorProto.FLOAT, ["n"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    add = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    inputs = [
        {"name": name, "datatype": "FP32", "shape": [n], "data": [0.5] * n}
        for name, n in (("a", 2), ("b", 3))
    ]
    with pytest.raises(WrongRequestError, match="do not fit together"):
        _infer(add, {"inputs": inputs})
