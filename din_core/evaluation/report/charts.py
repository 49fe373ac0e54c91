"""Charts of the report as SVG inside the page: sharp at any size, and no picture to load.

They are 360 units wide, as a phone is, so that their letters are as large there as the text's.
Colours tell apart without red and green, and in print.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

from markupsafe import Markup

_WIDTH, _HEIGHT = 360.0, 200.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 12.0, 12.0, 34.0
_LEAST_SPAN = 1e-9

Points = Sequence[tuple[float, float]]


def curve(
    points: Points,
    *,
    alt: str,
    across: str,
    up: str,
    marked: tuple[float, float] | None = None,
) -> Markup:
    """Draw points, joined.

    Args:
        points: At least one, from left to right.
        alt: What is to be seen, in a sentence.
        across: What the horizontal axis is.
        up: What the vertical axis is.
        marked: A point with a ring around it.
    """
    xs, ys = [x for x, _ in points], [y for _, y in points]
    frame = _Frame((min(xs), max(xs)), _roomy(min(ys), max(ys)))
    path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in points)
    parts = [f'<polyline class="line" points="{path}"/>']
    parts += [_dot(frame, x, y) for x, y in points]
    if marked is not None:
        x, y = marked
        parts.append(f'<circle class="ring" cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="7"/>')
    return _svg(frame, parts, alt, across, up, whole_x=True)


def reliability(points: Points, *, alt: str) -> Markup:
    """Draw mean scores beside shares of positives; the diagonal is where they agree.

    Args:
        points: (mean score, share), both from 0 to 1.
        alt: What is to be seen, in a sentence.
    """
    greatest = max(max(x, y) for x, y in points)
    end = 1.0 if greatest > 0.5 else max(1.1 * greatest, 0.01)
    frame = _Frame((0.0, end), (0.0, end))
    guide = (
        f'<line class="guide" x1="{frame.x(0):.1f}" y1="{frame.y(0):.1f}" '
        f'x2="{frame.x(end):.1f}" y2="{frame.y(end):.1f}"/>'
    )
    parts = [guide, *(_dot(frame, x, y) for x, y in points)]
    return _svg(frame, parts, alt, "mean score of a tenth", "share that was taken", whole_x=False)


def interval(low: float, value: float, high: float, scale: tuple[float, float], alt: str) -> Markup:
    """Draw a figure with its interval, for a cell of a table.

    Args:
        low: Lower end.
        value: The figure.
        high: Upper end.
        scale: What the left and the right border of the cell stand for.
        alt: What is to be seen, in words.
    """
    first, last = scale
    span = max(last - first, _LEAST_SPAN)
    at = [100 * min(max((each - first) / span, 0), 1) for each in (low, value, high)]
    return _markup(
        f'<svg class="cell" viewBox="0 0 100 12" role="img" aria-label="{html.escape(alt)}">'
        f'<line class="range" x1="{at[0]:.1f}" y1="6" x2="{at[2]:.1f}" y2="6"/>'
        f'<circle class="dot" cx="{at[1]:.1f}" cy="6" r="3.5"/></svg>'
    )


def change(value: float, most: float, alt: str) -> Markup:
    """Draw a number as a bar to the right of the middle, or to the left where it is below 0.

    Args:
        value: The number.
        most: What reaches the border.
        alt: What is to be seen, in words.
    """
    length = 50 * min(abs(value) / max(most, _LEAST_SPAN), 1)
    start = 50 if value >= 0 else 50 - length
    kind = "for" if value >= 0 else "against"
    return _markup(
        f'<svg class="cell" viewBox="0 0 100 12" role="img" aria-label="{html.escape(alt)}">'
        f'<rect class="{kind}" x="{start:.1f}" y="1" width="{length:.1f}" height="10"/>'
        '<line class="middle" x1="50" y1="0" x2="50" y2="12"/></svg>'
    )


class _Frame:
    """From numbers to places on the chart."""

    def __init__(self, across: tuple[float, float], up: tuple[float, float]) -> None:
        self.across, self.up = across, up

    def x(self, value: float) -> float:
        first, last = self.across
        share = (value - first) / (last - first) if last > first else 0.5
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        first, last = self.up
        return _TOP + (1 - (value - first) / (last - first)) * (_HEIGHT - _TOP - _BOTTOM)


def _roomy(least: float, greatest: float) -> tuple[float, float]:
    room = max(0.1 * (greatest - least), 0.005)
    return least - room, greatest + room


def _dot(frame: _Frame, x: float, y: float) -> str:
    return f'<circle class="dot" cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="3.5"/>'


def _svg(
    frame: _Frame, parts: Sequence[str], alt: str, across: str, up: str, *, whole_x: bool
) -> Markup:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    marks = [
        f'<line class="axis" x1="{_LEFT}" y1="{bottom}" x2="{right}" y2="{bottom}"/>',
        f'<line class="axis" x1="{_LEFT}" y1="{_TOP}" x2="{_LEFT}" y2="{bottom}"/>',
    ]
    for place in (0.0, 0.5, 1.0):
        y = frame.up[0] + place * (frame.up[1] - frame.up[0])
        marks.append(
            f'<text x="{_LEFT - 4}" y="{frame.y(y) + 4:.1f}" text-anchor="end">{y:.3f}</text>'
        )
    for x, anchor in {frame.across[0]: "start", frame.across[1]: "end"}.items():
        text = f"{x:.0f}" if whole_x else f"{x:.2f}"
        marks.append(
            f'<text x="{frame.x(x):.1f}" y="{bottom + 14}" text-anchor="{anchor}">{text}</text>'
        )
    labels = (
        f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 6}" text-anchor="middle">'
        f"{html.escape(across)}</text>"
        f'<text x="{_LEFT + 6}" y="{_TOP + 4}">{html.escape(up)}</text>'
    )
    return _markup(
        f'<svg class="chart" viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" role="img" '
        f'aria-label="{html.escape(alt)}">{"".join(marks)}{"".join(parts)}{labels}</svg>'
    )


def _markup(text: str) -> Markup:
    return Markup(text)  # noqa: S704 (numbers, our own words, and texts that were escaped above)
