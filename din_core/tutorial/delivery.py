"""What leaves a ported script: a picture of the network and an ONNX file."""

from __future__ import annotations

from pathlib import Path

import graphviz

from din_core import pictures
from din_core.export import export_onnx
from din_core.models import DIN


def visualize_model(
    model: DIN, save_path: Path | str | None = None, dpi: int = 300
) -> graphviz.Source:
    """Draw the network's computation graph with named parameters.

    Args:
        model: The network.
        save_path: A file ending in ``.png``, ``.svg`` or ``.pdf``; ``None`` writes none.
        dpi: Resolution of a PNG.

    Returns:
        The graph, which a notebook shows in place.

    Raises:
        ValueError: Another ending.
        PictureError: Graphviz is not installed.
    """
    if save_path is not None:
        pictures.save_graph(model, save_path, dpi)
    return graphviz.Source(pictures.graph_source(model))


class ONNXExporter:
    """Writes a model as ONNX.

    Args:
        model: The network.
        device: Accepted for the sake of ported scripts; exporting happens on the CPU.
    """

    def __init__(self, model: DIN, device: str = "cpu") -> None:
        self.model = model
        self.device = device

    def export(self, output_path: Path | str, *, dynamic_batch: bool = True) -> bool:
        """Write one ONNX file with free batch size and sequence length.

        The output is called ``probability``. Example inputs are made by the exporter itself.

        Args:
            output_path: The file.
            dynamic_batch: Only ``True``: batch and sequence length are always free.

        Returns:
            ``True``; what goes wrong raises.

        Raises:
            ValueError: ``dynamic_batch`` is false.
            ExportError: As :func:`din_core.export.export_onnx`.
        """
        if not dynamic_batch:
            raise ValueError(
                "dynamic_batch=False: exported graphs always take any batch; leave it out"
            )
        export_onnx(self.model, output_path)
        return True
