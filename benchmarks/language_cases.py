"""The case ``languages``: the same bundle's graph from another language gives the same numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmarks.entries import finished
from din_core.presets import BEST

if TYPE_CHECKING:
    from benchmarks.processes import Run

LANGUAGES = ("languages",)


def sides_of(
    n_items: int, n_cates: int, n_users: int, *, quick: bool
) -> dict[str, tuple[str, dict[str, Any]]]:
    """Name the one side, with its function and options."""
    options = {
        "model": asdict(BEST.model),
        "vocabulary": {"item_id": n_items, "cate_id": n_cates, "user_id": n_users},
        "length": 5 if quick else 50,
        "n_candidates": 10 if quick else 1000,
        "times": 1 if quick else 10,
    }
    return {"all": ("ask_in_languages", options)}


def entry_of(runs: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """Make the entry; its outcome is ``missing`` where there is no Node to ask."""
    done = finished(runs["all"])
    if not done:
        last = runs["all"][-1]
        return {"case": "languages", "outcome": last.outcome, "message": last.message}
    report = done[-1].report
    if "missing" in report:
        return {"case": "languages", "outcome": "missing", "message": report["missing"]}
    names = ("node", "candidates", "length", "kinds")
    return {"case": "languages", "outcome": "ok", **{name: report[name] for name in names}}


def rows_of(entry: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Lines of the table: ids, candidates, Python, Node, the largest difference."""
    if entry["outcome"] != "ok":
        [*_, last] = entry["message"].splitlines() or [""]
        return [(f"{entry['outcome']}: {last}", *["-"] * 4)]
    return [
        (
            kind,
            f"{entry['candidates']:,}",
            f"{figures['python_ms']:,.1f} ms",
            f"{figures['node_ms']:,.1f} ms",
            f"{figures['largest_difference']:.1e}",
        )
        for kind, figures in entry["kinds"].items()
    ]
