"""Rows of delimited text, read record by record: slow, and right whatever the text is.

For the windows of a file that :mod:`~din_core.sources.csv_blocks` cannot parse at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from din_core.sources.csv_header import BOM, Header
from din_core.sources.records import Record, RecordRules
from din_core.sources.unseen import rows_with_unseen

NOT_CLOSED = "a quote is opened and not closed"
NOT_UTF_8 = "not UTF-8"
#: How Hive, MySQL and PostgreSQL write NULL in text.
NOTHING = r"\N"


@dataclass(frozen=True)
class BadRow:
    """A row that the reader could not take apart: its line, what is wrong, and the row as it is."""

    line: int
    problem: str
    raw: str


@dataclass
class Rows:
    """Some consecutive rows of a file.

    Attributes:
        lines: int64 [rows], line of each good row, counted from 1.
        values: Column name to a string array [rows].
        bad: The rows that could not be taken apart.
        continued: Lines that belong to a quoted value of an earlier line.
        swallowed: Lines of the good rows that take in a line which looks like a row itself.
        enclosed: Values that are kept with the quotes around them.
        escaped: Lines of the good rows that seem to escape a quote by a backslash.
        unseen: Lines of the good rows with a value that ends in a character nobody sees.
    """

    lines: npt.NDArray[np.int64]
    values: Mapping[str, Any]
    bad: list[BadRow] = field(default_factory=list[BadRow])
    continued: int = 0
    swallowed: list[int] = field(default_factory=list[int])
    enclosed: int = 0
    escaped: list[int] = field(default_factory=list[int])
    unseen: list[int] = field(default_factory=list[int])


@dataclass
class Walk:
    """How far the record-by-record reading has come, and what it has found (as in Rows)."""

    position: int
    line: int
    values: dict[str, list[str]]
    lines: list[int] = field(default_factory=list[int])
    bad: list[BadRow] = field(default_factory=list[BadRow])
    continued: int = 0
    swallowed: list[int] = field(default_factory=list[int])
    enclosed: int = 0
    escaped: list[int] = field(default_factory=list[int])

    def rows(self) -> Rows:
        """Return what was found."""
        arrays = {name: pa.array(column, pa.string()) for name, column in self.values.items()}
        values = {name: without_marks(without_blanks(array)) for name, array in arrays.items()}
        lines = np.asarray(self.lines, dtype=np.int64)
        return Rows(
            lines,
            values,
            self.bad,
            self.continued,
            self.swallowed,
            self.enclosed,
            self.escaped,
            unseen=lines[rows_with_unseen(values)].tolist(),
        )


class RecordReader:
    """The rules of one file, and which of its columns are wanted.

    Args:
        header: The file's header.
        wanted: Name to give a column, to its position in the header.
    """

    def __init__(self, header: Header, wanted: Mapping[str, int]) -> None:
        self.width = len(header.columns)
        self.rules = RecordRules(header.delimiter, quoting=header.quoting, width=self.width)
        self.wanted = wanted
        between = re.escape(header.delimiter.encode())
        self._enclosed = re.compile(
            rb'(?:^|(?<=%b))"(?:(?!%b)[^"\n])*+"(?=%b|\r*$)' % ((between,) * 3), re.MULTILINE
        )

        self._escaped = re.compile(rb'\\"(?!"|[ \t]*(?:%b|\r*(?:\n|\Z)))' % between)

    def step(self, text: bytes, start: int, end: int, stop: int, first_line: int) -> Walk:
        """Read record by record from ``start`` up to the first record that begins at ``end``.

        It ends sooner, at a record with a quote that is still open at ``stop``.
        """
        walk = Walk(start, first_line, {name: [] for name in self.wanted})
        while walk.position < end:
            record = self.rules.record(text, walk.position, stop)
            if record is None:
                break
            self._take(text, record, walk)
        return walk

    def give_up(self, text: bytes, position: int, stop: int, line: int, problem: str) -> Walk:
        """Reject the one line at ``position``, whose quote nothing closes."""
        walk = Walk(position, line, {name: [] for name in self.wanted})
        end = text.find(b"\n", position, stop)
        self._reject(text, stop if end < 0 else end, problem, walk)
        return walk

    def _take(self, text: bytes, record: Record, walk: Walk) -> None:
        start, end = walk.position, record.end
        content = text[start:end].rstrip(b"\r")
        if not content:
            walk.position, walk.line = end + 1, walk.line + 1
            return
        values = record.values
        problem = NOT_CLOSED if values is None else _damage(content)
        if record.stray and not problem:
            problem = "a carriage return inside the line"
        if values is not None and not problem and len(values) != self.width:
            problem = self.ragged(len(values))
        n_breaks = text.count(b"\n", start, end)
        if problem and n_breaks:
            # What took in several lines made no sense: the quote was a slip.
            problem, end = NOT_CLOSED, text.find(b"\n", start)
        if problem or values is None:
            self._reject(text, end, problem, walk)
            return
        walk.lines.append(walk.line)
        for name, column in self.wanted.items():
            walk.values[name].append(values[column].decode())
        if n_breaks:
            walk.continued += n_breaks
            if any(self._looks_like_row(line) for line in content.split(b"\n")[1:]):
                walk.swallowed.append(walk.line)
        elif not self.rules.quoting and b'"' in content:
            walk.enclosed += self.enclosed(content)
        if self.escaped(content):
            walk.escaped.append(walk.line)
        walk.line += n_breaks + 1
        walk.position = end + 1

    def _reject(self, text: bytes, end: int, problem: str, walk: Walk) -> None:
        content = text[walk.position : end].rstrip(b"\r")
        raw = content.decode(errors="backslashreplace").replace("\0", r"\x00")
        walk.bad.append(BadRow(walk.line, problem, raw))
        walk.line, walk.position = walk.line + 1, end + 1

    def _looks_like_row(self, line: bytes) -> bool:
        """Whether a line inside a quoted value has all fields of a row, a time among them."""
        fields = line.split(self.rules.between)
        if len(fields) != self.width or self.width == 1:
            return False
        time = fields[self.wanted["time"]].strip(b' \t\r"') if "time" in self.wanted else b"0"
        return time[:1].isdigit()

    def ragged(self, found: int) -> str:
        """Say that a row has another number of values than the header."""
        return f"expected {self.width} fields, found {found}"

    def escaped(self, text: bytes) -> list[int]:
        """Find the quotes that a backslash stands before and that end no value, by their place."""
        # One byte first, as in `may_have_marks`.
        if not self.rules.quoting or b"\\" not in text or b'\\"' not in text:
            return []
        return [found.start() for found in self._escaped.finditer(text)]

    def enclosed(self, text: bytes) -> int:
        """Count the values with quotes around them, of text that is not quoted."""
        return len(self._enclosed.findall(text))


def without_blanks(values: Any) -> Any:
    """Strip spaces, tabs and line ends around each value of a string array."""
    return pc.call_function("ascii_trim_whitespace", [values])


def may_have_marks(text: bytes) -> bool:
    """Whether :func:`without_marks` could find something in a text."""
    # One byte first: it is found ten times as fast as several.
    has_nothing = NOTHING[:1].encode() in text and NOTHING.encode() in text
    return has_nothing or (BOM[:1] in text and BOM in text)


def without_marks(values: Any) -> Any:
    """Take the byte order mark from before each value, and :data:`NOTHING` for the empty one.

    Such a mark stands inside a file where files with marks were put one behind the other.
    """
    marks = pc.TrimOptions(BOM.decode())
    values = pc.call_function("utf8_ltrim", [values], marks)
    is_nothing = pc.call_function("equal", [values, pa.scalar(NOTHING)])
    return pc.call_function("if_else", [is_nothing, pa.scalar(""), values])


def _damage(content: bytes) -> str:
    """Say what makes a record's text unusable; empty where nothing does."""
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return f"{NOT_UTF_8} (byte {content[error.start]:#04x})"
    return "a NUL byte" if b"\0" in content else ""
