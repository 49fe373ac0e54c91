"""Delimited text to columns, with the exact line number of every row, in bounded memory.

The text is read in blocks that end at a line. A block goes through pyarrow's parser, which is fast
but counts no lines: its answer is taken only where every line that is not blank became one row or
one ragged row, for then the lines are known. Where it did not (a quoted value with a line break, a
quote that is never closed, bytes that are not UTF-8), the block is cut finer, down to a small
window that is read record by record. Both ways follow the same rules:

- A value is quoted when it *begins* with ``"``; ``""`` inside is one quote.
- A record that spans lines counts as one row, at its first line.
- A quote that is not closed rejects its own line and nothing else; reading goes on with the next
  line. The same holds where a record over several lines has not as many fields as the header, or
  goes on after a closing quote: then the quote was a slip, not a quoted line break.
- Blanks around a value are dropped, also inside quotes.
- Blank lines are no rows, but they count as lines.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from din_core.sources.csv_header import Header
from din_core.sources.errors import SourceError
from din_core.sources.files import ByteStream

BLOCK_BYTES = 1 << 21
WINDOW_BYTES = 1 << 12
LONGEST_RECORD_BYTES = 1 << 20


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
    """

    lines: npt.NDArray[np.int64]
    values: Mapping[str, Any]
    bad: list[BadRow] = field(default_factory=list[BadRow])


class RecordRules:
    """Where a record of a file ends, quotes considered."""

    def __init__(self, header: Header) -> None:
        between = re.escape(header.delimiter.encode())
        # Possessive throughout: a record either matches at once or its quote is not closed.
        value = rb'(?:"[^"]*+(?:""[^"]*+)*+"[^%b\n]*+|[^"%b\n][^%b\n]*+|)' % ((between,) * 3)
        self.record = re.compile(rb"%b(?:%b%b)*+" % (value, between, value))

    def record_end(self, text: bytes, start: int, stop: int) -> int | None:
        """Return where the record's line ends; None where a quote is open up to ``stop``."""
        match = self.record.match(text, start, stop)
        end = match.end() if match else start
        return end if end == len(text) or text[end : end + 1] == b"\n" else None


class _Reader(RecordRules):
    """The rules of one file, and which of its columns are wanted."""

    def __init__(self, header: Header, wanted: Mapping[str, int]) -> None:
        super().__init__(header)
        self.width = len(header.columns)
        self.wanted = wanted
        self.delimiter = header.delimiter
        self.names = [f"column {i}" for i in range(self.width)]

    def parse(self, block: bytes, first_line: int) -> tuple[Rows, int] | None:
        """Parse whole lines at once, and count them; None where lines are not rows."""
        has_returns = b"\r" in block  # looked for first: counting takes twenty times as long
        if has_returns and block.count(b"\r") != block.count(b"\r\n"):
            return None
        if not _is_utf8(block):
            return None
        quoted = b'"' in block
        starts, ends = _line_bounds(block)
        lines_of_rows = np.flatnonzero(ends > starts)
        if not len(lines_of_rows):
            return Rows(lines_of_rows, {}), len(starts)
        ragged: list[tuple[int, int]] = []

        def note(row: Any) -> str:
            ragged.append((row.number - 1, row.actual_columns))
            return "skip"

        table = pa_csv.read_csv(
            pa.py_buffer(block),
            read_options=pa_csv.ReadOptions(
                use_threads=False, block_size=len(block) + 1, column_names=self.names
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=self.delimiter,
                quote_char='"' if quoted else False,
                newlines_in_values=False,
                invalid_row_handler=note,
            ),
            convert_options=pa_csv.ConvertOptions(
                include_columns=[self.names[i] for i in self.wanted.values()],
                column_types=dict.fromkeys(self.names, pa.string()),
                strings_can_be_null=False,
                check_utf8=False,
            ),
        )
        if table.num_rows + len(ragged) != len(lines_of_rows):
            return None
        last = lines_of_rows[-1]
        if quoted and (
            any(
                b'"' in block[starts[lines_of_rows[row]] : ends[lines_of_rows[row]]]
                for row, _ in ragged
            )
            or self.record_end(block, int(starts[last]), len(block)) is None
        ):
            return None
        bad = [
            BadRow(
                first_line + int(lines_of_rows[row]),
                self.ragged(found),
                block[starts[lines_of_rows[row]] : ends[lines_of_rows[row]]].decode(),
            )
            for row, found in ragged
        ]
        good = np.delete(lines_of_rows, [row for row, _ in ragged]) if ragged else lines_of_rows
        values = {name: table.column(i) for i, name in enumerate(self.wanted)}
        if b" " in block or b"\t" in block or quoted:
            values = {name: without_blanks(value) for name, value in values.items()}
        return Rows(good + first_line, values, bad), len(starts)

    def ragged(self, found: int) -> str:
        return f"expected {self.width} fields, found {found}"

    def step(self, text: bytes, start: int, end: int, first_line: int, *, at_end: bool) -> _Walk:
        """Read record by record from ``start`` up to the first record that begins at ``end``."""
        walk = _Walk(start, first_line, [], {name: [] for name in self.wanted}, [])
        while walk.position < end:
            stop = min(len(text), walk.position + LONGEST_RECORD_BYTES)
            record_end = self.record_end(text, walk.position, stop)
            if record_end in (None, len(text)) and stop == len(text) and not at_end:
                break  # the record may go on in what has not been read yet
            self._take(text, record_end, walk)
        return walk

    def _take(self, text: bytes, record_end: int | None, walk: _Walk) -> None:
        start = walk.position
        line_end = text.find(b"\n", start)
        line_end = len(text) if line_end < 0 else line_end
        fields: list[str] = []
        problem = "a quote is opened and not closed"
        if record_end is not None:
            content = text[start:record_end].removesuffix(b"\r")
            if not content:
                walk.position, walk.line = line_end + 1, walk.line + 1
                return
            problem = ""
            try:
                # Over several lines a quote must end its value, or it is the next value's own.
                several = record_end > line_end
                record = csv.reader([content.decode()], delimiter=self.delimiter, strict=several)
                fields = next(record)
            except UnicodeDecodeError as error:
                problem = f"not UTF-8 (byte {content[error.start]:#04x})"
            except csv.Error as error:
                problem = f"not CSV ({error})"
            if not problem and len(fields) != self.width:
                problem = self.ragged(len(fields))
            if problem and record_end > line_end:
                # What swallowed several lines made no sense: the quote was a slip.
                problem, record_end = "a quote is opened and not closed", None
        if problem:
            record_end = line_end
            raw = text[start:line_end].removesuffix(b"\r").decode(errors="backslashreplace")
            walk.bad.append(BadRow(walk.line, problem, raw))
        else:
            walk.lines.append(walk.line)
            for name, column in self.wanted.items():
                walk.values[name].append(fields[column])
        end = line_end if record_end is None else record_end
        walk.line += text.count(b"\n", start, end) + 1
        walk.position = end + 1


@dataclass
class _Walk:
    """How far the record-by-record reading has come, and what it has found."""

    position: int
    line: int
    lines: list[int]
    values: dict[str, list[str]]
    bad: list[BadRow]

    def rows(self) -> Rows:
        arrays = {name: pa.array(column, pa.string()) for name, column in self.values.items()}
        values = {name: without_blanks(array) for name, array in arrays.items()}
        return Rows(np.asarray(self.lines, dtype=np.int64), values, self.bad)


def without_blanks(values: Any) -> Any:
    """Strip spaces, tabs and line ends around each value of a string array."""
    return pc.call_function("ascii_trim_whitespace", [values])


def _is_utf8(block: bytes) -> bool:
    if block.isascii():
        return True
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


def _line_bounds(block: bytes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return start and end of each line of the block, line ends not included."""
    text = np.frombuffer(block, dtype=np.uint8)
    ends = np.flatnonzero(text == ord("\n")).astype(np.int64)
    if not len(ends) or ends[-1] != len(block) - 1:
        ends = np.append(ends, len(block))
    starts = np.concatenate(([0], ends[:-1] + 1))
    if b"\r" in block:
        ends = ends - ((ends > starts) & (text[ends - 1] == ord("\r")))
    return starts, ends


def read_rows(
    stream: ByteStream,
    header: Header,
    wanted: Mapping[str, int],
    *,
    pending: bytes,
    where: str,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[Rows]:
    """Read the rows of a text file, in its order.

    Args:
        stream: The rest of the file.
        header: Its header; ``first_line`` is where the rows begin.
        wanted: Name to give a column, to its position in the header.
        pending: What has been read of the rows already.
        where: The file, for messages.
        block_bytes: How much is parsed at a time.

    Yields:
        Rows with their lines.

    Raises:
        SourceError: A line is longer than four blocks, so this is no text file.
    """
    reader = _Reader(header, wanted)
    line = header.first_line
    at_end = False
    while not at_end:
        more = stream.read(block_bytes)
        at_end = len(more) < block_bytes
        text = pending + more
        stop = len(text) if at_end else text.rfind(b"\n") + 1
        if not stop and len(text) > 4 * block_bytes:
            raise SourceError(
                f"{where}: line {line} is longer than {len(text) >> 20} MiB; is this a text file?"
            )
        position, window = 0, len(text)
        while position < stop:
            end = _window_end(text, position, window, stop)
            parsed = reader.parse(text[position:end], line)
            if parsed is not None:
                rows, n_lines = parsed
                line, position, window = line + n_lines, end, window * 8
                yield rows
            elif window > WINDOW_BYTES:
                window = max(WINDOW_BYTES, min(window, end - position) // 8)
            else:
                walk = reader.step(text, position, end, line, at_end=at_end)
                if walk.position == position:
                    break
                position, line = walk.position, walk.line
                yield walk.rows()
        pending = text[position:]


def _window_end(text: bytes, position: int, window: int, stop: int) -> int:
    if position + window >= stop:
        return stop
    end = text.rfind(b"\n", position, position + window) + 1
    if end > position:
        return end
    end = text.find(b"\n", position + window, stop) + 1
    return end or stop
