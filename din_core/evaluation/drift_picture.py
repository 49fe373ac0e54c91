"""The picture of the table ``drift``: how near each figure is to its threshold, and what moved."""

from __future__ import annotations

import duckdb
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from din_core.escaping import printable
from din_core.small_pngs import figure_png

_STEADY, _DRIFTED, _BEFORE = "tab:blue", "tab:orange", "0.75"
_FARTHEST = 2.0  # thresholds; what is farther ends here
_VALUES = 8
_LETTERS = 24


def draw(con: duckdb.DuckDBPyConnection) -> bytes | None:
    """Draw the drift of the current log.

    Args:
        con: Connection to the pipeline's database, with ``drift`` and the profiles behind it.

    Returns:
        A PNG of 32 colours; None where there was no log before.
    """
    rows = con.execute(
        "select measure, about, value, threshold, outcome from drift "
        "where outcome in ('steady', 'drifted') order by measure desc, about desc"
    ).fetchall()
    if not rows:
        return None
    moved = con.execute(
        "select about from drift where measure = 'stability_of_attribute' and value is not null "
        "order by value desc, about limit 1"
    ).fetchall()
    figure = Figure(figsize=(7.2, 1.2 + 0.3 * max(len(rows), 6)), dpi=100, layout="constrained")
    if moved:
        of_figures, of_values = figure.subplots(1, 2)
        _values(of_values, con, str(moved[0][0]))
    else:
        of_figures = figure.subplots()
    labels = [
        _plain(f"stability of {about}" if about else measure.replace("_", " "))
        for measure, about, *_ in rows
    ]
    lengths = [reach(str(measure), value, threshold) for measure, _, value, threshold, _ in rows]
    colours = [_DRIFTED if outcome == "drifted" else _STEADY for *_, outcome in rows]
    of_figures.barh(range(len(rows)), lengths, color=colours)
    of_figures.axvline(1, color="0.3", linestyle="--", linewidth=1)
    of_figures.set_yticks(range(len(rows)), labels, fontsize=8)
    of_figures.set_xlim(0, _FARTHEST)
    of_figures.set_title("drift; dashed: the threshold", fontsize=10)
    return figure_png(figure)


def reach(measure: str, value: float, threshold: float) -> float:
    """Return how far a figure of ``drift`` has gone towards its threshold.

    Args:
        measure: Its name.
        value: Its value.
        threshold: Its threshold.

    Returns:
        0 where nothing moved, 1 at the threshold, 2 at most.

    Example:
        >>> reach("new_users", 0.25, 0.5), reach("rows", -0.2, -0.1), reach("last_day_rows", 0.5, 0)
        (0.5, 2.0, 0.5)
    """
    still = 1.0 if measure == "last_day_rows" else 0.0
    gone, allowed = value - still, threshold - still
    if allowed == 0:
        return 0.0 if gone == 0 else _FARTHEST
    return float(np.clip(gone / allowed, 0.0, _FARTHEST))


def _values(axes: Axes, con: duckdb.DuckDBPyConnection, column: str) -> None:
    """Draw the shares of the values of a column that changed most."""
    rows = con.execute(
        """
        select
            coalesce(old.bucket, new.bucket) as bucket,
            coalesce(old.n, 0) / sum(old.n) over () as share_before,
            coalesce(new.n, 0) / sum(new.n) over () as share_now
        from (from previous_log_profile where measure = 'attribute' and about = $column) as old
        full outer join (from log_profile where measure = 'attribute' and about = $column) as new
            on old.bucket = new.bucket
        order by abs(share_now - share_before) desc, bucket
        limit $shown
        """,
        {"column": column, "shown": _VALUES},
    ).fetchall()[::-1]
    places = np.arange(len(rows))
    axes.barh(places + 0.2, [row[1] for row in rows], 0.4, color=_BEFORE, label="before")
    axes.barh(places - 0.2, [row[2] for row in rows], 0.4, color=_STEADY, label="now")
    axes.set_yticks(places, [_plain(row[0] or "(missing)") for row in rows], fontsize=8)
    axes.set_title(f"share of the rows, by {_plain(column)}", fontsize=10)
    axes.legend(fontsize=8)


def _plain(text: str) -> str:
    """A name of the log as matplotlib prints it: `$` would begin a formula."""
    text = printable(text).replace("$", r"\$")
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 3]}..."
