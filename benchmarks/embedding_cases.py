"""The case of embeddings: what a step sends and a process holds, of all rows or of its share.

Bytes and memory do not depend on the load of the machine; the milliseconds do. From which
vocabulary on a share pays is arithmetic (:func:`bytes_a_row`), with what training holds of a row.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.entries import finished

if TYPE_CHECKING:
    from benchmarks.processes import Run

EMBEDDINGS = ("embeddings",)
KINDS = ("replicated", "sharded")
_SIZES = ((100_000, 16), (100_000, 64), (1_000_000, 16), (1_000_000, 64), (10_000_000, 16))
_QUICK = ((2_000, 4),)
#: A step of 4,096 samples with a target and ten events of history.
_LOOK_UPS = 45_000


def sides_of(*, quick: bool) -> dict[str, tuple[str, dict[str, Any]]]:
    """Name the sides, each with its function and options."""
    return {
        f"{kind}_{rows}_{width}": (
            "embeddings",
            {
                "kind": kind,
                "rows": rows,
                "width": width,
                "look_ups": 500 if quick else _LOOK_UPS,
                "steps": 3 if quick else 6,
            },
        )
        for rows, width in (_QUICK if quick else _SIZES)
        for kind in KINDS
    }


def entry_of(runs: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """Make the entry of the case: by size and kind, what a process sends in a step and holds."""
    sizes: dict[tuple[int, int], dict[str, Any]] = {}
    for name, of_side in runs.items():
        kind, rows, width = name.split("_")
        size = sizes.setdefault((int(rows), int(width)), {"rows": int(rows), "width": int(width)})
        if done := finished(of_side):
            size[kind] = {
                figure: round(statistics.median(run.report[figure] for run in done), 2)
                for figure in ("sent_bytes", "distinct", "table_mb", "peak_mb", "step_ms")
            }
        else:
            size[kind] = {"outcome": of_side[-1].outcome, "message": of_side[-1].message}
    return {"case": "embeddings", "sizes": list(sizes.values())}


def bytes_a_row(width: int, *, averaged: bool) -> int:
    """Return what training holds of an embedding row, in bytes.

    Args:
        width: D, in 32-bit floats.
        averaged: Whether there is a moving average of the weights (``ema_decay``).
    """
    # The weight, two moments, the best epoch's copy, and the average with the step it is of. Beside
    # them the step the row was moved in, and a mark.
    floats = width * (5 if averaged else 4)
    return 4 * floats + 8 + (4 if averaged else 0)


def rows_that_fit(memory: float, width: int, *, averaged: bool, processes: int = 1) -> int:
    """Return how many rows go into the memory of each process.

    Args:
        memory: Bytes of a process that are there for them.
        width: As of :func:`bytes_a_row`, and ``averaged`` likewise.
        averaged: See ``width``.
        processes: How many share the rows; 1 where each has all of them.
    """
    return int(memory // bytes_a_row(width, averaged=averaged)) * processes


def rows_of(entry: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Lines of the table: rows, width, then of both kinds bytes, memory and time."""
    lines: list[tuple[str, ...]] = []
    for size in entry["sizes"]:
        line = [f"{size['rows']:,}", str(size["width"])]
        for kind in KINDS:
            of_kind = size[kind]
            if "outcome" in of_kind:
                line += [of_kind["outcome"], "-", "-"]
            else:
                line += [
                    f"{of_kind['sent_bytes'] / 1e6:,.2f} MB",
                    f"{of_kind['table_mb']:,.0f} MB",
                    f"{of_kind['step_ms']:,.0f} ms",
                ]
        lines.append(tuple(line))
    return lines
