"""The step cases: what a training step costs where the vocabulary, or the whole log, is large.

``steps_vocabulary`` takes the log of the Electronics shape with its own 63,001 items and with their
indices spread over a hundred times as many. ``steps_100m`` trains on the largest log of the scale
cases, for its memory. Ours alone.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmarks.entries import finished
from din_core.presets import BEST, TUTORIAL

if TYPE_CHECKING:
    from benchmarks.processes import Run

STEPS = ("steps_vocabulary", "steps_100m")
PRESETS = {"tutorial": TUTORIAL, "best": BEST}
SPREAD = 100
_PEAK_LIMIT_MB = 16 * 1024


def sides_of(case: str, database: str, *, quick: bool) -> dict[str, tuple[str, dict[str, Any]]]:
    """Name the sides of a case, each with its function and options."""
    vocabularies = (1, SPREAD) if case == "steps_vocabulary" else (1,)
    sides: dict[str, tuple[str, dict[str, Any]]] = {}
    for preset in PRESETS if case == "steps_vocabulary" else ("tutorial",):
        training = asdict(PRESETS[preset].training) | {"device": "cpu"}
        for spread in vocabularies:
            options = {
                "database": database,
                "model": asdict(PRESETS[preset].model),
                "training": training | ({"batch_size": 256} if quick else {}),
                "steps": 4 if quick else 60,
                "spread": spread,
            }
            sides[f"{preset}_{spread}"] = ("ours_steps", options)
    return sides


def entries_of(case: str, runs: Mapping[str, Sequence[Run]]) -> list[dict[str, Any]]:
    """Make an entry of each preset that was measured."""
    entries: list[dict[str, Any]] = []
    for preset in dict.fromkeys(name.rpartition("_")[0] for name in runs):
        base = runs[f"{preset}_1"]
        entry = {"case": f"{case}_{preset}", "preset": preset, **_figures(base)}
        if large := runs.get(f"{preset}_{SPREAD}"):
            entry |= {f"large_{name}": value for name, value in _figures(large).items()}
            if "step_ms" in entry and "large_step_ms" in entry:
                entry["ratio"] = round(entry["large_step_ms"] / entry["step_ms"], 2)
        else:
            entry["within_16_gib"] = entry["peak_mb"] <= _PEAK_LIMIT_MB
        entries.append(entry)
    return entries


def _figures(runs: Sequence[Run]) -> dict[str, Any]:
    done = finished(runs)
    peak = round(max(run.peak_mb for run in runs), 1)
    if not done:
        return {"outcome": runs[-1].outcome, "peak_mb": peak, "message": runs[-1].message}
    steps = [run.report["step_seconds"] * 1000 for run in done]
    return {
        "outcome": "ok",
        "items": done[-1].report["items"],
        "samples": done[-1].report["samples"],
        "step_ms": round(statistics.median(steps), 2),
        "step_ms_all": [round(step, 2) for step in steps],
        "waiting_share": round(statistics.median(r.report["waiting_share"] for r in done), 4),
        "time_to_first_step_s": round(
            statistics.median(run.report["time_to_first_step_s"] for run in done), 2
        ),
        "peak_mb": peak,
    }


def rows_of(entry: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Lines of the table: preset, items, samples, a step, waiting for data, ratio, peak."""
    lines: list[tuple[str, ...]] = []
    for prefix in ("", "large_"):
        if f"{prefix}outcome" not in entry:
            continue
        figures = {
            name: entry.get(f"{prefix}{name}")
            for name in ("items", "samples", "step_ms", "peak_mb")
        }
        if figures["step_ms"] is None:
            lines.append((entry["preset"], entry[f"{prefix}outcome"], *["-"] * 5))
            continue
        lines.append(
            (
                entry["preset"],
                f"{figures['items']:,}",
                f"{figures['samples']:,}",
                f"{figures['step_ms']:.1f} ms",
                f"{entry[f'{prefix}waiting_share']:.1%}",
                f"**{entry['ratio']:.2f} x**" if prefix and "ratio" in entry else "-",
                f"{figures['peak_mb']:,.0f} MB",
            )
        )
    return lines
