"""Pictures of how good a model is: ROC, reliability, and the AUC of each slice with its interval.

Drawn by matplotlib's object interface, which keeps no global state. The colours tell apart without
red and green.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from din_core.evaluation.judgement import WHOLE, Evaluation
from din_core.evaluation.slices import PARTS
from din_core.metrics import ScoredSamples
from din_core.metrics.calibration import bins_by_rank
from din_core.small_pngs import figure_png

_MODEL, _RIVAL, _GUIDE = "tab:blue", "tab:orange", "0.6"
_POINTS = 200  # of a curve: no more than the eye tells apart


def curves(evaluation: Evaluation) -> bytes:
    """Draw the ROC curve beside popularity's, and the reliability of the scores.

    Args:
        evaluation: With its samples.

    Returns:
        A PNG of 32 colours, below 40 kB.
    """
    figure = Figure(figsize=(7.2, 3.6), dpi=100)
    of_roc, of_reliability = figure.subplots(1, 2)
    # Not layout="constrained", which draws everything twice: the axes are the same for every model.
    figure.subplots_adjust(left=0.08, right=0.99, bottom=0.14, top=0.92, wspace=0.2)
    rows = evaluation.rows
    _diagonal(of_roc)
    if rows is not None and evaluation.values.get("auc") is not None:
        for name, samples, colour, metric in (
            ("model", rows.samples, _MODEL, "auc"),
            ("popularity", rows.scored_by(rows.popularity), _RIVAL, "popularity_auc"),
        ):
            label = f"{name}, AUC {evaluation.values[metric]:.4f}"
            of_roc.plot(*roc(samples), color=colour, label=label)
        of_roc.legend(loc="lower right", fontsize=8)
    of_roc.set_title("ROC", fontsize=10)
    of_roc.set_xlabel("share of negatives above a score")
    of_roc.set_ylabel("share of positives above it")
    _diagonal(of_reliability)
    if rows is not None and len(rows):
        score, share = reliability(rows.samples)
        of_reliability.plot(score, share, marker="o", color=_MODEL)
    error = evaluation.values.get("calibration_error")
    of_reliability.set_title(
        "reliability" if error is None else f"reliability, calibration error {error:.4f}",
        fontsize=10,
    )
    of_reliability.set_xlabel("mean score of a tenth")
    of_reliability.set_ylabel("share of positives in it")
    for axes in (of_roc, of_reliability):
        axes.set_aspect("equal")
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.02)
        axes.grid(alpha=0.3)
    return figure_png(figure)


def auc_by_slice(evaluation: Evaluation) -> bytes:
    """Draw the AUC of each part of each slice, with its interval and its number of samples.

    Args:
        evaluation: The figures.

    Returns:
        A PNG of 32 colours, below 40 kB.
    """
    found = {each.part: each for each in evaluation.figures if each.metric == "auc"}
    parts = [(name, part) for name, values in PARTS.items() for part in values]
    parts = [part for part in parts if part in found]
    figure = Figure(figsize=(7.2, 1.2 + 0.27 * max(1, len(parts))), dpi=100, layout="constrained")
    axes = figure.subplots()
    labels: list[str] = []
    for place, part in enumerate(parts):
        each = found[part]
        labels.append(f"{part[0].replace('_', ' ')}: {part[1]}  ({each.n_samples:,})")
        if each.interval.value is None:
            continue
        low, high = each.interval.low, each.interval.high
        if low is not None and high is not None:
            axes.plot([low, high], [place, place], color=_MODEL, linewidth=2, alpha=0.5)
        axes.plot([each.interval.value], [place], marker="o", color=_MODEL)
    axes.axvline(0.5, color=_GUIDE, linestyle=":")
    whole = found.get(WHOLE)
    if whole is not None and whole.interval.value is not None:
        axes.axvline(whole.interval.value, color=_GUIDE, linestyle="--")
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("AUC and its 95% interval; dashed: all samples, dotted: chance", fontsize=9)
    axes.set_title("AUC by slice (samples)", fontsize=10)
    axes.grid(axis="x", alpha=0.3)
    return figure_png(figure)


def roc(of: ScoredSamples) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the ROC curve: share of negatives, and of positives, from the highest score down.

    Args:
        of: Samples of both classes.

    Returns:
        Two arrays of 2 to 200 points, from (0, 0) to (1, 1).
    """
    order = np.argsort(-np.asarray(of.score, dtype=np.float64), kind="stable")
    score, positive = of.score[order], np.asarray(of.label)[order] == 1
    # Between equal scores there is no threshold.
    last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
    hits, false_alarms = np.cumsum(positive)[last], np.cumsum(~positive)[last]
    if len(last) > _POINTS:
        kept = np.unique(np.linspace(0, len(last) - 1, _POINTS - 1).astype(np.int64))
        hits, false_alarms = hits[kept], false_alarms[kept]
    shares = (np.append(0, each) / each[-1] for each in (false_alarms, hits))
    across, up = shares
    return across, up


def reliability(of: ScoredSamples) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return mean score and share of positives of each tenth of the samples that is not empty."""
    number = bins_by_rank(np.asarray(of.score, dtype=np.float64))
    size = np.bincount(number)
    filled = size > 0
    means = (np.bincount(number, each)[filled] / size[filled] for each in (of.score, of.label))
    score, share = means
    return score, share


def _diagonal(axes: Axes) -> None:
    axes.plot([0, 1], [0, 1], color=_GUIDE, linestyle=":", linewidth=1)
