r"""Delimited text to columns, with the exact line number of every row, in bounded memory.

The text is read in blocks that end at a line. A block goes through pyarrow's parser, which is fast
but counts no lines: its answer is taken only where every line that is not blank became one row or
one ragged row, for then the lines are known. Where it did not (a quoted value with a line break, a
quote that is never closed, bytes that are not UTF-8), the block is cut finer, down to a small
window that is read record by record (:mod:`~din_core.sources.records`). Both ways follow the same
rules:

- What is a record and what is quoted is said in :mod:`~din_core.sources.records`.
- Blanks around a value are dropped, also inside quotes; `\N` is the empty value.
- Blank lines are not rows, but they count as lines.
- Every other line is the first of a row, good or bad, or is counted as the continuation of one.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv

from din_core.sources.csv_header import BOM, Header
from din_core.sources.errors import SourceError
from din_core.sources.files import ByteStream
from din_core.sources.record_rows import (
    NOT_CLOSED,
    BadRow,
    RecordReader,
    Rows,
    may_have_marks,
    without_blanks,
    without_marks,
)
from din_core.sources.unseen import may_have_unseen, rows_with_unseen

BLOCK_BYTES = 1 << 21
WINDOW_BYTES = 1 << 12
LONGEST_RECORD_BYTES = 1 << 24
_BLANKS = (b" ", b"\t", b"\v", b"\f")  # with the line ends, what `without_blanks` strips
_STAND_IN = b"\x1f"  # the unit separator, for a delimiter of several characters


class _Reader(RecordReader):
    """Parses whole blocks of a file where that gives the same rows."""

    def __init__(self, header: Header, wanted: Mapping[str, int]) -> None:
        super().__init__(header, wanted)
        self._names = [f"column {i}" for i in range(self.width)]

    def parse(self, block: bytes, first_line: int) -> tuple[Rows, int] | None:
        """Parse whole lines at once, and count them; None where lines are not rows."""
        has_returns = b"\r" in block  # looked for first: counting takes twenty times as long
        if has_returns and block.count(b"\r") != block.count(b"\r\n"):
            return None
        if b"\0" in block or not _is_utf8(block):
            return None
        has_quotes = b'"' in block
        quoted = has_quotes and self.rules.quoting
        text, delimiter = block, self.rules.between
        if len(delimiter) > 1:
            if quoted or _STAND_IN in block:
                return None
            text, delimiter = block.replace(delimiter, _STAND_IN), _STAND_IN
        if quoted and (block.startswith(BOM) or self.rules.has_blank_before_quote(block)):
            return None
        starts, ends = _line_bounds(block)
        lines_of_rows = np.flatnonzero(ends > starts)
        if not len(lines_of_rows):
            return Rows(lines_of_rows, {}), len(starts)
        ragged: list[tuple[int, int]] = []

        def note(row: Any) -> str:
            ragged.append((row.number - 1, row.actual_columns))
            return "skip"

        table = pa_csv.read_csv(
            pa.py_buffer(text),
            read_options=pa_csv.ReadOptions(
                use_threads=False, block_size=len(text) + 1, column_names=self._names
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=delimiter.decode(),
                quote_char='"' if quoted else False,
                newlines_in_values=False,
                invalid_row_handler=note,
            ),
            convert_options=pa_csv.ConvertOptions(
                include_columns=[self._names[i] for i in self.wanted.values()],
                column_types=dict.fromkeys(self._names, pa.string()),
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
            or self.rules.line(block[starts[last] : ends[last]]) is None
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
        if quoted or any(blank in block for blank in _BLANKS):
            values = {name: without_blanks(value) for name, value in values.items()}
        if may_have_marks(block):
            values = {name: without_marks(value) for name, value in values.items()}
        enclosed = self.enclosed(block) if has_quotes and not quoted else 0
        escaped = list[int]()
        if places := self.escaped(block):
            lines = np.unique(np.searchsorted(starts, places, "right") - 1)
            escaped = (np.intersect1d(lines, good) + first_line).tolist()
        unseen = rows_with_unseen(values) if may_have_unseen(block) else []
        rows = Rows(
            good + first_line,
            values,
            bad,
            enclosed=enclosed,
            escaped=escaped,
            unseen=(good[unseen] + first_line).tolist(),
        )
        return rows, len(starts)


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


class Extent(NamedTuple):
    """How much of a text was read.

    Attributes:
        end: Where the row after the last one begins, in bytes of the text.
        line: The line that begins there.
    """

    end: int
    line: int


def read_rows(
    stream: ByteStream,
    header: Header,
    wanted: Mapping[str, int],
    *,
    pending: bytes,
    where: str,
    block_bytes: int = BLOCK_BYTES,
    longest_record_bytes: int = LONGEST_RECORD_BYTES,
    limit: int | None = None,
) -> Generator[Rows, None, Extent]:
    """Read the rows of a text file, in its order.

    Args:
        stream: The rest of the file.
        header: Its header; ``first_line`` is where the rows begin.
        wanted: Name to give a column, to its position in the header.
        pending: What has been read of the rows already.
        where: The file, for messages.
        block_bytes: How much is parsed at a time.
        longest_record_bytes: A quote that is open for longer is not closed.
        limit: Where a line begins, in bytes of the text, at which no row is to begin any more; a
            row that began before it is read to its end. None reads all of the text.

    Yields:
        Rows with their lines.

    Returns:
        How much of the text that was.

    Raises:
        SourceError: A line is longer than the longest record, so this is not a text file.
    """
    reader = _Reader(header, wanted)
    line = header.first_line
    at_end, begin = False, 0
    while not at_end and (limit is None or begin < limit):
        # As much again as is waiting for its end, so that nothing is looked at many times.
        size = max(block_bytes, len(pending))
        more = stream.read(size)
        at_end = len(more) < size
        text = pending + more
        stop = len(text) if at_end else text.rfind(b"\n") + 1
        if not stop and len(text) > longest_record_bytes:
            raise SourceError(
                f"{where}: line {line} is longer than {_size(longest_record_bytes)}; is this a "
                "text file?"
            )
        last = stop if limit is None else min(stop, limit - begin)
        position, window = 0, len(text)
        while position < last:
            end = _window_end(text, position, window, last)
            parsed = reader.parse(text[position:end], line)
            if parsed is not None:
                rows, n_lines = parsed
                line, position, window = line + n_lines, end, window * 8
                yield rows
            elif window > WINDOW_BYTES:
                window = max(WINDOW_BYTES, min(window, end - position) // 8)
            else:
                walk = reader.step(text, position, end, stop, line)
                if walk.position == position:
                    too_long = stop - position > longest_record_bytes
                    if not at_end and not too_long:
                        break  # the record may go on in what has not been read yet
                    within = f" within {_size(longest_record_bytes)}" if too_long else ""
                    walk = reader.give_up(text, position, stop, line, NOT_CLOSED + within)
                position, line = walk.position, walk.line
                yield walk.rows()
        begin, pending = begin + position, text[position:]
    return Extent(begin, line)


def _size(n_bytes: int) -> str:
    return f"{n_bytes >> 20} MiB" if n_bytes >> 20 else f"{n_bytes} bytes"


def _window_end(text: bytes, position: int, window: int, stop: int) -> int:
    if position + window >= stop:
        return stop
    end = text.rfind(b"\n", position, position + window) + 1
    if end > position:
        return end
    end = text.find(b"\n", position + window, stop) + 1
    return end or stop
