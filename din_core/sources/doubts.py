"""Quotes that may have been meant otherwise than they were read, and the option that says so."""

from __future__ import annotations

from din_core.sources.csv_header import Header
from din_core.sources.files import SourceFile
from din_core.sources.record_rows import Rows


class Doubts:
    """What of one file's quotes may have been meant otherwise.

    Args:
        file: The file.
        header: Its header; None for Parquet, which has no quotes.
    """

    def __init__(self, file: SourceFile, header: Header | None) -> None:
        self._name, self._header = file.name, header
        self._swallowed = self._enclosed = 0
        self._first = 0

    def add(self, rows: Rows) -> None:
        """Count what a block has."""
        first = rows.swallowed[0] if rows.swallowed else 0
        self.count(len(rows.swallowed), first, rows.enclosed)

    def count(self, n_swallowed: int, first: int, n_enclosed: int) -> None:
        """Count what some consecutive rows of the file have.

        Args:
            n_swallowed: Rows that take in a line which looks like a row itself.
            first: Line of the first of them.
            n_enclosed: Values that are kept with the quotes around them.
        """
        if n_swallowed and not self._swallowed:
            self._first = first
        self._swallowed += n_swallowed
        self._enclosed += n_enclosed

    def sentences(self) -> list[str]:
        """Say what was counted, and the option that reads it the other way."""
        found: list[str] = []
        if self._swallowed:
            found.append(
                f"{self._name}: {self._swallowed:,} rows (the first in line {self._first}) take in "
                "lines that look like rows, inside a quoted value; if quotes are characters like "
                "any other in this file, set quoting: none"
            )
        if self._enclosed and self._header is not None and self._header.chosen:
            found.append(
                f"{self._name}: {self._enclosed:,} values keep the quotes around them, for the "
                f"file is {self._header.dialect}; if they are to be dropped, set quoting: minimal"
            )
        return found
