"""How well others rank the same test samples: what people would pick instead.

One entry a side, means over the seeds. That a library is not installed is a result like any other.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.entries import finished

if TYPE_CHECKING:
    from benchmarks.processes import Run

QUALITY = ("quality",)
SIDES = (
    "popularity",
    "co_occurrence",
    "bpr",
    "ease",
    "lightgbm",
    "sasrec",
    "ours_default",
    "ours_best",
)
_SEED = 2022
_IN_WORDS = {
    "popularity": "popularity",
    "co_occurrence": "item co-occurrence, with popularity",
    "bpr": "matrix factorisation by BPR, with popularity",
    "ease": "EASE, with popularity",
    "lightgbm": "gradient boosted trees on counts",
    "sasrec": "SASRec",
    "ours_default": "ours, `default`",
    "ours_best": "ours, `best`",
}


def sides_of(csv: str, *, seeds: int, quick: bool) -> dict[str, tuple[str, dict[str, Any]]]:
    """Name the runs, each with its function and options."""
    return {
        f"{side}.{seed}": (
            "quality",
            {"csv": csv, "peer": side, "seed": seed, **({"max_epochs": 1} if quick else {})},
        )
        for seed in range(_SEED, _SEED + (1 if quick else seeds))
        for side in SIDES
    }


def entries_of(log: Mapping[str, Any], runs: Mapping[str, Sequence[Run]]) -> list[dict[str, Any]]:
    """Make an entry of each side."""
    entries: list[dict[str, Any]] = []
    for side in SIDES:
        of_side = [run for name, of in runs.items() if name.split(".")[0] == side for run in of]
        entry: dict[str, Any] = {"case": f"quality_{side}", "log": dict(log), "side": side}
        if done := finished(of_side):
            for figure in ("val_auc", "test_auc", "test_gauc"):
                entry[figure] = _mean([run.report[figure] for run in done])
            tests = [run.report["test_auc"] for run in done]
            entry["test_auc_sd"] = statistics.stdev(tests) if len(tests) > 1 else None
            entry["seconds"] = round(statistics.mean(run.report["work_seconds"] for run in done), 1)
            entry["library"] = done[-1].report["library"]
            entry["settings"] = done[-1].report["settings"]
        else:
            entry["outcome"] = of_side[-1].outcome
            entry["message"] = (of_side[-1].message.splitlines() or [""])[-1]
        entries.append(entry)
    return entries


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.mean(known) if known else None


def rows_of(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Line of the table: side, library, validation and test AUC, GAUC, seconds."""
    name = _IN_WORDS[entry["side"]]
    if "test_auc" not in entry:
        return (name, "", entry["outcome"], entry["message"], "", "")
    spread = "" if entry["test_auc_sd"] is None else f" ± {entry['test_auc_sd']:.4f}"
    test = f"**{_shown(entry['test_auc'])}**{spread}"
    return (
        name,
        entry["library"],
        _shown(entry["val_auc"]),
        test,
        _shown(entry["test_gauc"]),
        f"{entry['seconds']:,.0f} s",
    )


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
