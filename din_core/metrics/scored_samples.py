"""What a metric is computed from: labels, scores, and whose samples they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ScoredSamples:
    """The samples of a split, and what a model says of them.

    Attributes:
        label: 1 for a positive and 0 for a negative, ``[N]``.
        score: Probability of a click in [0, 1], ``[N]``.
        user_idx: Whose each sample is, ``[N]``.
    """

    label: npt.NDArray[Any]
    score: npt.NDArray[Any]
    user_idx: npt.NDArray[Any]


def checked(label: npt.ArrayLike, score: npt.ArrayLike) -> tuple[npt.NDArray[np.bool_], Floats]:
    """Return which samples are positive, and the scores, both ``[N]``.

    Raises:
        ValueError: Shapes differ, a label is neither 0 nor 1, or a score is NaN.
    """
    labels, scores = np.asarray(label), np.asarray(score, dtype=np.float64)
    if labels.shape != scores.shape or labels.ndim != 1:
        raise ValueError(f"label has shape {labels.shape}, score {scores.shape}; give both as [N]")
    positive = labels == 1
    if not np.all(positive | (labels == 0)):
        raise ValueError(f"labels are {np.unique(labels)[:5]}; they must be 0 or 1")
    if np.isnan(scores).any():
        raise ValueError(f"{int(np.isnan(scores).sum())} of {len(scores)} scores are NaN")
    return positive, scores
