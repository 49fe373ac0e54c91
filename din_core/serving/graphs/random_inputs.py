"""Random inputs for a model: to trace and draw it, and to compare what was exported with it."""

from __future__ import annotations

from typing import Any

import numpy as np

from din_core.network.features import DenseFeature, SequenceFeature
from din_core.network.models import ClickModel


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
