"""The serving cases: how long a ranking takes, whole catalogue or a page of candidates.

``rank.onnx`` beside the graph of rows that repeat the history for each candidate, and beside the
graph that torch-rechub exports of its DIN at the same widths. All in one process and on one thread,
in turn, so that a slow minute of the machine hits all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmarks.entries import finished
from din_core.presets import BEST, TUTORIAL

if TYPE_CHECKING:
    from benchmarks.processes import Run

SERVING = ("serving_tutorial", "serving_best")
_PRESETS = {"tutorial": TUTORIAL, "best": BEST}
_LENGTH = 50


def sides_of(
    case: str, n_items: int, n_cates: int, n_users: int, *, quick: bool
) -> dict[str, tuple[str, dict[str, Any]]]:
    """Name the one side of a case, with its function and options."""
    options = {
        "model": asdict(_PRESETS[case.removeprefix("serving_")].model),
        "vocabulary": {"item_id": n_items, "cate_id": n_cates, "user_id": n_users},
        "length": 5 if quick else _LENGTH,
        "requests": {"100": 3, str(n_items): 2} if quick else {"100": 300, str(n_items): 10},
    }
    return {"all": ("rank_requests", options)}


def entry_of(case: str, runs: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """Make the entry: of each number of candidates the run with the fastest ranking."""
    entry: dict[str, Any] = {"case": case, "preset": case.removeprefix("serving_")}
    done = finished(runs["all"])
    if not done:
        return {**entry, "outcome": runs["all"][-1].outcome, "message": runs["all"][-1].message}
    numbers = done[0].report["candidates"]
    return {
        **entry,
        "outcome": "ok",
        "matmul_gflops": round(max(run.report["matmul_flops"] for run in done) / 1e9, 1),
        "length": done[0].report["length"],
        "candidates": {
            number: min(
                (run.report["candidates"][number] for run in done),
                key=lambda figures: figures["rank"]["least_ms"],
            )
            for number in numbers
        },
    }


def rows_of(entry: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Lines of the table: preset, candidates, ours, p50 and p99, repeated rows, theirs, ratios."""
    if entry["outcome"] != "ok":
        return [(entry["preset"], entry["outcome"], *["-"] * 7)]
    lines: list[tuple[str, ...]] = []
    for number, figures in entry["candidates"].items():
        ours, rows, theirs = (figures.get(name) for name in ("rank", "rows", "theirs"))
        lines.append(
            (
                entry["preset"],
                f"{int(number):,}",
                f"{ours['least_ms']:,.2f} ms",
                f"{ours['p50_ms']:,.2f} / {ours['p99_ms']:,.2f} ms",
                f"{int(number) / ours['least_ms'] * 1e3:,.0f} / s",
                f"{rows['least_ms']:,.2f} ms",
                f"**{rows['least_ms'] / ours['least_ms']:.1f} x**",
                f"{theirs['least_ms']:,.2f} ms" if theirs else "-",
                f"**{theirs['least_ms'] / ours['least_ms']:.1f} x**" if theirs else "-",
            )
        )
    return lines
