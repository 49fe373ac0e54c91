"""The first line of a text file: which delimiter it uses and where the needed columns stand."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from din_core.sources.errors import SourceError

DELIMITERS = (",", "\t", ";", "|")
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Header:
    """A header line, understood.

    Attributes:
        delimiter: What stands between two values.
        columns: All columns, in order.
        first_byte: Where the rows begin, in bytes from the start of the file.
        first_line: Line number of the first line after the header.
    """

    delimiter: str
    columns: tuple[str, ...]
    first_byte: int
    first_line: int


def read_header(start: bytes, *, required: Sequence[str], where: str) -> Header:
    """Find the header and choose the delimiter under which it has the required columns.

    Args:
        start: The beginning of the file, the whole header line included.
        required: Columns that must be there; of two delimiters the one that shows more of them
            wins, then the one that gives more columns, then the order of :data:`DELIMITERS`.
        where: The file, for messages.

    Returns:
        The header. Whether every required column is there is :func:`locate`'s question.

    Raises:
        SourceError: There is no line with text, or it is not UTF-8.
    """
    position = len(BOM) if start.startswith(BOM) else 0
    line = 1
    while True:
        end = start.find(b"\n", position)
        stop = len(start) if end < 0 else end
        content = start[position:stop].rstrip(b"\r")
        if content or end < 0:
            break
        position, line = end + 1, line + 1
    if not content:
        raise SourceError(f"{where}: the file has only blank lines; it needs a header and rows")
    if b"\r" in content:
        raise SourceError(
            f"{where}: line {line}: lines end in bare carriage returns (old Mac style); convert "
            "them to line feeds, for example with `tr '\\r' '\\n'`"
        )
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{where}: the header (line {line}) is not UTF-8 (byte {content[error.start]:#04x} at "
            f"{error.start}); convert the file, for example with `iconv -f LATIN1 -t UTF-8`"
        ) from error
    candidates = [(delimiter, _split(text, delimiter)) for delimiter in DELIMITERS]
    delimiter, columns = max(
        candidates, key=lambda found: (len(set(required) & set(found[1])), len(found[1]))
    )
    return Header(delimiter, columns, stop + (end >= 0), line + 1)


def _split(text: str, delimiter: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in next(csv.reader([text], delimiter=delimiter)))


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
    if len(missing) == len(wanted) and any(_is_number(value) for value in columns):
        return (
            f"{where}: line 1 is no header, it holds values ({shown}); put a line with the names "
            f"of the columns first, for example {','.join(wanted)}"
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
    return (
        f"{where}: the {noun} {names} {'is' if len(missing) == 1 else 'are'} not in the header "
        f"({shown}); name the right {noun} with {', '.join(advice)}"
    )


def _is_number(value: str) -> bool:
    return value.removeprefix("-").replace(".", "", 1).isdigit()
