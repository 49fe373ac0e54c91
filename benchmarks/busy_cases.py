"""Training beside processes that keep the cores busy: what is left of the quiet machine's rate.

Two sides in turn, beside 0, 1, 2 and 8 neighbours: as it is, and as it was when torch's threads met
after every operation and spun there for as long as libgomp pleases. The fair share is what a
scheduler gives so many threads beside so many others. Ours alone.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmarks.entries import finished
from benchmarks.machine import describe_machine
from din_core.presets import BEST, TUTORIAL

if TYPE_CHECKING:
    from benchmarks.processes import Run

BUSY = ("busy_best", "busy_tutorial")
NEIGHBOURS = (0, 1, 2, 8)
_PRESETS = {"best": BEST, "tutorial": TUTORIAL}


def sides_of(case: str, database: str, *, quick: bool) -> dict[str, tuple[str, dict[str, Any]]]:
    """Name the sides of a case, each with its function and options."""
    preset = _PRESETS[case.removeprefix("busy_")]
    training = asdict(preset.training) | {"device": "cpu", "precision": "float32"}
    return {
        f"{how}_{neighbours}": (
            "ours_beside",
            {
                "database": database,
                "model": asdict(preset.model),
                "training": training | ({"batch_size": 512} if quick else {}),
                "epochs": 2,
                "neighbours": neighbours,
                "as_before": how == "before",
            },
        )
        for neighbours in NEIGHBOURS
        for how in ("now", "before")
    }


def entry_of(case: str, runs: Mapping[str, Sequence[Run]], threads: int) -> dict[str, Any]:
    """Make the entry of a case: rates by side and neighbours, and shares of what would be fair."""
    rates: dict[str, dict[str, float]] = {"now": {}, "before": {}}
    for name, of_side in runs.items():
        how, neighbours = name.split("_")
        if done := finished(of_side):
            rates[how][neighbours] = round(
                statistics.median(run.report["samples_per_s"] for run in done), 1
            )
    cores = describe_machine()["cores"]
    quiet = rates["now"].get("0")
    fair = {str(n): fair_share(threads, n, cores) for n in NEIGHBOURS}
    return {
        "case": case,
        "preset": case.removeprefix("busy_"),
        "rates": rates,
        "fair_share": {n: round(share, 3) for n, share in fair.items()},
        "of_fair": {
            n: round(rate / (quiet * fair[n]), 3) for n, rate in rates["now"].items() if quiet
        },
    }


def fair_share(threads: int, neighbours: int, cores: int) -> float:
    """Return the share of its quiet rate that a program of some threads is due.

    Args:
        threads: Its threads, at most ``cores``.
        neighbours: Busy threads beside it.
        cores: Cores that all share.
    """
    return min(1.0, cores / (threads + neighbours))


def rows_of(entry: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Lines of the table: preset, neighbours, as it is, as it was, ratio, share of fair."""
    now, before = entry["rates"]["now"], entry["rates"]["before"]
    return [
        (
            entry["preset"],
            neighbours,
            f"{rate:,.0f} / s",
            f"{before[neighbours]:,.0f} / s" if neighbours in before else "-",
            f"**{rate / before[neighbours]:.2f} x**" if neighbours in before else "-",
            f"{entry['of_fair'][neighbours]:.0%}" if neighbours in entry["of_fair"] else "-",
        )
        for neighbours, rate in now.items()
    ]
