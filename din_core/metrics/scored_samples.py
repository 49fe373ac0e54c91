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

    def __len__(self) -> int:
        """N."""
        return len(self.label)

    def take(self, rows: npt.NDArray[Any]) -> ScoredSamples:
        """Return some of the samples, by a mask or by their rows."""
        return ScoredSamples(self.label[rows], self.score[rows], self.user_idx[rows])


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


def checked_probabilities(
    label: npt.ArrayLike, score: npt.ArrayLike
) -> tuple[npt.NDArray[np.bool_], Floats]:
    """As :func:`checked`, of scores that are probabilities.

    Raises:
        ValueError: Also where a score lies outside [0, 1].
    """
    positive, scores = checked(label, score)
    if len(scores) and (scores.min() < 0 or scores.max() > 1):
        raise ValueError(f"scores run {scores.min()} … {scores.max()}; probabilities lie in [0, 1]")
    return positive, scores
