"""Pictures of the table ``attention_weights``: one user's history, and categories across users.

The first is like the paper's figure of activations (arXiv 1706.06978, figure 5): a row for each
candidate, a column for each event, intensity by weight or by what the event makes of the answer.
The second says which history category drives which target category. Pictures depend on the table
alone: equal rows are equal bytes.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from din_core.atomic_files import replacing
from din_core.escaping import printable

Rows = list[dict[str, Any]]
Float64 = npt.NDArray[np.float64]

_USERS, _EVENTS, _CATEGORIES = 4, 20, 12
_LABEL = 18
# What a page shows; the SVG is for print.
_DPI = 100
_CHANGE = "change of the log-odds by the event: above 0 it speaks for the candidate"


def draw(con: duckdb.DuckDBPyConnection, folder: Path) -> dict[str, Path]:
    """Draw all pictures of the table as PNG and SVG.

    Args:
        con: Connection with the table ``attention_weights``.
        folder: Where the files go.

    Returns:
        The PNG of each picture by name: ``changes``, ``weights`` (of a model with attention) and
        ``categories`` (of a log whose items have an attribute). None where the table is empty.
    """
    found = con.sql(
        "select * from attention_weights order by user_id, position, k, history_position"
    ).to_arrow_table()
    rows: Rows = found.to_pylist()
    return {name: _saved(figure, folder / name) for name, figure in _figures(rows)}


def _figures(rows: Rows) -> Iterator[tuple[str, Figure]]:
    if not rows:
        return
    shown = _shown(rows)
    changes = _Activations(shown, [""])
    yield "changes", changes.of(["log_odds_change"], _CHANGE)
    if units := _units(rows):
        shares = rows[0]["weights_are_shares"]
        said = "a share of 1" if shares else "without softmax no share of anything"
        # With the same rows only colours and what they mean differ; to place the names of all
        # events once more would take half as long as to draw them.
        weights = changes if list(units) == [""] else _Activations(shown, list(units))
        yield "weights", weights.of(list(units.values()), f"attention weight, {said}")
    if attributes := _attributes(rows):
        yield "categories", _categories(rows, attributes[0])


def _attributes(rows: Rows) -> list[str]:
    """Attributes of the items, in the order of the columns."""
    named = (name.removeprefix("hist_") for name in rows[0] if name.startswith("hist_"))
    return [name for name in named if name not in ("item_id", "time")]


def _units(rows: Rows) -> dict[str, str]:
    """Columns of weights by the name of what they weigh; one where all are the same."""
    names = [name for name in rows[0] if name.startswith("attention_weight_")]
    names = [name for name in names if rows[0][name] is not None]
    if all(row[name] == row[names[0]] for row in rows for name in names):
        names = names[:1]
    if len(names) == 1:
        return {"": names[0]}
    return {name.removeprefix("attention_weight_"): name for name in names}


@dataclass(frozen=True)
class _History:
    """One user's candidates, each with the same events, the latest ones that are shown."""

    user: str
    candidates: Sequence[Rows]
    n_events: int


def _shown(rows: Rows) -> list[_History]:
    """The users to whose answers the events that fit into a picture matter most."""
    users: dict[Any, dict[tuple[int, int], Rows]] = {}
    for row in rows:
        users.setdefault(row["user_id"], {}).setdefault((row["position"], row["k"]), []).append(row)
    histories = [
        _History(
            str(user),
            # In a labelled log the candidates of one list; they see the same events.
            [events[-_EVENTS:] for events in list(samples.values())[:6]],
            len(next(iter(samples.values()))),
        )
        for user, samples in users.items()
    ]
    matters = {each.user: _spread(each) for each in histories}
    return sorted(histories, key=lambda each: (-matters[each.user], each.user))[:_USERS]


def _spread(history: _History) -> float:
    return float(sum(abs(row["log_odds_change"]) for rows in history.candidates for row in rows))


class _Activations:
    """One panel a user; rows are candidates (and units), columns events in the order of time.

    Args:
        histories: The users.
        units: What is told of each candidate, one row a name; "" where there is one.
    """

    def __init__(self, histories: Sequence[_History], units: Sequence[str]) -> None:
        self._histories = histories
        attribute = next(iter(_attributes(histories[0].candidates[0])), None)
        of_events = [
            [_named(row, "hist", attribute) for row in history.candidates[0]]
            for history in histories
        ]
        of_rows = [
            [
                " ".join(filter(None, [_candidate(rows[0], attribute), unit]))
                for rows in history.candidates
                for unit in units
            ]
            for history in histories
        ]
        heights = [
            0.32 * len(rows) + 0.5 + 0.85 * _width(events)
            for rows, events in zip(of_rows, of_events, strict=True)
        ]
        width = max(map(_width, of_rows)) + 0.38 * max(map(len, of_events)) + 0.4
        self._figure = Figure(figsize=(max(7.0, width), sum(heights) + 1.2), layout="constrained")
        panels = self._figure.subplots(len(histories), 1, squeeze=False, height_ratios=heights)
        self._meshes: list[Any] = []
        for axes, history, rows, names in zip(
            panels[:, 0], histories, of_rows, of_events, strict=True
        ):
            self._meshes.append(_cells(axes, np.zeros((len(rows), len(names))), 1.0))
            events = history.candidates[0]
            _ticks(axes, "x", names, rotation=55, ha="right", rotation_mode="anchor")
            _ticks(axes, "y", rows)
            latest = f", the latest {len(events)} of {history.n_events}"
            cut = latest if len(events) < history.n_events else ""
            first, last = (f"{row['hist_time']:%Y-%m-%d}" for row in (events[0], events[-1]))
            axes.set_title(
                f"user {_short(history.user)}: events from {first} to {last}{cut}",
                fontsize=10,
                loc="left",
                parse_math=False,
            )
        named = "item" if attribute is None else f"{printable(attribute)} / item"
        panels[-1, 0].set_xlabel(f"{named} of the events, oldest first", parse_math=False)
        self._colours = self._figure.colorbar(
            self._meshes[-1], ax=list(panels[:, 0]), location="top", shrink=0.6, aspect=40
        )

    def of(self, columns: Sequence[str], what: str) -> Figure:
        """The figure, the same one each time, with other values.

        Args:
            columns: Where the values of each row's units stand.
            what: What a value is.
        """
        values = [
            np.array([[row[column] for row in rows] for rows in history.candidates
                      for column in columns], dtype=np.float64)
            for history in self._histories
        ]  # fmt: skip
        limit = max(float(np.abs(each).max()) for each in values) or 1.0
        for mesh, cells in zip(self._meshes, values, strict=True):
            mesh.set_array(cells)
            mesh.set_clim(-limit, limit)
        self._colours.set_label(what)
        return self._figure


def _categories(rows: Rows, attribute: str) -> Figure:
    """Mean change by category of the event and of the candidate, the most frequent ones."""
    pairs: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        pair = _value(row[f"hist_{attribute}"]), _value(row[f"target_{attribute}"])
        pairs.setdefault(pair, []).append(row["log_odds_change"])
    of_events, of_targets = Counter[str](), Counter[str]()
    for (event, target), changes in pairs.items():
        of_events[event] += len(changes)
        of_targets[target] += len(changes)
    events, targets = (
        sorted(sorted(count), key=lambda name: -count[name])[:_CATEGORIES]
        for count in (of_events, of_targets)
    )
    # The same category stands on the diagonal, as far as it is among both.
    both = [name for name in targets if name in events]
    events = both + [name for name in events if name not in both]
    targets = both + [name for name in targets if name not in both]
    cells = np.full((len(targets), len(events)), np.nan)
    for (event, target), changes in pairs.items():
        if event in events and target in targets:
            cells[targets.index(target), events.index(event)] = np.mean(changes)
    return _heat_map(cells, events, targets, attribute)


def _heat_map(
    cells: Float64, events: Sequence[str], targets: Sequence[str], attribute: str
) -> Figure:
    names = [list(map(_short, each)) for each in (events, targets)]
    size = (
        max(7.0, 0.62 * len(events) + _width(names[1]) + 0.8),
        max(3.0, 0.42 * len(targets) + 0.7 * _width(names[0]) + 2.0),
    )
    figure = Figure(figsize=size, layout="constrained")
    axes: Any = figure.subplots()
    limit = float(np.nanmax(np.abs(cells))) or 1.0
    image = _cells(axes, cells, limit)
    for (target, event), mean in np.ndenumerate(cells):
        if np.isfinite(mean):
            colour = "white" if abs(mean) > 0.6 * limit else "black"
            axes.text(
                event, target, f"{mean:+.2f}", ha="center", va="center", color=colour, fontsize=8
            )
    name = printable(attribute)
    _ticks(axes, "x", names[0], rotation=45, ha="right", rotation_mode="anchor")
    _ticks(axes, "y", names[1])
    axes.set_xlabel(f"{name} of the event", parse_math=False)
    axes.set_ylabel(f"{name} of the candidate", parse_math=False)
    figure.colorbar(image, ax=axes, location="top", shrink=0.8, aspect=40, label=f"mean {_CHANGE}")
    return figure


def _cells(axes: Any, cells: Float64, limit: float) -> Any:
    """Colour each cell by its value, red above 0 and blue below; the first row is on top."""
    columns, rows = np.arange(cells.shape[1] + 1) - 0.5, np.arange(cells.shape[0] + 1) - 0.5
    axes.invert_yaxis()
    # An image would need a grid of minor ticks between its cells, which takes as long as the rest.
    return axes.pcolormesh(
        *(columns, rows, cells),
        cmap="RdBu_r", vmin=-limit, vmax=limit, edgecolors="white", linewidth=1.5,
    )  # fmt: skip


def _candidate(row: Mapping[str, Any], attribute: str | None) -> str:
    taken = "taken" if row["label"] else "not taken"
    return f"{_named(row, 'target', attribute)}, {taken}, score {row['score']:.2f}"


def _named(row: Mapping[str, Any], prefix: str, attribute: str | None) -> str:
    item = _short(_value(row[f"{prefix}_item_id"]))
    return item if attribute is None else f"{_short(_value(row[f'{prefix}_{attribute}']))} / {item}"


def _value(value: Any) -> str:
    return "unknown" if value is None else str(value)


def _short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _LABEL else f"{text[: _LABEL - 1]}…"


def _width(labels: Sequence[str]) -> float:
    """Inches that the longest label takes, at most."""
    return 0.09 * max(map(len, labels))


def _ticks(axes: Any, axis: str, labels: Sequence[str], **style: Any) -> None:
    set_ticks = axes.set_xticks if axis == "x" else axes.set_yticks
    set_ticks(range(len(labels)), labels, fontsize=8, parse_math=False, **style)


def _saved(figure: Figure, stem: Path) -> Path:
    """Save as PNG and SVG, without what differs between equal pictures."""
    png, svg = stem.with_suffix(".png"), stem.with_suffix(".svg")
    figure.set_dpi(_DPI)
    as_png = FigureCanvasAgg(figure)
    with mpl.rc_context({"svg.hashsalt": "din", "svg.fonttype": "none"}), warnings.catch_warnings():
        # An id may be written in letters that the font lacks; SVG shows them in the viewer's.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        # Placed without being drawn, which would take as long again.
        engine: Any = figure.get_layout_engine()
        engine.execute(figure)
        # The solver of the layout takes its constraints in the order of their addresses, so the
        # last bits of a position differ from time to time, and with them the ids in the SVG.
        figure.set_layout_engine("none")
        for axes in figure.axes:
            left, bottom, width, height = axes.get_position(original=True).bounds
            axes.set_position((round(left, 6), round(bottom, 6), round(width, 6), round(height, 6)))
        # Not figure.savefig, which draws each once more beforehand.
        with replacing(png) as temporary:
            as_png.print_png(temporary, metadata={"Software": None})
        with replacing(svg) as temporary:
            # This canvas sets the figure's resolution to its own.
            as_svg = FigureCanvasSVG(figure)
            as_svg.print_svg(temporary, metadata={"Date": None, "Creator": None})
    return png
