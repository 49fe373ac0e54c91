"""Values that may have been meant otherwise than they were read, and the way out."""

from __future__ import annotations

from din_core.sources.csv_header import Header
from din_core.sources.files import SourceFile
from din_core.sources.record_rows import Rows


class Doubts:
    """What of one file's quotes and characters may have been meant otherwise.

    Args:
        file: The file.
        header: Its header; None for Parquet, which has no quotes.
    """

    def __init__(self, file: SourceFile, header: Header | None) -> None:
        self._name, self._header = file.name, header
        self._swallowed = self._escaped = self._enclosed = self._unseen = 0
        self._first_swallowed = self._first_escaped = self._first_unseen = 0

    def add(self, rows: Rows) -> None:
        """Count what a block has."""
        self.count_swallowed(len(rows.swallowed), next(iter(rows.swallowed), 0))
        self.count_escaped(len(rows.escaped), next(iter(rows.escaped), 0))
        self.count_enclosed(rows.enclosed)
        self.count_unseen(len(rows.unseen), next(iter(rows.unseen), 0))

    def count_swallowed(self, n_rows: int, first: int) -> None:
        """Count rows that take in a line which looks like a row itself; ``first`` is a line."""
        if n_rows and not self._swallowed:
            self._first_swallowed = first
        self._swallowed += n_rows

    def count_escaped(self, n_rows: int, first: int) -> None:
        """Count rows that seem to escape a quote by a backslash, likewise."""
        if n_rows and not self._escaped:
            self._first_escaped = first
        self._escaped += n_rows

    def count_enclosed(self, n_values: int) -> None:
        """Count values that are kept with the quotes around them."""
        self._enclosed += n_values

    def count_unseen(self, n_rows: int, first: int) -> None:
        """Count rows with a value that ends in a character nobody sees; ``first`` is a line."""
        if n_rows and not self._unseen:
            self._first_unseen = first
        self._unseen += n_rows

    def sentences(self) -> list[str]:
        """Say what was counted, and the option that reads it the other way."""
        found: list[str] = []
        if self._swallowed:
            found.append(
                f"{self._name}: {self._swallowed:,} rows (the first in line "
                f"{self._first_swallowed}) take in lines that look like rows, inside a quoted "
                "value; if quotes are characters like any other in this file, set quoting: none"
            )
        if self._escaped:
            found.append(
                f"{self._name}: {self._escaped:,} rows (the first in line {self._first_escaped}) "
                r"seem to escape quotes by a backslash, as in \"; that is not read: the quote ends "
                'its value there. Write a quote inside a value as ""'
            )
        if self._enclosed and self._header is not None and self._header.chosen:
            found.append(
                f"{self._name}: {self._enclosed:,} values keep the quotes around them, for the "
                f"file is {self._header.dialect}; if they are to be dropped, set quoting: minimal"
            )
        if self._unseen:
            where = "line" if self._header is not None else "row"
            found.append(
                f"{self._name}: {self._unseen:,} rows (the first in {where} {self._first_unseen}) "
                "have a value that begins or ends with a character nobody sees, such as a no-break "
                "space (U+00A0): as an id it is another one than without. Remove such characters "
                "if they mean nothing"
            )
        return found
