"""Rows as they were written: a second pass over a text file for just the wanted lines."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from din_core.sources.csv_blocks import BLOCK_BYTES
from din_core.sources.csv_header import Header
from din_core.sources.files import ByteStream
from din_core.sources.records import RecordRules


def raw_text(
    stream: ByteStream,
    header: Header,
    lines: npt.NDArray[np.int64],
    *,
    pending: bytes,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[tuple[int, str]]:
    """Find rows by their line.

    Args:
        stream: The rest of the file.
        header: Its header.
        lines: int64 [rows], first lines of the wanted rows, ascending.
        pending: What has been read of the rows already.
        block_bytes: How much is looked at at a time.

    Yields:
        Line and text, which spans lines where a quoted value does.
    """
    rules = RecordRules(header.delimiter, quoting=header.quoting, width=len(header.columns))
    first = header.first_line
    at_end = False
    while not at_end and len(lines):
        size = max(block_bytes, len(pending))
        more = stream.read(size)
        at_end = len(more) < size
        text = pending + more
        stop = len(text) if at_end else text.rfind(b"\n") + 1
        ends = np.flatnonzero(np.frombuffer(text, dtype=np.uint8, count=stop) == ord("\n"))
        starts = np.concatenate(([0], ends + 1))  # the last one is where the next text begins
        here = lines[: int(np.searchsorted(lines, first + len(starts) - (not at_end)))]
        position, next_line, taken = int(starts[-1]), first + len(starts) - 1, 0
        for line in here:
            start = int(starts[line - first])
            record = rules.record(text, start, stop)
            if record is None and not at_end:
                position, next_line = start, int(line)  # it may go on in what is not read yet
                break
            end = record.end if record else text.find(b"\n", start, stop)
            content = text[start : end if end >= 0 else stop].rstrip(b"\r")
            yield int(line), content.decode(errors="backslashreplace")
            taken += 1
        lines, pending, first = lines[taken:], text[position:], next_line
