"""The latest model's figures as a file, and two such files side by side, as CI wants them.

The files come from two runs, so that only figures with their intervals are at hand, not the scores
behind them. Two models on one machine are compared sample by sample in the table ``comparisons``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import duckdb

from din_core.errors import WrongRequestError
from din_core.evaluation import metrics_table
from din_core.evaluation.intervals import Interval
from din_core.metrics.registry import LOWER_IS_BETTER, OF_A_MODEL
from din_core.store import ledger

_FORMAT = 1
#: Those that can be judged: more of it, or less, is better.
JUDGED = tuple(name for name in OF_A_MODEL if name != "predicted_over_observed")


class FiguresError(WrongRequestError):
    """A file holds no figures, or a figure is asked for that it does not have."""


@dataclass(frozen=True)
class Figures:
    """The figures of a model on the whole test split.

    Attributes:
        model_version: Data version of the model.
        samples_version: Data version of the samples it was tested on (and trained with).
        figures: The figures with their intervals, by metric.
    """

    model_version: str
    samples_version: str
    figures: Mapping[str, Interval] = field(default_factory=dict[str, Interval])

    def to_json(self) -> str:
        """Return them as JSON."""
        figures = {name: asdict(figure) for name, figure in self.figures.items()}
        return json.dumps({"format": _FORMAT, **vars(self), "figures": figures}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, name: str) -> Figures:
        """Read them back.

        Args:
            text: JSON, as of :meth:`to_json`.
            name: Name of the file it comes from, for the error.

        Raises:
            FiguresError: It is something else.
        """
        try:
            found: dict[str, Any] = json.loads(text)
            _require(found.pop("format") == _FORMAT, "another format")
            figures = {name: _interval(**ends) for name, ends in found.pop("figures").items()}
            return cls(**found, figures=figures)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise FiguresError(
                f"{name}: these are no figures as `din metrics --json` writes them ({error}); "
                "write them again with this version"
            ) from error


def _interval(value: float | None, low: float | None, high: float | None) -> Interval:
    for number in (value, low, high):
        is_number = isinstance(number, int | float) and not isinstance(number, bool)
        _require(number is None or is_number, f"{number!r} is no number")
    return Interval(value, low, high)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def read(con: duckdb.DuckDBPyConnection) -> Figures:
    """Return the figures of the model that was made last, published or refused.

    Args:
        con: Connection to the published database, or to the pipeline's.

    Raises:
        NotMaterializedError: No model has been tested.
    """
    made = {name: ledger.entry(con, name) for name in ("din_model", "samples", "test_auc")}
    model_version = made["din_model"].data_version
    return Figures(
        model_version=model_version,
        samples_version=made["samples"].data_version,
        figures=dict(metrics_table.read_test(con, model_version).whole),
    )


@dataclass(frozen=True)
class Change:
    """A figure of two models.

    Attributes:
        metric: Its name.
        before: That of the model to compare with; None where it has none.
        now: That of the model in question, likewise.
        verdict: ``better``, ``worse``, ``no significant change``, or why nothing can be said.
    """

    metric: str
    before: Interval | None
    now: Interval | None
    verdict: str


def changes(before: Figures, now: Figures) -> list[Change]:
    """Compare two models, figure by figure.

    A difference is significant where it is larger than 1.96 standard errors, those of both figures
    taken as independent. On the same test samples they are not, and the test is stricter than it
    says: what it finds is there, and a small difference may escape it.

    Args:
        before: Those to compare with.
        now: Those in question.

    Returns:
        One entry a metric, in the order of the registry, others behind.
    """
    names = dict.fromkeys([*OF_A_MODEL, *before.figures, *now.figures])
    return [
        Change(name, was, is_now, _verdict(name, was, is_now))
        for name in names
        if (was := before.figures.get(name)) or name in now.figures
        for is_now in [now.figures.get(name)]
    ]


def _verdict(metric: str, before: Interval | None, now: Interval | None) -> str:
    if before is None or before.value is None:
        return "new"
    if now is None or now.value is None:
        return "worse" if metric in JUDGED else "gone"
    if metric not in JUDGED:
        return "shown only"
    if before.half_width is None or now.half_width is None:
        return "no interval: too few users to tell"
    margin = math.hypot(before.half_width, now.half_width)  # each is 1.96 standard errors
    gain = now.value - before.value
    if metric in LOWER_IS_BETTER:
        gain = -gain
    if abs(gain) <= margin:
        return "no significant change"
    return "better" if gain > 0 else "worse"


def worse(found: Collection[Change], judged_by: Collection[str]) -> list[str]:
    """Return the metrics by which the model in question is significantly worse.

    Args:
        found: From :func:`changes`.
        judged_by: The metrics that count.

    Raises:
        FiguresError: One is none that can be judged, or neither model has it.
    """
    for name in judged_by:
        if name not in JUDGED:
            raise FiguresError(
                f"a model cannot be judged by '{name}' (there are {', '.join(JUDGED)})"
            )
        if name not in {change.metric for change in found}:
            raise FiguresError(f"neither of the two models has the figure '{name}'")
    return [
        change.metric for change in found if change.metric in judged_by if change.verdict == "worse"
    ]


def markdown(before: Figures | None, now: Figures) -> str:
    """Write a model's figures as a table in Markdown, beside those of another one where given.

    Args:
        before: Those to compare with; None where there are none.
        now: Those in question.
    """
    if before is None:
        lines = ["| metric | value | 95% interval |", "|---|---|---|"]
        lines += [f"| {name} | {_said(each)} |" for name, each in now.figures.items()]
        return "\n".join([*lines, "", f"Model `{now.model_version}`.", ""])
    lines = [
        "| metric | before | 95% interval | now | 95% interval | difference | |",
        "|---|---|---|---|---|---|---|",
    ]
    for change in changes(before, now):
        was, is_now = _value(change.before), _value(change.now)
        gap = "" if was is None or is_now is None else f"{is_now - was:+.4f}"
        row = change.metric, _said(change.before), _said(change.now), gap, change.verdict
        lines.append(f"| {' | '.join(row)} |")
    lines += ["", f"Model `{now.model_version}` beside `{before.model_version}`."]
    if before.samples_version == now.samples_version:
        lines.append("Both were tested on the same samples.")
    else:
        lines.append(
            "**The samples differ** (another log, or other options): a difference may be theirs."
        )
    return "\n".join([*lines, ""])


def _value(figure: Interval | None) -> float | None:
    return None if figure is None else figure.value


def _said(figure: Interval | None) -> str:
    if figure is None or figure.value is None:
        return "none | "
    if figure.low is None or figure.high is None:
        return f"{figure.value:.4f} | "
    return f"{figure.value:.4f} | {figure.low:.4f} to {figure.high:.4f}"
