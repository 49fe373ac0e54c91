"""From a torch module to an ONNX graph without traces of the machine, and from a graph to a file.

By torch's tracer, and not by ``torch.export``, which takes 30 times as long: most of it to import
torch's compiler. What tracing may miss, a size that it takes for a constant,
:mod:`din_core.serving.graphs.parity` finds.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import onnx.version_converter
import onnxruntime
import torch
from torch import nn

from din_core.atomic_files import replacing
from din_core.errors import DinError
from din_core.network.layers.attention import plain_formula
from din_core.network.layers.mlp import folded_layers
from din_core.network.models import ClickModel

_log = logging.getLogger(__name__)

Array = np.ndarray[Any, Any]
#: Axis to the name of its free size, by input or output.
Axes = Mapping[str, Mapping[int, str]]

OUTPUT_NAME = "probability"
OPSET = 20
OPSETS = range(18, 26)
_TRACED_OPSET = 20  # the last one that torch traces to; ONNX's own converter makes later ones
LARGEST_FILE = 2**31 - 2**24  # protobuf's limit, less room for the graph itself


class ExportError(DinError, ValueError):
    """A model cannot be written as ONNX; the message says why and what to change."""


def traced(
    module: nn.Module,
    example: Mapping[str, Array],
    axes: Axes,
    outputs: Axes,
    opset: int = OPSET,
) -> onnx.ModelProto:
    """Trace a module whose arguments are the inputs in their order.

    Args:
        module: In evaluation mode, on the CPU, without kernels; see :func:`ready_for_export`.
        example: Input name to an array that it is traced with, in the order of the arguments.
        axes: Free sizes of the inputs.
        outputs: Free sizes of the outputs, in their order.
        opset: Version of ONNX's operators, one of :data:`OPSETS`.

    Returns:
        The graph, which takes every input, also one that nothing comes of.
    """
    file = io.BytesIO()
    names = list(example)
    with _without_exporter_noise(), folded_layers(module), torch.no_grad():
        torch.onnx.export(
            module,
            tuple(torch.from_numpy(each) for each in example.values()),
            cast("Any", file),  # as tracing takes it; the signature knows paths only
            dynamo=False,
            dynamic_axes={
                name: dict(free) for name, free in {**axes, **outputs}.items() if len(free)
            },
            input_names=names,
            output_names=list(outputs),
            opset_version=min(opset, _TRACED_OPSET),
        )
    graph = onnx.load_from_string(file.getvalue())
    _restore_unused_inputs(graph.graph, names, example, axes)
    for node in graph.graph.node:
        if node.op_type == "Reshape":
            # A size of 0 means "no position" here; without this, ONNX takes it for "as it was".
            kept = [each for each in node.attribute if each.name != "allowzero"]
            del node.attribute[:]
            node.attribute.extend([*kept, onnx.helper.make_attribute("allowzero", 1)])
    if opset > _TRACED_OPSET:
        graph = onnx.version_converter.convert_version(graph, opset)
    return _without_traces(graph)


def require_writable(
    model: ClickModel, path: Path, opset: int = OPSET, more_bytes: int = 0
) -> None:
    """Refuse an opset that is not written, and a model that one ONNX file does not hold.

    Args:
        model: What is to be written.
        path: Where to, for the message.
        opset: Version of ONNX's operators.
        more_bytes: What goes into the file beside the weights.

    Raises:
        ExportError: Either.
    """
    if opset not in OPSETS:
        raise ExportError(
            f"opset {opset} is not written here, only {OPSETS[0]} to {OPSETS[-1]}; leave it out "
            f"for {OPSET}"
        )
    n_bytes = weight_bytes(model) + more_bytes
    if n_bytes > LARGEST_FILE:
        raise ExportError(
            f"{path}: the weights take {n_bytes / 2**30:.1f} GiB and an ONNX file holds 2 GiB; "
            "train with a smaller embed_dim or without the user's embedding"
        )


def session_on(graph: Path | str | bytes) -> onnxruntime.InferenceSession:
    """A session that lives shortly, on a file or its content: one thread, sums in one order."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    source = str(graph) if isinstance(graph, Path) else graph
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def weight_bytes(model: ClickModel) -> int:
    """Bytes of a model's weights."""
    return sum(each.numel() * each.element_size() for each in model.state_dict().values())


def write_graph(graph: onnx.ModelProto, path: Path) -> Path:
    """Check a graph and write it, the same bytes for the same graph.

    Raises:
        onnx.checker.ValidationError: The graph is not valid ONNX.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.checker.check_model(graph, full_check=True)
    with replacing(path) as temporary:
        temporary.write_bytes(graph.SerializeToString(deterministic=True))
    _log.info("wrote %s, %.1f kB", path, path.stat().st_size / 1e3)
    return path


@contextmanager
def ready_for_export(model: ClickModel) -> Generator[ClickModel]:
    """The model in evaluation mode, on the CPU and without kernels, and back as it was."""
    was_training = model.training
    device = next(model.parameters()).device
    try:
        with plain_formula(model):
            yield model.eval().cpu()
    finally:
        model.train(was_training).to(device)


def _restore_unused_inputs(
    graph: onnx.GraphProto,
    names: Sequence[str],
    example: Mapping[str, Array],
    axes: Axes,
) -> None:
    """Let the graph take every input of the model, also what this one makes nothing of.

    The exporter drops those, and a server that sends what the model names would be refused.
    """
    by_name = {each.name: each for each in graph.input}
    for name in names:
        if name not in by_name:
            kind = onnx.helper.np_dtype_to_tensor_dtype(example[name].dtype)
            sizes = [axes.get(name, {}).get(axis, n) for axis, n in enumerate(example[name].shape)]
            by_name[name] = onnx.helper.make_tensor_value_info(name, kind, sizes)
    del graph.input[:]
    graph.input.extend(by_name[name] for name in names)


@contextmanager
def _without_exporter_noise() -> Generator[None]:
    """Keep quiet what torch 2.13's exporter says about itself and nobody here can act on."""
    with warnings.catch_warnings():
        # That there is another exporter, and its own use of its own deprecated function.
        warnings.filterwarnings("ignore", "You are using the legacy", DeprecationWarning)
        warnings.filterwarnings("ignore", "The feature will be removed", DeprecationWarning)
        # The widths that a feature's values are checked for do not depend on the batch.
        warnings.filterwarnings("ignore", "Converting a tensor to a Python")
        yield


def _without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop what the exporter notes down about its sources, such as paths of this machine."""
    graph = model.graph
    parts = (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info)
    for part in (*parts, *graph.initializer, *model.functions):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for node in graph.node:
        assert not any(each.HasField("g") for each in node.attribute), "a subgraph keeps its traces"
    return model
