"""The Open Inference Protocol, version 2, over HTTP: health, metadata and inference.

Tensors travel as JSON or as bytes behind the JSON (the extension for binary tensor data, which
``tritonclient`` uses unless it is told not to). The model names are the bundle's graphs, without
their suffix: ``rank``, ``score``, ``din`` and so on.
Source: https://github.com/kserve/open-inference-protocol, ``inference_rest.md``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import onnxruntime

from din_core.errors import WrongRequestError

Array = np.ndarray[Any, Any]

#: Data type of the protocol, by the type that onnxruntime gives.
DATATYPES = {
    "tensor(int64)": "INT64",
    "tensor(float)": "FP32",
    "tensor(string)": "BYTES",
}
_NUMPY: Mapping[str, np.dtype[Any]] = {"INT64": np.dtype("<i8"), "FP32": np.dtype("<f4")}
HEADER_LENGTH = "Inference-Header-Content-Length"


def metadata(name: str, version: str, session: onnxruntime.InferenceSession) -> dict[str, Any]:
    """Describe a graph as the protocol does; a size that is free is -1."""
    return {
        "name": name,
        "versions": [version],
        "platform": "onnx_onnxv1",
        "inputs": [_tensor_metadata(each) for each in session.get_inputs()],
        "outputs": [_tensor_metadata(each) for each in session.get_outputs()],
    }


def _tensor_metadata(tensor: Any) -> dict[str, Any]:
    shape = [size if isinstance(size, int) else -1 for size in tensor.shape]
    return {"name": tensor.name, "datatype": DATATYPES[tensor.type], "shape": shape}


def read_request(
    body: bytes, header_length: int | None, session: onnxruntime.InferenceSession
) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return what was asked, and the arrays that the graph takes.

    Args:
        body: The request's body.
        header_length: Bytes of JSON in front of binary tensors; None where all is JSON.
        session: The graph.

    Raises:
        WrongRequestError: The body is not what the protocol or the graph wants.
    """
    if header_length is not None and not 0 <= header_length <= len(body):
        raise WrongRequestError(
            f"{HEADER_LENGTH} is {header_length}, and the body has {len(body)} bytes"
        )
    try:
        decoded = json.loads(body[:header_length])
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise WrongRequestError(f"the body is not JSON: {error}") from None
    except (RecursionError, ValueError) as error:  # or a number of thousands of digits
        raise WrongRequestError(f"the body cannot be read as JSON: {error}") from None
    if not isinstance(decoded, dict):
        raise WrongRequestError("the body is not a JSON object with the field 'inputs'")
    request = cast("dict[str, Any]", decoded)
    inputs = request.get("inputs")
    if not isinstance(inputs, list):
        raise WrongRequestError("inputs: missing, or not a list of tensors")
    rest = memoryview(body)[len(body) if header_length is None else header_length :]
    arrays: dict[str, Array] = {}
    expected = {each.name: each for each in session.get_inputs()}
    for place, tensor in enumerate(cast("list[Any]", inputs)):
        name, array, rest = _read_tensor(f"inputs[{place}]", tensor, expected, rest)
        if name in arrays:
            raise WrongRequestError(f"inputs[{place}].name: '{name}' is sent twice")
        arrays[name] = array
    if rest:
        raise WrongRequestError(
            f"{len(rest)} bytes behind the last binary tensor belong to no input"
        )
    if missing := [name for name in expected if name not in arrays]:
        raise WrongRequestError(
            f"inputs: {missing[0]!r} is missing; the model takes {list(expected)}"
        )
    return request, arrays


def _read_tensor(
    field: str, tensor: Any, expected: Mapping[str, Any], rest: memoryview
) -> tuple[str, Array, memoryview]:
    if not isinstance(tensor, dict):
        raise WrongRequestError(f"{field}: not an object with name, shape, datatype and data")
    of = cast("dict[str, Any]", tensor)
    name = of.get("name")
    if not isinstance(name, str) or name not in expected:
        raise WrongRequestError(f"{field}.name: {name!r} is none of {list(expected)}")
    wanted = DATATYPES[expected[name].type]
    if of.get("datatype") != wanted:
        raise WrongRequestError(
            f"{field}.datatype: '{name}' is {wanted}, not {of.get('datatype')!r}"
        )
    shape = _read_shape(f"{field}.shape", of.get("shape"), expected[name])
    n_bytes = _parameter(of, "binary_data_size")
    if n_bytes is None:
        return name, _from_json(f"{field}.data", of.get("data"), shape, wanted), rest
    if not isinstance(n_bytes, int) or not 0 <= n_bytes <= len(rest):
        raise WrongRequestError(
            f"{field}.parameters.binary_data_size: {n_bytes!r}, and {len(rest)} bytes are left"
        )
    return name, _from_bytes(field, rest[:n_bytes], shape, wanted), rest[n_bytes:]


def _read_shape(field: str, shape: Any, expected: Any) -> tuple[int, ...]:
    sizes = cast("list[Any]", shape) if isinstance(shape, list) else None
    if sizes is None or not all(type(size) is int and size >= 0 for size in sizes):
        raise WrongRequestError(f"{field}: {shape!r} is not a list of sizes")
    fixed = [size if isinstance(size, int) else None for size in expected.shape]
    if len(sizes) != len(fixed) or any(
        want is not None and want != size for want, size in zip(fixed, sizes, strict=True)
    ):
        wanted = [-1 if size is None else size for size in fixed]
        raise WrongRequestError(f"{field}: {sizes} does not fit {wanted}, where -1 is any size")
    return tuple(sizes)


def _from_json(field: str, data: Any, shape: tuple[int, ...], datatype: str) -> Array:
    if not isinstance(data, list):
        raise WrongRequestError(f"{field}: missing, or not a list")
    values = _flattened(cast("list[Any]", data))
    if len(values) != math.prod(shape):
        raise WrongRequestError(
            f"{field}: {len(values)} values do not fill the shape {list(shape)}"
        )
    wanted = {"INT64": (int,), "FP32": (int, float), "BYTES": (str,)}[datatype]
    for value in values:
        if isinstance(value, bool) or not isinstance(value, wanted):
            raise WrongRequestError(f"{field}: {value!r} is no value of {datatype}")
    if datatype == "BYTES":
        for value in values:
            try:
                value.encode()
            except UnicodeEncodeError:
                raise WrongRequestError(f"{field}: {value!r} is not UTF-8") from None
        return np.array(values, dtype=object).reshape(shape)
    try:
        with np.errstate(over="ignore"):
            array = np.array(values, dtype=_NUMPY[datatype]).reshape(shape)
    except OverflowError:
        array = None
    if array is None or np.isinf(array).any():
        raise WrongRequestError(f"{field}: a value lies outside of {datatype}")
    return array


def _flattened(data: Sequence[Any]) -> list[Any]:
    """The values of nested lists in row-major order; the protocol allows both forms."""
    values: list[Any] = list(data)
    while any(isinstance(each, list) for each in values):
        values = [
            value
            for each in values
            for value in (cast("list[Any]", each) if isinstance(each, list) else [each])
        ]
    return values


def _from_bytes(field: str, raw: memoryview, shape: tuple[int, ...], datatype: str) -> Array:
    if datatype == "BYTES":
        return _strings_from_bytes(field, raw, shape)
    dtype = _NUMPY[datatype]
    if len(raw) != math.prod(shape) * dtype.itemsize:
        raise WrongRequestError(f"{field}: {len(raw)} bytes do not fill {datatype} {list(shape)}")
    return np.frombuffer(raw, dtype).reshape(shape)


def _strings_from_bytes(field: str, raw: memoryview, shape: tuple[int, ...]) -> Array:
    """Strings as the protocol packs them: each after its length, four bytes, little-endian."""
    values: list[str] = []
    place = 0
    while place < len(raw):
        start = place + 4
        place = start + int.from_bytes(raw[place:start], "little")
        if start > len(raw) or place > len(raw):
            raise WrongRequestError(f"{field}: string {len(values)} ends behind the tensor")
        try:
            values.append(str(raw[start:place], "utf-8"))
        except UnicodeDecodeError:
            raise WrongRequestError(f"{field}: string {len(values)} is not UTF-8") from None
    if len(values) != math.prod(shape):
        raise WrongRequestError(
            f"{field}: {len(values)} strings do not fill the shape {list(shape)}"
        )
    return np.array(values, dtype=object).reshape(shape)


def answer(
    request: Mapping[str, Any],
    arrays: Mapping[str, Array],
    name: str,
    version: str,
    session: onnxruntime.InferenceSession,
) -> tuple[bytes, int | None]:
    """Run the graph.

    Args:
        request: What :func:`read_request` returned, as the next one.
        arrays: Input name to array.
        name: The graph's name.
        version: The bundle's.
        session: The graph.

    Returns:
        Body of the response, and how much of it is JSON where tensors follow as bytes.

    Raises:
        WrongRequestError: An output that the graph lacks, or inputs whose sizes do not fit.
    """
    asked = _asked_outputs(request, [each.name for each in session.get_outputs()])
    try:
        results = cast("list[Array]", session.run(list(asked), dict(arrays)))
    except Exception as error:
        # onnxruntime has no public exception types; sizes that differ between inputs end here.
        shapes = {each: list(array.shape) for each, array in arrays.items()}
        raise WrongRequestError(f"inputs: shapes {shapes} do not fit together") from error
    outputs: list[dict[str, Any]] = []
    blobs: list[bytes] = []
    for (output, is_binary), array in zip(asked.items(), results, strict=True):
        tensor: dict[str, Any] = {"name": output, "datatype": "FP32", "shape": list(array.shape)}
        if is_binary:
            blobs.append(np.ascontiguousarray(array, _NUMPY["FP32"]).tobytes())
            tensor["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            tensor["data"] = array.ravel().tolist()
        outputs.append(tensor)
    response: dict[str, Any] = {"model_name": name, "model_version": version, "outputs": outputs}
    if isinstance(request.get("id"), str):
        response["id"] = request["id"]
    head = json.dumps(response).encode()
    return b"".join([head, *blobs]), len(head) if blobs else None


def _asked_outputs(request: Mapping[str, Any], known: Sequence[str]) -> dict[str, bool]:
    """Output name to whether it is wanted as bytes."""
    everywhere = bool(_parameter(request, "binary_data_output"))
    outputs = request.get("outputs")
    if outputs is None:
        return dict.fromkeys(known, everywhere)
    if not isinstance(outputs, list):
        raise WrongRequestError("outputs: not a list")
    asked: dict[str, bool] = {}
    for place, output in enumerate(cast("list[Any]", outputs)):
        of = cast("dict[str, Any]", output) if isinstance(output, dict) else {}
        if of.get("name") not in known:
            raise WrongRequestError(
                f"outputs[{place}].name: {of.get('name')!r} is none of {list(known)}"
            )
        binary = _parameter(of, "binary_data")
        asked[of["name"]] = everywhere if binary is None else bool(binary)
    return asked


def _parameter(of: Mapping[str, Any], name: str) -> Any:
    parameters = of.get("parameters")
    return cast("dict[str, Any]", parameters).get(name) if isinstance(parameters, dict) else None
