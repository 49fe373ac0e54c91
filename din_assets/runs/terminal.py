"""A terminal, or what stands in its place: lines, one line that is drawn over, colours, a box.

A line that is drawn over, colours and a frame that needs more than ASCII are for those who can see
them: a pipe and a file get plain lines.
"""

import os
import shutil
import sys
import textwrap
import threading
from collections.abc import Sequence
from typing import TextIO

_STYLES = {"dim": "2", "bold": "1", "red": "31", "green": "32", "yellow": "33"}
_ERASED = "\r\x1b[2K"
_LEAST_WIDTH, _MOST_WIDTH = 60, 120


class Terminal:
    """Where a command writes."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Write to a stream.

        Args:
            stream: By default standard error, whatever that is by then.
        """
        self._stream = stream
        self._lock = threading.RLock()
        self._drawn = ""

    @property
    def stream(self) -> TextIO:
        """The stream."""
        return self._stream or sys.stderr

    @property
    def is_interactive(self) -> bool:
        """Whether a line can be drawn over."""
        try:
            return self.stream.isatty() and os.environ.get("TERM") != "dumb"
        except ValueError:  # closed
            return False

    @property
    def width(self) -> int:
        """Columns to write in."""
        if not self.is_interactive:
            return _MOST_WIDTH
        return min(_MOST_WIDTH, max(_LEAST_WIDTH, shutil.get_terminal_size().columns))

    def styled(self, text: str, *styles: str) -> str:
        """Return a text in a style where that can be seen and NO_COLOR is not set."""
        if not styles or not self.is_interactive or os.environ.get("NO_COLOR"):
            return text
        codes = ";".join(_STYLES[style] for style in styles)
        return f"\x1b[{codes}m{text}\x1b[0m"

    def write(self, text: str) -> None:
        """Write lines that stay; what is drawn over stays below them."""
        with self._lock:
            drawn = self._drawn
            self.erase()
            self._out(f"{self._writable(text)}\n")
            if drawn:
                self.draw(drawn)

    def draw(self, line: str) -> None:
        """Draw a line in the place of the one that was drawn last; a pipe gets nothing."""
        if not self.is_interactive:
            return
        with self._lock:
            # One that is wider than the terminal could not be drawn over.
            self._drawn = line[: shutil.get_terminal_size().columns - 1]
            self._out(f"{_ERASED}{self._writable(self._drawn)}")

    def erase(self) -> None:
        """Take away the line that was drawn."""
        with self._lock:
            if self._drawn:
                self._out(_ERASED)
                self._drawn = ""

    def wrapped(self, text: str, *, indent: str) -> str:
        """Break a text into lines of the terminal's width; a pipe's lines stay whole."""
        if not self.is_interactive:
            return f"{indent}{text}"
        return textwrap.fill(
            text,
            self.width,
            initial_indent=indent,
            subsequent_indent=f"{indent}  ",
            break_long_words=False,
            break_on_hyphens=False,
        )

    def box(self, lines: Sequence[str]) -> None:
        """Write lines in a frame. A longer one stays whole, since it may be there to be copied."""
        inner = max(map(len, lines))
        fits = inner + 4 <= max(self.width, shutil.get_terminal_size().columns)
        frame = "╭─╮│╰╯" if self._can("╭─╮│╰╯") else "+-+|++"
        if not fits:
            return self.write("\n".join(lines))
        left, across, right, side, below, end = frame
        self.write(
            "\n".join(
                [
                    left + across * (inner + 2) + right,
                    *(f"{side} {line.ljust(inner)} {side}" for line in lines),
                    below + across * (inner + 2) + end,
                ]
            )
        )
        return None

    def bar(self, share: float, cells: int = 20) -> str:
        """Return a bar that shows a share, 0 to 1."""
        full, empty = "█░" if self._can("█░") else "#."
        done = round(min(1.0, max(0.0, share)) * cells)
        return full * done + empty * (cells - done)

    def _out(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()

    def _can(self, text: str) -> bool:
        try:
            text.encode(self.stream.encoding or "ascii")
        except UnicodeEncodeError:
            return False
        return True

    def _writable(self, text: str) -> str:
        """The text in what the stream's encoding has: nothing fails for an arrow."""
        if self._can(text):
            return text
        encoding = self.stream.encoding or "ascii"
        return text.encode(encoding, errors="replace").decode(encoding)
