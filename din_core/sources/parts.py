"""The parts of a source that a cluster's tasks read side by side, and whether they fit together.

A part of a text file is a range of its bytes. Where its first row begins is not known before the
rows in front of it are read, for a quoted value may go on over lines; so a task begins at the first
line of its range, reads on to the end of its last row, and says where that was. Where each part
ends at the byte at which the next one began, every part began with a row. Where not, the part
behind is read once more, from there.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from din_core.sources.files import SourceFile
from din_core.sources.layout import Layout
from din_core.sources.parquet_rows import open_parquet

#: Bytes of a part, about.
PART_BYTES = 1 << 27

PartKind = Literal["file", "range", "groups", "hash"]


@dataclass(frozen=True)
class Part:
    """What a task reads.

    Attributes:
        number: Its number, in the order of the files and of the places in them.
        file: Number of the file.
        kind: ``file`` (text, whole), ``range`` (bytes of plain text), ``groups`` (row groups of
            Parquet), or ``hash`` (no rows, only the hash of the content).
        begin: The first byte below the header, or the first row group.
        end: Behind the last one; -1 for the end of the file.
        is_exact: Whether a row begins at ``begin``; else the first line behind it is taken for one.
        attempt: How often the part was read before.
    """

    number: int
    file: int
    kind: PartKind
    begin: int
    end: int
    is_exact: bool = True
    attempt: int = 0


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a task says of its part.

    Attributes:
        part: Its number.
        begin: Where its first row begins, in bytes of the text.
        end: Where the row after its last one begins.
        lines: Lines from the one to the other; of Parquet, rows.
        rows: Rows, good and bad.
        texts: Columns that hold other values than canonical integers.
        continued: Lines that belong to a quoted value of an earlier line.
        swallowed: Rows that take in a line which looks like a row itself.
        first_swallowed: Line of the first of them, counted from 0 in this part.
        enclosed: Values that are kept with the quotes around them.
        escaped: Rows that seem to escape a quote by a backslash.
        first_escaped: Line of the first of them, likewise.
        unseen: Rows with a value that ends in a character nobody sees.
        first_unseen: Line of the first of them, likewise.
        sha256: Hash of the file's content, '' where another part gives it.
        error: Why the source cannot be used, '' where it can.
    """

    part: int
    begin: int = 0
    end: int = 0
    lines: int = 0
    rows: int = 0
    texts: Sequence[str] = ()
    continued: int = 0
    swallowed: int = 0
    first_swallowed: int = 0
    enclosed: int = 0
    escaped: int = 0
    first_escaped: int = 0
    unseen: int = 0
    first_unseen: int = 0
    sha256: str = ""
    error: str = ""


def plan(layout: Layout, part_bytes: int) -> list[Part]:
    """Cut the files of a source into parts.

    Args:
        layout: The source.
        part_bytes: Bytes of a part, about, such as :data:`PART_BYTES`. A compressed file is one
            part, whatever its size.

    Raises:
        SourceError: A Parquet file is damaged.
    """
    parts: list[Part] = []
    for number, (file, header) in enumerate(zip(layout.files, layout.headers, strict=True)):
        found = (
            _of_parquet(file, number, part_bytes)
            if header is None
            else _of_text(file, number, header.first_byte, part_bytes)
        )
        parts += [dataclasses.replace(part, number=len(parts) + i) for i, part in enumerate(found)]
    return parts


def _of_text(file: SourceFile, number: int, first: int, part_bytes: int) -> Iterator[Part]:
    if file.compression is not None or file.size - first <= part_bytes:
        yield Part(0, number, "file", first, -1)
        return
    begins = range(first, file.size, part_bytes)
    for begin, end in zip(begins, [*begins[1:], -1], strict=True):
        yield Part(0, number, "range", begin, end, is_exact=begin == first)
    yield Part(0, number, "hash", 0, -1)


def _of_parquet(file: SourceFile, number: int, part_bytes: int) -> Iterator[Part]:
    with open_parquet(file.path) as parquet:
        sizes = [
            parquet.metadata.row_group(group).total_byte_size
            for group in range(parquet.metadata.num_row_groups)
        ]
    begin = size = 0
    for group, of_group in enumerate(sizes):
        if size and size + of_group > part_bytes:
            yield Part(0, number, "groups", begin, group)
            begin, size = group, 0
        size += of_group
    yield Part(0, number, "groups", begin, len(sizes))
    yield Part(0, number, "hash", 0, -1)


def read_all(
    parts: Sequence[Part], read: Callable[[Sequence[Part]], Mapping[int, Told]]
) -> tuple[list[Part], dict[int, Told]]:
    """Read all parts, and those again that did not begin with a row.

    In each round the first of a file's parts that began amiss is put right for good, and mostly
    all of them are, for a reader finds its way back to the rows behind a few lines.

    Args:
        parts: All parts, from :func:`plan`.
        read: Reads some parts and returns what was said of each, by its number.

    Returns:
        The parts as they were read last, and what was said of each then.
    """
    final, told = {part.number: part for part in parts}, dict[int, Told]()
    waiting = list(parts)
    while waiting:
        final |= {part.number: part for part in waiting}
        told |= read(waiting)
        waiting = _begun_amiss(list(final.values()), told)
    return list(final.values()), told


def _begun_amiss(parts: Sequence[Part], told: Mapping[int, Told]) -> list[Part]:
    """Return the parts that did not begin where the one before ended, to be read from there."""
    found: list[Part] = []
    for before, part in itertools.pairwise(parts):
        begin = told[before.number].end
        if part.kind == "range" and part.file == before.file and told[part.number].begin != begin:
            found.append(
                dataclasses.replace(part, begin=begin, is_exact=True, attempt=part.attempt + 1)
            )
    return found


def lines_before(layout: Layout, parts: Sequence[Part], told: Mapping[int, Told]) -> dict[int, int]:
    """Return, for each part by its number, the line in the file at which it begins.

    Args:
        layout: The source.
        parts: All parts.
        told: What was said of each, by its number.
    """
    first: dict[int, int] = {}
    line, file = 0, -1
    for part in parts:
        if part.file != file:
            header, file = layout.headers[part.file], part.file
            line = 1 if header is None else header.first_line
        first[part.number] = line
        line += told[part.number].lines
    return first
