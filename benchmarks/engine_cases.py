"""The cases ``engines``: the tables by DuckDB, Sail and Apache Spark, on one core and on two.

The log is generated: even ones of 1, 10 and 30 million rows, and skewed ones, in which one user has
five sixths of the events, or one item half of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.entries import finished

if TYPE_CHECKING:
    from benchmarks.processes import Run

#: Case to shape and millions of rows.
SIZES: dict[str, tuple[str, float]] = {
    "engines_1m": ("even", 1),
    "engines_10m": ("even", 10),
    "engines_30m": ("even", 30),
    "engines_item_1m": ("item", 1),
    "engines_item_10m": ("item", 10),
    "engines_user_1m": ("user", 1.2),
    "engines_user_10m": ("user", 11.9),
}
ENGINES = tuple(SIZES)
_NAMES = {"duckdb": "DuckDB", "sail": "Sail", "spark": "Apache Spark"}
_LOGS = {
    "even": "even",
    "user": "one user has five sixths",
    "item": "one item has half",
}


def rows_of_case(case: str, *, quick: bool) -> int:
    """How many rows the log of a case has."""
    millions = SIZES[case][1]
    return round(millions * (2_000 if quick else 1_000_000))


def sides_of(case: str, threads: int, *, quick: bool) -> dict[str, tuple[str, dict[str, Any]]]:
    """Name the sides: each engine on one core, and on as many as there may be."""
    shape = SIZES[case][0]
    rows = rows_of_case(case, quick=quick)
    return {
        f"{engine} {cores}": (
            "engine_tables",
            {"engine": engine, "cores": cores, "shape": shape, "rows": rows},
        )
        for engine in _NAMES
        for cores in dict.fromkeys((1, threads))
    }


def entry_of(case: str, runs: Mapping[str, Sequence[Run]], *, quick: bool) -> dict[str, Any]:
    """Make the entry of a case: what each side took, of its fastest run."""
    sides: list[dict[str, Any]] = []
    for name, of_side in runs.items():
        engine, cores = name.split()
        side: dict[str, Any] = {"engine": engine, "cores": int(cores)}
        done = finished(of_side)
        if not done or "missing" in done[-1].report:
            last = of_side[-1]
            message = str(last.report.get("missing", "")) or last.message
            outcome = "missing" if done else last.outcome
            sides.append({**side, "outcome": outcome, "message": message})
            continue
        best = min(done, key=lambda run: run.report["work_seconds"])
        sides.append(
            {
                **side,
                "outcome": "ok",
                "seconds": round(best.report["work_seconds"], 2),
                "cpu_seconds": best.report["tree_cpu_seconds"],
                "peak_mb": best.report["tree_peak_mb"],
                "disk_mb": best.report["disk_mb"],
                "stages": best.report["stages"],
            }
        )
    shape = SIZES[case][0]
    return {"case": case, "shape": shape, "rows": rows_of_case(case, quick=quick), "sides": sides}


def rows_of(entry: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Lines of the table: one a side."""
    log = f"{entry['rows']:,} rows, {_LOGS[entry['shape']]}"
    return [
        (log, _NAMES[side["engine"]], str(side["cores"]), *_line(side)) for side in entry["sides"]
    ]


def _line(side: Mapping[str, Any]) -> tuple[str, ...]:
    if side["outcome"] != "ok":
        [*_, last] = side["message"].splitlines() or [""]
        return (f"{side['outcome']}: {last[:80]}", *["-"] * 4)
    longest = sorted(side["stages"].items(), key=lambda stage: -stage[1])[:3]
    return (
        f"{side['seconds']:,.1f} s",
        f"{side['cpu_seconds']:,.1f} s",
        f"{side['peak_mb']:,.0f} MB",
        f"{side['disk_mb']:,.0f} MB",
        ", ".join(f"{name} {seconds:,.1f} s" for name, seconds in longest),
    )
