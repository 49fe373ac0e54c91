"""Scoring the samples of a split with a trained model. Nothing is learned here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from din_core.arrow_without_pandas import numbers
from din_core.inputs.batches import BatchGatherer
from din_core.network.hardware import default_threads
from din_core.training.lanes import lanes, number_of_lanes

if TYPE_CHECKING:
    from din_core.inputs.flat_log import Samples, SplitName, TrainingData
    from din_core.network.kernels import NetworkKernel
    from din_core.network.models import ClickModel

#: Bounds the memory of a step: positions are at most this times max_history.
BATCH_SIZE = 4096


def predict(model: ClickModel, data: TrainingData, split: SplitName = "test") -> Any:
    """Score every sample of a split.

    Args:
        model: A model built for the log's vocabulary, on any device.
        data: The log.
        split: ``train``, ``val`` or ``test``.

    Returns:
        One row a sample, ordered by user, position and k: ``user_idx``, ``position``, ``k`` (0 for
        the positive), ``label``, ``item_idx``, ``history_length`` and ``score``, the probability.
    """
    samples = data.samples[split]
    device = next(model.parameters()).device
    return as_rows(samples, score(model, BatchGatherer.of(model, data), samples, device))


def as_rows(samples: Samples, scores: npt.NDArray[np.float32]) -> Any:
    """Put scores beside their samples, as :func:`predict` returns them.

    Args:
        samples: N samples.
        scores: Their probabilities, ``[N]``.
    """
    columns = {
        "user_idx": samples.user,
        "position": samples.position,
        "k": samples.k,
        "label": samples.label,
        "item_idx": samples.item,
        "history_length": (samples.end - samples.start).astype(np.int32),
        "score": scores.astype(np.float64),
    }
    return pa.table({name: numbers(values) for name, values in columns.items()})


def score(
    model: ClickModel,
    gatherer: BatchGatherer,
    samples: Samples,
    device: torch.device,
    n_threads: int | None = None,
    kernel: NetworkKernel | None = None,
) -> npt.NDArray[np.float32]:
    """Compute the probabilities of samples; the model is left in evaluation mode.

    Args:
        model: On the device.
        gatherer: Of the samples' log, on the device.
        samples: N samples.
        device: Where the model is.
        n_threads: Threads on a processor; by default as many as there are cores.
        kernel: Computes the model; by default torch does, operation by operation.

    Returns:
        float32 ``[N]``.
    """
    model.eval()
    positions_before = np.concatenate([[0], np.cumsum(samples.end - samples.start)])
    n_threads = (n_threads or default_threads()) if device.type == "cpu" else 1
    number = number_of_lanes(BATCH_SIZE, n_threads)
    size = -(-BATCH_SIZE // number)  # all lanes together need the memory of one batch

    def scores_from(first: int) -> torch.Tensor:
        last = min(first + size, len(samples))
        part = samples.take(slice(first, last))
        with torch.inference_mode():
            n_positions = int(positions_before[last] - positions_before[first])
            batch = gatherer.gather_samples(part, n_positions)
            found = None if kernel is None else kernel.logits(batch)
            return torch.sigmoid(model.logits(batch).float() if found is None else found)

    with lanes(number, n_threads // number) as opened:
        scores = opened.map(scores_from, range(0, len(samples), size))
    if not scores:
        return np.zeros(0, dtype=np.float32)
    return torch.cat(scores).cpu().numpy()
