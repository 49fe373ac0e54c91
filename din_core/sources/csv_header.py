"""The header of a text file: its delimiter, its quoting, and where the needed columns stand."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from din_core.config import Quoting
from din_core.sources.errors import SourceError
from din_core.sources.quoting import is_quoted
from din_core.sources.records import RecordRules

#: What may stand between two values, and its name.
DELIMITERS = {
    ",": "comma",
    "\t": "tab",
    ";": "semicolon",
    "|": "pipe",
    "::": "'::'",
    "\x01": "ctrl-A",
}
BOM = b"\xef\xbb\xbf"
_SEP_LINE = re.compile(rb'"?sep=([^\w"\r\n])"?', re.IGNORECASE)  # as spreadsheets write and read
_DATE = re.compile(r"\d{4}[-/.]\d\d?[-/.]\d\d?|\d\d?[-/.]\d\d?[-/.]\d{4}")
# Titles and notes above a header, as reports have them.
_LINES_ABOVE_A_HEADER = 50
_UNKNOWN_DELIMITERS = " ^~#:/&\x02\x1f"


@dataclass(frozen=True)
class Header:
    """A header, understood.

    Attributes:
        delimiter: What stands between two values.
        columns: All columns, in order.
        first_byte: Where the rows begin, in bytes from the start of the file.
        first_line: Line number of the first line after the header.
        quoting: Whether values may be quoted.
        chosen: Whether the quoting was found out (``auto``) instead of named.
    """

    delimiter: str
    columns: tuple[str, ...]
    first_byte: int
    first_line: int
    quoting: bool = True
    chosen: bool = False

    @property
    def dialect(self) -> str:
        """What separates the values and whether they are quoted, in words."""
        name = DELIMITERS.get(self.delimiter, repr(self.delimiter))
        return f"{name}-separated" + ("" if self.quoting else " without quoting")


@dataclass(frozen=True)
class _Line:
    """A line: its content without mark and line end, its place in bytes, its number from 1."""

    content: bytes
    start: int
    end: int
    number: int


def read_header(
    start: bytes,
    *,
    required: Sequence[str],
    where: str,
    quoting: Quoting = "auto",
    complete: bool = True,
) -> Header:
    """Find the header and choose the delimiter under which it has the required columns.

    Args:
        start: The beginning of the file: the whole header, and rows that show the quoting.
        required: Columns that must be there; of two delimiters the one that shows more of them
            wins, then the one that gives more columns, then the order of :data:`DELIMITERS`. A
            first line ``sep=;`` decides otherwise.
        where: The file, for messages.
        quoting: Whether values may be quoted.
        complete: Whether ``start`` is the whole file.

    Returns:
        The header. Whether every required column is there is :func:`locate`'s question.

    Raises:
        SourceError: There is no line with text, it is not UTF-8, has no known delimiter, or opens
            a quote and does not close it.
    """
    line = _next_line(start, 0, 1, where, complete=complete)
    named = _SEP_LINE.fullmatch(line.content)
    if named:
        line = _next_line(start, line.end + 1, line.number + 1, where, complete=complete)
    delimiters = (named[1].decode(),) if named else tuple(DELIMITERS)
    candidates = [(each, _names(start, line, each, quoting != "none")) for each in delimiters]
    delimiter, (columns, end) = max(
        candidates, key=lambda found: (len(set(required) & set(found[1][0])), len(found[1][0]))
    )
    if not set(required) <= set(columns):
        below = _lines_below(start, line)
        _refuse_lines_above(line, below, where, required, delimiters)
        if len(columns) == 1:
            raise SourceError(_explain_delimiter(line, below, where, delimiters))
    rows = start[end + 1 :]
    quoted = is_quoted(
        quoting,
        delimiter,
        header=line.content,
        sample=rows if complete else rows[: rows.rfind(b"\n") + 1],
        width=len(columns),
    )
    if not quoted:
        columns, end = _names(start, line, delimiter, False)
    elif _rules(delimiter, True).line(line.content) is None and end == line.end:
        raise SourceError(
            f"{where}: the header (line {line.number}) opens a quote and does not close it "
            f"({_shown(line.content)}); mend it, or set quoting: none where quotes mean nothing"
        )
    first_line = line.number + start.count(b"\n", line.start, end) + 1
    return Header(
        delimiter, columns, min(end + 1, len(start)), first_line, quoted, quoting == "auto"
    )


def _next_line(start: bytes, position: int, number: int, where: str, *, complete: bool) -> _Line:
    """Find the next line that is not blank."""
    while True:
        while start.startswith(BOM, position):
            position += len(BOM)
        end = start.find(b"\n", position)
        stop = len(start) if end < 0 else end
        content = start[position:stop].rstrip(b"\r")
        if content.strip() or end < 0:
            break
        position, number = end + 1, number + 1
    if end < 0 and not complete:
        raise SourceError(
            f"{where}: line {number}, which should be the header, goes on after "
            f"{len(start) >> 10:,} KiB; is this a text file?"
        )
    if not content.strip():
        raise SourceError(f"{where}: the file has only blank lines; it needs a header and rows")
    if b"\r" in content:
        raise SourceError(
            f"{where}: line {number}: lines end in bare carriage returns (old Mac style); convert "
            "them to line feeds, for example with `tr '\\r' '\\n'`"
        )
    try:
        content.decode()
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{where}: the header (line {number}) is not UTF-8 (byte {content[error.start]:#04x} "
            f"at {error.start}); convert the file, for example with `iconv -f LATIN1 -t UTF-8`"
        ) from error
    return _Line(content, position, stop, number)


def _rules(delimiter: str, quoting: bool) -> RecordRules:
    return RecordRules(delimiter, quoting=quoting, width=None)


def _names(start: bytes, line: _Line, delimiter: str, quoting: bool) -> tuple[tuple[str, ...], int]:
    """Split a header that may go on in the next lines; return its names and where it ends."""
    record = _rules(delimiter, quoting).record(start, line.start, len(start)) if quoting else None
    if record is None or record.values is None:
        values, end = line.content.split(delimiter.encode()), line.end
    else:
        values, end = record.values, record.end
    return tuple(value.decode(errors="replace").strip() for value in values), end


def _lines_below(start: bytes, line: _Line) -> list[tuple[int, str]]:
    """The next lines with their numbers, as far as they are text."""
    below = start[line.end + 1 :].split(b"\n", _LINES_ABOVE_A_HEADER)[:_LINES_ABOVE_A_HEADER]
    numbered = enumerate((each.decode(errors="replace") for each in below), line.number + 1)
    return [(number, text.strip("\ufeff\r")) for number, text in numbered]


def _refuse_lines_above(
    line: _Line,
    below: Sequence[tuple[int, str]],
    where: str,
    required: Sequence[str],
    delimiters: Sequence[str],
) -> None:
    """Refuse a file that has its header, with all that is required, further down."""
    for number, text in below:
        for delimiter in delimiters:
            names = [each.strip().strip('"').strip() for each in text.split(delimiter)]
            if set(required) <= set(names):
                raise SourceError(
                    f"{where}: the header is line {number} ({_shown(text.encode())}), and line "
                    f"{line.number} reads '{_shown(line.content)}'; remove the lines above the "
                    f"header, for example with `tail -n +{number} log.csv > log-below.csv`"
                )


def _explain_delimiter(
    line: _Line, below: Sequence[tuple[int, str]], where: str, delimiters: Sequence[str]
) -> str:
    text = line.content.decode()
    if text.startswith("#"):
        return (
            f"{where}: line {line.number} should be the header and looks like a comment, it reads "
            f"'{_shown(line.content)}'; remove the lines above the header"
        )
    known = ", ".join(DELIMITERS.get(each, repr(each)) for each in delimiters)
    seen = max(_UNKNOWN_DELIMITERS, key=text.count)
    way_out = "separate the columns by one of these"
    if len(text) > 1 and text[0] == text[-1] == '"' and any(each in text for each in delimiters):
        way_out = "the whole line stands in quotes; remove them, in each line"
    elif titled := _separated(below, delimiters):
        way_out = f"{titled}: if it is the header, remove the lines above it"
    elif text.count(seen):
        way_out += f"; {seen!r} stands there {text.count(seen)} times: is it the delimiter?"
    return (
        f"{where}: no known delimiter in line {line.number} ({known}), it reads "
        f"'{_shown(line.content)}'; {way_out}"
    )


def _separated(below: Sequence[tuple[int, str]], delimiters: Sequence[str]) -> str:
    """Say which line, with the one below it, has several known delimiters, both as many."""
    for (number, text), (_, next_text) in itertools.pairwise(below):
        for each in delimiters:
            if text.count(each) == next_text.count(each) > 1:
                return f"line {number} is {DELIMITERS.get(each, repr(each))}-separated"
    return ""


def _shown(content: bytes) -> str:
    text = content.decode()
    return text if len(text) <= 100 else text[:97] + "..."


def locate(columns: Sequence[str], wanted: Mapping[str, str], *, where: str) -> dict[str, int]:
    """Find the position of each wanted column.

    Args:
        columns: The columns of the file.
        wanted: Column name to the option that names it (as ``user_col``), for the message.
        where: The file, for messages.

    Returns:
        Column name to its position, from 0.

    Raises:
        SourceError: A column is missing or stands there twice.
    """
    missing = [name for name in wanted if name not in columns]
    if missing:
        raise SourceError(_explain_missing(columns, wanted, missing, where))
    for name in wanted:
        if columns.count(name) > 1:
            raise SourceError(
                f"{where}: the header has the column '{name}' {columns.count(name)} times; "
                "rename all but one"
            )
    return {name: columns.index(name) for name in wanted}


def _explain_missing(
    columns: Sequence[str], wanted: Mapping[str, str], missing: Sequence[str], where: str
) -> str:
    shown = ", ".join(columns[:20]) + (", ..." if len(columns) > 20 else "")
    if len(missing) == len(wanted) and any(_is_value(value) for value in columns):
        return (
            f"{where}: line 1 is not a header, it holds values ({shown}); put a line with the "
            f"names of the columns first, for example {','.join(wanted)}"
        )
    # What another option has already found is not what this one looks for.
    folded = {name.casefold(): name for name in reversed(columns) if name not in wanted}
    advice: list[str] = []
    for name in missing:
        close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
        value = folded[close[0]] if close else "..."
        advice.append(f"{wanted[name]}={value}")
    names = " and ".join(f"'{name}'" for name in missing)
    noun = "column" if len(missing) == 1 else "columns"
    attributes = [name for name in wanted if wanted[name] == "item_attribute_cols"]
    lacks_all = attributes and set(attributes) <= set(missing)
    return (
        f"{where}: the {noun} {names} {'is' if len(missing) == 1 else 'are'} not in the header "
        f"({shown}); name the right {noun} with {', '.join(advice)}"
        f"{'; a log without attributes has item_attribute_cols=[]' if lacks_all else ''}"
    )


def _is_value(value: str) -> bool:
    is_number = value.removeprefix("-").replace(".", "", 1).isdigit()
    return is_number or _DATE.match(value) is not None
