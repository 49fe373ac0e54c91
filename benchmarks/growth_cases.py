"""A log that grows by the day: a model from random weights each day, or from the one before.

The last 30% of the log, by time, come in ten days. Every day all tables are built anew, and each
side is measured on the validation and test rows of that day's log. How the warm side goes on was
chosen on validation of the first days alone. Ours alone, all in one process.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.entries import finished

if TYPE_CHECKING:
    from benchmarks.processes import Run

GROWTH = ("growth",)
DAYS = 10
#: Options of training that the warm side has otherwise than the preset.
WARM: dict[str, dict[str, Any]] = {"warm": {"warm_start_epochs": 6}}


def sides_of(csv: str, *, quick: bool) -> dict[str, tuple[str, dict[str, Any]]]:
    """Name the run, with its function and options."""
    options: dict[str, Any] = {
        "csv": csv,
        "preset": "best",
        "warm": {name: {**each, "warm_start_epochs": 1} for name, each in WARM.items()}
        if quick
        else WARM,
        "n_days": 2 if quick else DAYS,
        "days_in_all": DAYS,
        "max_epochs": 2 if quick else None,
    }
    return {"ours": ("growth", options)}


def entry_of(log: Mapping[str, Any], runs: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """Make the entry of the case: each side on each day."""
    entry: dict[str, Any] = {"case": "growth", "log": dict(log)}
    if not (done := finished(runs["ours"])):
        last = runs["ours"][-1]
        return {**entry, "outcome": last.outcome, "message": last.message}
    report = done[-1].report
    return {**entry, **{name: report[name] for name in ("preset", "warm", "days")}}


def rows_of(entry: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Lines of the table: a day each, both sides beside each other, and their means at the end."""
    by_day: dict[int, dict[str, Mapping[str, Any]]] = {}
    for each in entry.get("days", []):
        by_day.setdefault(each["day"], {})[each["side"]] = each
    pairs = {
        day: (of["cold"], of["warm"]) for day, of in by_day.items() if {*of} >= {"cold", "warm"}
    }
    rows = [(str(day), *_line(cold, warm)) for day, (cold, warm) in pairs.items()]
    if len(pairs) > 1:
        mean = [_means([pair[side] for pair in pairs.values()]) for side in (0, 1)]
        rows.append(("mean", *_line(*mean)))
    return rows


def _line(cold: Mapping[str, Any], warm: Mapping[str, Any]) -> tuple[str, ...]:
    share = warm["items_taken_over"]
    ratio = cold["cpu_seconds"] / warm["cpu_seconds"] if warm["cpu_seconds"] else None
    return (
        "-" if share is None else f"{share:.1%}",
        _auc(cold["test_auc"]),
        _auc(warm["test_auc"]),
        _auc(cold["test_auc_new"]),
        _auc(warm["test_auc_new"]),
        f"{cold['cpu_seconds']:,.1f} s",
        f"{warm['cpu_seconds']:,.1f} s",
        "-" if ratio is None else f"**{ratio:.1f} x**",
    )


def _means(days: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    names = ("items_taken_over", "test_auc", "test_auc_new", "cpu_seconds")
    known = {name: [day[name] for day in days if day[name] is not None] for name in names}
    return {name: statistics.mean(values) if values else None for name, values in known.items()}


def _auc(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
