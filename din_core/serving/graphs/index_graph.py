"""``din.onnx``: samples in indices, as the table ``encoded_samples`` has them.

Histories are padded here, because servers send rectangles: in the graph, index 0 is unknown or
padding, which is masked, and so is every index that the model's table lacks. Shapes: B samples, L
padded length; both are free in the exported file, 0 positions and one sample included.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from din_core.network.models import ClickModel
from din_core.serving.graphs.constants import with_constants_folded
from din_core.serving.graphs.random_inputs import random_inputs
from din_core.serving.graphs.tracing import (
    OPSET,
    OUTPUT_NAME,
    ready_for_export,
    require_writable,
    traced,
    write_graph,
)

_FREE_SIZES = ("batch", "length")


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
    require_writable(model, path, opset)
    exported = index_graph(model, opset)
    if sizes is not None:
        _fix_sizes(exported.graph, dict(zip(_FREE_SIZES, sizes, strict=True)))
    return write_graph(exported, path)


def index_graph(model: ClickModel, opset: int = OPSET) -> onnx.ModelProto:
    """The graph that :func:`export_onnx` writes, with free sizes."""
    with ready_for_export(model) as model:
        twin = PaddedModel(model).eval()
        inputs = random_inputs(model, 2, 3, np.random.default_rng(0))
        sequences = {history.name for history in model.history_features}
        axes = {
            name: dict(enumerate(_FREE_SIZES if name in sequences else _FREE_SIZES[:1]))
            for name in twin.input_names
        }
        example = {name: inputs[name] for name in twin.input_names}
        graph = traced(twin, example, axes, {OUTPUT_NAME: {0: _FREE_SIZES[0]}}, opset)
    return with_constants_folded(graph)


def _fix_sizes(graph: onnx.GraphProto, sizes: Mapping[str, int]) -> None:
    """Write sizes where free ones stand, so that a server is told of any other."""
    graph.ClearField("value_info")  # they follow from the inputs, and name products of the sizes
    for value in (*graph.input, *graph.output):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param in sizes:
                dimension.dim_value = sizes[dimension.dim_param]
