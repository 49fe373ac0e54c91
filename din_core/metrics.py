"""Figures of merit of click probabilities: AUC, GAUC, logloss, RelaImpr.

Plain NumPy on whole splits. A figure that is undefined (AUC of one class, anything of no samples)
is ``None``, never NaN: it then says so in every place it is shown. Shapes: N samples.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def auc(label: npt.ArrayLike, score: npt.ArrayLike) -> float | None:
    """Area under the ROC curve: the chance that a positive is scored above a negative.

    Exact: the rank formula of Mann and Whitney, where a tie counts one half.

    Args:
        label: 1 for a positive and 0 for a negative, ``[N]``.
        score: Any number that orders the samples, ``[N]``.

    Returns:
        A number in [0, 1], or ``None`` where there are not both classes.

    Raises:
        ValueError: Shapes differ, a label is neither 0 nor 1, or a score is NaN.

    Example:
        >>> auc([1, 0, 1, 0], [0.9, 0.1, 0.4, 0.4])
        0.875
    """
    positive, scores = _checked(label, score)
    return _single(grouped_auc(positive, scores, np.zeros(len(scores), dtype=np.int64))[0])


def gauc(label: npt.ArrayLike, score: npt.ArrayLike, group: npt.ArrayLike) -> float | None:
    """AUC within each user, averaged with the user's samples as weight (GAUC).

    Paper (arXiv 1706.06978), section 6.3, equation 7. Users with one class only have no AUC; they
    are left out, their weight included.

    Args:
        label: 1 or 0, ``[N]``.
        score: ``[N]``.
        group: Which user each sample belongs to, ``[N]``.

    Returns:
        A number in [0, 1], or ``None`` where no user has both classes.

    Raises:
        ValueError: As :func:`auc`.

    Example:
        User 1 is ordered rightly (2 samples), user 2 wrongly (3 samples), user 3 has one class.

        >>> gauc([1, 0, 0, 0, 1, 1], [0.9, 0.1, 0.8, 0.7, 0.2, 0.5], [1, 1, 2, 2, 2, 3])
        0.4
    """
    positive, scores = _checked(label, score)
    groups = np.asarray(group)
    if groups.shape != scores.shape:
        raise ValueError(f"group has shape {groups.shape}, score {scores.shape}; one a sample")
    areas, weights = grouped_auc(positive, scores, groups)
    if not len(areas):
        return None
    return float(np.average(areas, weights=weights))


def grouped_auc(
    positive: npt.NDArray[np.bool_], score: Floats, group: npt.NDArray[Any]
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """AUC of every group that has both classes.

    Args:
        positive: ``[N]``.
        score: ``[N]``.
        group: ``[N]``.

    Returns:
        AUC, and number of samples, of each such group in ascending order of ``group``.
    """
    order = np.lexsort((score, group))
    positive, score, group = positive[order], score[order], group[order]
    new_group = np.concatenate([[True], group[1:] != group[:-1]])[: len(group)]
    new_score = new_group | np.concatenate([[True], score[1:] != score[:-1]])[: len(score)]
    group_start = np.flatnonzero(new_group)
    group_size = np.diff(np.append(group_start, len(group)))
    # Samples that tie share the mean of the ranks (from 1) they occupy within their group.
    tie_start = np.flatnonzero(new_score)
    tie_size = np.diff(np.append(tie_start, len(score)))
    rank = np.repeat(tie_start + (tie_size + 1) / 2, tie_size)
    rank -= np.repeat(group_start, group_size)

    if not len(group):
        return np.zeros(0), np.zeros(0, dtype=np.int64)
    n_positive = np.add.reduceat(positive.astype(np.int64), group_start)
    n_negative = group_size - n_positive
    rank_sum = np.add.reduceat(np.where(positive, rank, 0.0), group_start)
    both = (n_positive > 0) & (n_negative > 0)
    n_positive, n_negative = n_positive[both], n_negative[both]
    wins = rank_sum[both] - n_positive * (n_positive + 1) / 2
    return wins / (n_positive * n_negative), group_size[both]


def logloss(label: npt.ArrayLike, score: npt.ArrayLike, eps: float = 1e-7) -> float | None:
    """Mean negative log-likelihood of the labels, in nats.

    Args:
        label: 1 or 0, ``[N]``.
        score: Probabilities in [0, 1], ``[N]``.
        eps: Probabilities are kept this far from 0 and 1 (about float32's resolution), so that
            one saturated mistake does not make the figure infinite.

    Returns:
        A number from 0, or ``None`` for no samples.

    Raises:
        ValueError: As :func:`auc`, or a score outside [0, 1].

    Example:
        >>> round(logloss([1, 0], [0.5, 0.25]), 4)
        0.4904
    """
    positive, scores = _checked(label, score)
    if not len(scores):
        return None
    if scores.min() < 0 or scores.max() > 1:
        raise ValueError(
            f"scores run {scores.min()} … {scores.max()}; logloss takes probabilities in [0, 1]"
        )
    scores = np.clip(scores, eps, 1 - eps)
    return float(-np.log(np.where(positive, scores, 1 - scores)).mean())


def rela_impr(measured: float, base: float) -> float:
    """Relative improvement of an AUC over a base model's, in percent.

    Paper (arXiv 1706.06978), section 6.3, equation 8: chance level, 0.5, is taken off both.

    Args:
        measured: AUC (or GAUC) of the model.
        base: AUC of the base model, not 0.5.

    Raises:
        ZeroDivisionError: The base model is at chance level.

    Example:
        >>> round(rela_impr(0.8818, 0.8624), 2)
        5.35
    """
    return ((measured - 0.5) / (base - 0.5) - 1) * 100


def _checked(label: npt.ArrayLike, score: npt.ArrayLike) -> tuple[npt.NDArray[np.bool_], Floats]:
    labels, scores = np.asarray(label), np.asarray(score, dtype=np.float64)
    if labels.shape != scores.shape or labels.ndim != 1:
        raise ValueError(f"label has shape {labels.shape}, score {scores.shape}; give both as [N]")
    positive = labels == 1
    if not np.all(positive | (labels == 0)):
        raise ValueError(f"labels are {np.unique(labels)[:5]}; they must be 0 or 1")
    if np.isnan(scores).any():
        raise ValueError(f"{int(np.isnan(scores).sum())} of {len(scores)} scores are NaN")
    return positive, scores


def _single(values: Floats) -> float | None:
    return float(values[0]) if len(values) else None
