"""The proof that an exported graph predicts what torch predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from din_core.network.features import DenseFeature
from din_core.network.models import ClickModel
from din_core.serving.graphs.random_inputs import random_inputs
from din_core.serving.graphs.tracing import OUTPUT_NAME, ExportError, ready_for_export

#: Difference of two probabilities up to which they count as equal: some hundred roundings of
#: float32, which both sides compute in whatever the weights were trained in.
PARITY_TOLERANCE = 1e-5


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
    with ready_for_export(model) as model, torch.no_grad():
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
    with ready_for_export(model) as model, torch.no_grad():
        expected = model(inputs).numpy()
    outputs = cast("list[np.ndarray[Any, Any]]", _session(path).run([OUTPUT_NAME], arrays))
    return float(np.abs(outputs[0] - expected).max(initial=0.0))


def _session(path: Path | str) -> onnxruntime.InferenceSession:
    # One thread: a session per export is short-lived, and the sums stay in one order.
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
