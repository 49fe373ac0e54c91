"""ONNX export for serving, and the proof that the exported graph predicts what torch predicts.

This is the one place with padded histories, because servers send rectangles: in the graph, index
0 is unknown or padding, which is masked, and so is every index that the model's table lacks.
Shapes: B samples, L padded length; both are free in the exported file, 0 positions and one
sample included.
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
from torch import Tensor, nn

from din_core.atomic_files import replacing
from din_core.errors import DinError
from din_core.network.features import DenseFeature, SequenceFeature
from din_core.network.layers.attention import plain_formula
from din_core.network.models import ClickModel

_log = logging.getLogger(__name__)

OUTPUT_NAME = "probability"
OPSET = 20
OPSETS = range(18, 26)
_TRACED_OPSET = 20  # the last one that torch traces to; ONNX's own converter makes later ones
_FREE_SIZES = ("batch", "length")
LARGEST_FILE = 2**31 - 2**24  # protobuf's limit, less room for the graph itself
#: Difference of two probabilities up to which they count as equal: some hundred roundings of
#: float32, which both sides compute in whatever the weights were trained in.
PARITY_TOLERANCE = 1e-5


class ExportError(DinError, ValueError):
    """A model cannot be written as ONNX; the message says why and what to change."""


def require_parity(model: ClickModel, path: Path | str) -> float:
    """Refuse an exported graph that does not predict what the model predicts.

    Args:
        model: The model that was exported.
        path: What :func:`export_onnx` wrote.

    Returns:
        The largest absolute difference of two probabilities, at most :data:`PARITY_TOLERANCE`.

    Raises:
        ExportError: The difference is larger, or a prediction is NaN.
    """
    difference = parity(model, path)
    if not difference <= PARITY_TOLERANCE:
        raise ExportError(
            f"{Path(path).name}: a probability of the exported graph differs from PyTorch's by "
            f"{difference:.2g}, and {PARITY_TOLERANCE:g} is allowed: nothing is published. Weights "
            "that are huge or NaN do this (lower learning_rate and train again); otherwise it is "
            "a fault of the export, so please report it with the versions of torch and onnxruntime"
        )
    return difference


class PaddedModel(nn.Module):
    """A model on padded histories: the same parameters, the same predictions, rectangles only.

    Evaluation only. Inputs come in the order of :attr:`input_names`, each as
    :meth:`ClickModel.padded_logits` takes it.

    Args:
        model: The model whose parameters are used, not copied.
    """

    def __init__(self, model: ClickModel) -> None:
        super().__init__()
        self.model = model
        self.input_names = [feature.name for feature in model.input_features]

    def forward(self, *inputs: Tensor) -> Tensor:
        """Predict click probabilities ``[B]``."""
        by_name = dict(zip(self.input_names, inputs, strict=True))
        return torch.sigmoid(self.model.padded_logits(by_name))


def export_onnx(
    model: ClickModel, path: Path | str, *, opset: int = OPSET, sizes: tuple[int, int] | None = None
) -> Path:
    """Write the model as one ONNX file, by default with free batch size and sequence length.

    Inputs are named as the features and are int64, those of dense features float32; the output is
    ``probability``, float32 ``[B]``. The file carries no trace of the machine it was made on, and
    the same weights give the same bytes on the same machine.

    Args:
        model: Left as it is: mode, device and kernels are restored.
        path: The file; its directory is made where it does not exist.
        opset: Version of ONNX's operators, one of :data:`OPSETS`.
        sizes: B and L for a graph that takes no others; ``None`` leaves both free.

    Returns:
        The path.

    Raises:
        ExportError: The weights do not fit into one ONNX file, or an opset that is not written.
        onnx.checker.ValidationError: The exported graph is not valid ONNX.
    """
    path = Path(path)
    if opset not in OPSETS:
        raise ExportError(
            f"opset {opset} is not written here, only {OPSETS[0]} to {OPSETS[-1]}; leave it out "
            f"for {OPSET}"
        )
    n_bytes = sum(each.numel() * each.element_size() for each in model.state_dict().values())
    if n_bytes > LARGEST_FILE:
        raise ExportError(
            f"{path}: the weights take {n_bytes / 2**30:.1f} GiB and an ONNX file holds 2 GiB; "
            "train with a smaller embed_dim or without the user's embedding"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    exported = _without_traces(_export_program(model, opset))
    if sizes is not None:
        _fix_sizes(exported.graph, dict(zip(_FREE_SIZES, sizes, strict=True)))
    onnx.checker.check_model(exported, full_check=True)
    with replacing(path) as temporary:
        temporary.write_bytes(exported.SerializeToString(deterministic=True))
    _log.info("wrote %s, %.1f kB", path, path.stat().st_size / 1e3)
    return path


def parity(
    model: ClickModel,
    path: Path | str,
    batch_sizes: Sequence[int] = (1, 7, 512),
    lengths: Sequence[int] = (0, 1, 50),
    seed: int = 2022,
) -> float:
    """Compare the exported graph in onnxruntime with the model on flat histories in torch.

    Args:
        model: The model that was exported.
        path: What :func:`export_onnx` wrote.
        batch_sizes: Values of B to try.
        lengths: Values of L to try, each with every B.
        seed: Seed of the random inputs: a third of the positions is padding, a tenth of all
            indices lies outside its table, and a tenth of the normalised numbers is missing.

    Returns:
        The largest absolute difference of two probabilities; NaN where one of them is.
    """
    session = _session(path)
    random = np.random.default_rng(seed)
    largest = 0.0
    with _ready_for_export(model) as model, torch.no_grad():
        for n_samples in batch_sizes:
            for length in lengths:
                inputs = random_inputs(model, n_samples, length, random)
                for feature in model.embedding.features:
                    _scatter_unknown(inputs[feature.name], feature.vocab_size, random)
                for feature in model.input_features:
                    if isinstance(feature, DenseFeature) and feature.normalization is not None:
                        _scatter(inputs[feature.name], [np.nan, np.inf, -np.inf], random)
                expected = model({name: torch.from_numpy(each) for name, each in inputs.items()})
                outputs = cast("list[np.ndarray[Any, Any]]", session.run([OUTPUT_NAME], inputs))
                difference = np.abs(outputs[0] - expected.numpy())
                largest = float(np.maximum(largest, difference.max(initial=0.0)))  # keeps NaN
    return largest


def _scatter_unknown(
    indices: np.ndarray[Any, np.dtype[np.int64]], n_rows: int, random: np.random.Generator
) -> None:
    """Overwrite a tenth of the indices with some that a table of ``n_rows`` rows lacks."""
    limits = np.iinfo(np.int64)
    outside = [-1, -n_rows, n_rows, 2 * n_rows, int(limits.min), int(limits.max)]
    _scatter(indices, outside, random)


def _scatter(
    values: np.ndarray[Any, Any], among: Sequence[float], random: np.random.Generator
) -> None:
    """Overwrite a tenth of the values with some of the others."""
    here = random.random(values.shape) < 1 / 10
    values[here] = random.choice(np.array(among), int(here.sum()))


def difference_on(model: ClickModel, path: Path | str, inputs: Mapping[str, Tensor]) -> float:
    """Compare the exported graph with the model on inputs that are at hand.

    Args:
        model: The model that was exported.
        path: What :func:`export_onnx` wrote.
        inputs: Feature name to tensor, in the types of the graph's inputs.

    Returns:
        The largest absolute difference of two probabilities; NaN where one of them is.
    """
    arrays = {name: each.numpy() for name, each in inputs.items()}
    with _ready_for_export(model) as model, torch.no_grad():
        expected = model(inputs).numpy()
    outputs = cast("list[np.ndarray[Any, Any]]", _session(path).run([OUTPUT_NAME], arrays))
    return float(np.abs(outputs[0] - expected).max(initial=0.0))


def _session(path: Path | str) -> onnxruntime.InferenceSession:
    # One thread: a session per export is short-lived, and the sums stay in one order.
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def random_inputs(
    model: ClickModel, n_samples: int, length: int, random: np.random.Generator
) -> dict[str, np.ndarray[Any, Any]]:
    """Padded inputs with ids from the whole of every table and a third of the positions padded.

    Args:
        model: Names the inputs and their vocabularies.
        n_samples: B.
        length: L.
        random: Where the ids come from.

    Returns:
        Feature name to int64 ``[B]`` or ``[B, L]``; for a dense feature float32 ``[B]`` or
        ``[B, D]``, normally distributed as its normalization says, and none of them missing.
    """
    is_padding = random.random((n_samples, length)) < 1 / 3
    inputs: dict[str, np.ndarray[Any, Any]] = {}
    for feature in model.input_features:
        if isinstance(feature, DenseFeature):
            shape = (n_samples,) if feature.embed_dim == 1 else (n_samples, feature.embed_dim)
            numbers = random.standard_normal(shape, dtype=np.float32)
            if feature.normalization is not None:
                of = feature.normalization
                numbers = (of.mean + of.std * numbers).astype(np.float32)
            inputs[feature.name] = numbers
            continue
        is_sequence = isinstance(feature, SequenceFeature)
        shape = (n_samples, length) if is_sequence else (n_samples,)
        inputs[feature.name] = random.integers(0, feature.vocab_size, shape, dtype=np.int64)
        if is_sequence:
            inputs[feature.name][is_padding] = 0
    return inputs


def _export_program(model: ClickModel, opset: int) -> onnx.ModelProto:
    # By tracing, and not by torch.export, which takes 30 times as long: most of it to import
    # torch's compiler. What tracing may miss, a size that it takes for a constant, parity finds.
    file = io.BytesIO()
    with _ready_for_export(model) as model, _without_exporter_noise():
        twin = PaddedModel(model).eval()
        example = random_inputs(model, 2, 3, np.random.default_rng(0))
        sequences = {history.name for history in model.history_features}
        axes = {
            name: dict(enumerate(_FREE_SIZES if name in sequences else _FREE_SIZES[:1]))
            for name in twin.input_names
        }
        torch.onnx.export(
            twin,
            tuple(torch.from_numpy(example[name]) for name in twin.input_names),
            cast("Any", file),  # as tracing takes it; the signature knows paths only
            dynamo=False,
            dynamic_axes={**axes, OUTPUT_NAME: {0: _FREE_SIZES[0]}},
            input_names=twin.input_names,
            output_names=[OUTPUT_NAME],
            opset_version=min(opset, _TRACED_OPSET),
        )
    exported = onnx.load_from_string(file.getvalue())
    _restore_unused_inputs(exported.graph, twin.input_names, example, axes)
    for node in exported.graph.node:
        if node.op_type == "Reshape":
            # A size of 0 means "no position" here; without this, ONNX takes it for "as it was".
            kept = [each for each in node.attribute if each.name != "allowzero"]
            del node.attribute[:]
            node.attribute.extend([*kept, onnx.helper.make_attribute("allowzero", 1)])
    if opset > _TRACED_OPSET:
        exported = onnx.version_converter.convert_version(exported, opset)
    return exported


def _restore_unused_inputs(
    graph: onnx.GraphProto,
    names: Sequence[str],
    example: Mapping[str, np.ndarray[Any, Any]],
    axes: Mapping[str, Mapping[int, str]],
) -> None:
    """Let the graph take every input of the model, also what this one makes nothing of.

    The exporter drops those, and a server that sends what the model names would be refused.
    """
    by_name = {each.name: each for each in graph.input}
    for name in names:
        if name not in by_name:
            kind = onnx.helper.np_dtype_to_tensor_dtype(example[name].dtype)
            sizes = [axes[name].get(axis, n) for axis, n in enumerate(example[name].shape)]
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


def _fix_sizes(graph: onnx.GraphProto, sizes: Mapping[str, int]) -> None:
    """Write sizes where free ones stand, so that a server is told of any other."""
    graph.ClearField("value_info")  # they follow from the inputs, and name products of the sizes
    for value in (*graph.input, *graph.output):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param in sizes:
                dimension.dim_value = sizes[dimension.dim_param]


@contextmanager
def _ready_for_export(model: ClickModel) -> Generator[ClickModel]:
    """The model in evaluation mode, on the CPU and without kernels, and back as it was."""
    was_training = model.training
    device = next(model.parameters()).device
    try:
        with plain_formula(model):
            yield model.eval().cpu()
    finally:
        model.train(was_training).to(device)
