"""Rows as they were written: a second pass over a text file for just the wanted lines."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from din_core.sources.csv_blocks import BLOCK_BYTES, LONGEST_RECORD_BYTES, RecordRules
from din_core.sources.csv_header import Header
from din_core.sources.files import ByteStream


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
    rules = RecordRules(header)
    first = header.first_line
    at_end = False
    while not at_end and len(lines):
        more = stream.read(block_bytes)
        at_end = len(more) < block_bytes
        text = pending + more
        ends = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord("\n"))
        starts = np.concatenate(([0], ends + 1))
        # The record of a line near the end may go on in what has not been read yet.
        safe = len(text) if at_end else max(0, len(text) - LONGEST_RECORD_BYTES)
        complete = int(np.searchsorted(starts, safe, side="left")) if not at_end else len(starts)
        taken = int(np.searchsorted(lines, first + complete))
        for line in lines[:taken]:
            start = int(starts[line - first])
            end = rules.record_end(text, start, min(len(text), start + LONGEST_RECORD_BYTES))
            if end is None:
                end = text.find(b"\n", start)
                end = len(text) if end < 0 else end
            content = text[start:end].removesuffix(b"\r")
            yield int(line), content.decode(errors="backslashreplace")
        lines = lines[taken:]
        if complete < len(starts):
            pending = text[int(starts[complete]) :]
            first += complete
        else:
            pending = b""
