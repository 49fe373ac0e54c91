"""What leaves a ported script: a picture of the network and an ONNX file.

Shapes: B samples, L padded length of a history.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import graphviz
import numpy as np
import torch
from torch import Tensor

from din_core.network.features import DenseFeature, SequenceFeature
from din_core.network.models import ClickModel
from din_core.serving import pictures
from din_core.serving.graphs.index_graph import export_onnx
from din_core.serving.graphs.parity import PARITY_TOLERANCE, difference_on, parity
from din_core.serving.graphs.random_inputs import random_inputs
from din_core.serving.graphs.tracing import OPSET, OPSETS, ExportError

_log = logging.getLogger(__name__)


def visualize_model(
    model: ClickModel,
    input_data: Mapping[str, Tensor] | None = None,
    batch_size: int = 2,
    seq_length: int = 10,
    depth: int = 3,
    show_shapes: bool = True,
    expand_nested: bool = True,
    save_path: Path | str | None = None,
    graph_name: str = "model",
    device: str = "cpu",
    dpi: int = 300,
    **kwargs: Any,
) -> graphviz.Source:
    """Draw the network's computation graph with named parameters and their shapes.

    Different from torch-rechub: torchviz draws every operation, so there is nothing to fold; no
    viewer is opened; the model stays on its device.

    Args:
        model: The network.
        input_data: Inputs to draw it for; ``None`` makes ``batch_size`` samples with histories of
            ``seq_length``. Only their number shows, at the probability.
        batch_size: B of made inputs.
        seq_length: L of made inputs.
        depth: Only 3, the default.
        show_shapes: Only true.
        expand_nested: Only true.
        save_path: A file ending in ``.png``, ``.svg`` or ``.pdf``, which is the ending where it has
            none; ``None`` writes no file.
        graph_name: Name of the graph, the title of an SVG.
        device: A device's name. The picture is the same for all of them.
        dpi: Resolution of a PNG.
        kwargs: Refused: they are options of torchview, which does not draw here.

    Returns:
        The graph, which a notebook shows in place.

    Raises:
        ValueError: An argument that cannot be honoured, or another ending.
        KeyError: ``input_data`` lacks a feature.
        TypeError: ``input_data`` is not a mapping, or there is a further argument.
        PictureError: Graphviz is not installed.
    """
    if kwargs:
        raise TypeError(
            f"{next(iter(kwargs))}: an option of torchview, which does not draw here; leave it out"
        )
    _check_inputs("input_data", input_data)
    for name, given, only in (
        ("depth", depth, 3),
        ("show_shapes", show_shapes, True),
        ("expand_nested", expand_nested, True),
    ):
        if given != only:
            raise ValueError(
                f"{name}={given!r}: every operation is drawn, with the shapes of the parameters, "
                "and nothing can be folded; leave it out"
            )
    _check_device(device)
    inputs = _made_inputs(model, batch_size, seq_length) if input_data is None else input_data
    source = pictures.graph_source(model, inputs, graph_name)
    if save_path is not None:
        path = Path(save_path)
        path = path if path.suffix else path.with_suffix(".pdf")
        pictures.save_graph(model, path, dpi, source=source)
    return graphviz.Source(source)


class ONNXExporter:
    """Writes a model as ONNX.

    Args:
        model: The network.
        device: A device's name. The file is the same for all of them: exporting happens on the
            CPU, and the model stays on its device.

    Raises:
        ValueError: No device's name.
    """

    def __init__(self, model: ClickModel, device: str = "cpu") -> None:
        _check_device(device)
        self.model = model
        self.device = device

    def export(
        self,
        output_path: Path | str,
        mode: str | None = None,
        dummy_input: Mapping[str, Tensor] | None = None,
        batch_size: int = 2,
        seq_length: int = 10,
        opset_version: int = OPSET,
        dynamic_batch: bool = True,
        verbose: bool = False,
        onnx_export_kwargs: Mapping[str, Any] | None = None,
        *,
        device: str | None = None,
    ) -> bool:
        """Write one ONNX file, and compare what it predicts with what the model predicts.

        The output is called ``probability``. The comparison is on ``dummy_input``, or else on
        ``batch_size`` made samples with histories of ``seq_length``.

        Args:
            output_path: The file.
            mode: Only ``None``: a click model has no towers.
            dummy_input: Example inputs, feature name to ``[B]`` or ``[B, L]``.
            batch_size: B of made examples.
            seq_length: L of made examples.
            opset_version: From 18 to 25; torch-rechub's 14 cannot be written.
            dynamic_batch: Leave B and L free; otherwise they are those of the examples.
            verbose: Log the inputs, the opset and the difference at level INFO.
            onnx_export_kwargs: Only empty: :func:`~din_core.serving.graphs.export_onnx` decides
            these.
            device: A device's name, as in the constructor.

        Returns:
            ``True``; what goes wrong raises.

        Raises:
            ValueError: An argument that cannot be honoured.
            KeyError: ``dummy_input`` lacks a feature.
            ExportError: As :func:`~din_core.serving.graphs.export_onnx`, or the file predicts
            otherwise.
        """
        _check_mode(mode)
        if opset_version not in OPSETS:
            raise ValueError(
                f"opset_version={opset_version}: only {OPSETS[0]} to {OPSETS[-1]} are written; "
                f"leave it out for {OPSET}"
            )
        if onnx_export_kwargs:
            raise ValueError(
                f"onnx_export_kwargs {sorted(onnx_export_kwargs)}: how torch exports is decided in "
                "din_core.serving.graphs; leave them out, or call torch.onnx.export on "
                "din_core.serving.graphs.index_graph.PaddedModel(model)"
            )
        _check_device(device or self.device)
        _check_inputs("dummy_input", dummy_input)
        examples = (
            _made_inputs(self.model, batch_size, seq_length)
            if dummy_input is None
            else _as_exported(self.model, dummy_input)
        )
        history = examples[self.model.history_features[0].name]
        sizes = None if dynamic_batch else (history.shape[0], history.shape[1])
        path = export_onnx(self.model, output_path, opset=opset_version, sizes=sizes)
        difference = difference_on(self.model, path, examples)
        if dynamic_batch:  # a size that the export froze shows at sizes of another kind
            difference = float(
                np.maximum(difference, parity(self.model, path, ((1, 0), (7, 1), (2, 5))))
            )
        if not difference <= PARITY_TOLERANCE:
            raise ExportError(
                f"{path}: a probability of the exported graph differs from PyTorch's by "
                f"{difference:.2g}; is a weight or an example huge or NaN?"
            )
        if verbose:
            _log.info(
                "%s: inputs %s, opset %d, sizes %s, largest difference from torch %.1e",
                *(path, list(examples), opset_version, sizes or "free", difference),
            )
        return True

    def get_input_info(self, mode: str | None = None) -> dict[str, Any]:
        """Describe the inputs of the file.

        Args:
            mode: Only ``None``, as in :meth:`export`.

        Returns:
            ``mode``, ``input_names`` in their order, and ``inputs``: a dictionary each with
            ``name``, ``type``, ``embed_dim``, and ``vocab_size`` and ``pooling`` where they apply.

        Raises:
            ValueError: Another mode.
        """
        _check_mode(mode)
        inputs: list[dict[str, Any]] = []
        for feature in self.model.input_features:
            info = {
                "name": feature.name,
                "type": type(feature).__name__,
                "embed_dim": feature.dim,
            }
            if isinstance(feature, DenseFeature):
                info["embed_dim"] = feature.embed_dim
            else:
                info["vocab_size"] = feature.vocab_size
            if isinstance(feature, SequenceFeature):
                info["pooling"] = feature.pooling
            inputs.append(info)
        return {"mode": mode, "inputs": inputs, "input_names": [each["name"] for each in inputs]}


def _check_mode(mode: str | None) -> None:
    if mode is not None:
        raise ValueError(
            f"mode={mode!r}: a click model has no towers for users and items; leave it out"
        )


def _check_inputs(name: str, given: object) -> None:
    if given is not None and not isinstance(given, Mapping):
        raise TypeError(
            f"{name}={given!r}: inputs go by feature, as {{'target_item_id': tensor}}; a file to "
            "draw into is named by save_path="
        )


def _check_device(device: str) -> None:
    try:
        torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device={device!r} is not the name of a device, such as 'cpu'") from error


def _made_inputs(model: ClickModel, batch_size: int, seq_length: int) -> dict[str, Tensor]:
    for name, given, least in (("batch_size", batch_size, 1), ("seq_length", seq_length, 0)):
        if given < least:
            raise ValueError(f"{name}={given} must be {least} or more")
    made = random_inputs(model, batch_size, seq_length, np.random.default_rng(0))
    return {name: torch.from_numpy(each) for name, each in made.items()}


def _as_exported(model: ClickModel, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Example inputs in the types of the exported graph."""
    inputs: dict[str, Tensor] = {}
    for feature in model.input_features:
        if feature.name not in given:
            raise KeyError(
                f"dummy_input has no feature '{feature.name}'; there are {sorted(given)}"
            )
        example = given[feature.name].cpu()
        if isinstance(feature, DenseFeature):
            example = example.float()
            example = (
                example.squeeze(1) if feature.embed_dim == 1 and example.dim() == 2 else example
            )
        elif example.dtype == torch.int32:
            example = example.long()
        inputs[feature.name] = example
    # Refuses what the model does not take, before there is a file.
    device = next(model.parameters()).device
    with torch.no_grad():
        model.embed(model.as_batch({name: each.to(device) for name, each in inputs.items()}))
    return inputs
