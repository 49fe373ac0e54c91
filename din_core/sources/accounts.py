"""What was found in a source and what became of every row: tables, rejections, duplicates."""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter

from din_core.escaping import printable
from din_core.sources.codings import Summary
from din_core.sources.places import Place
from din_core.sources.rendering import IngestContext
from din_core.sources.staged_source import StagedSource


@dataclass(frozen=True)
class Rejection:
    """A reason for which rows were rejected.

    Attributes:
        reason: The reason, as in ``rejected_rows``.
        rows: How many rows.
        examples: The first of them, as ``log.csv line 7: 1,2,yesterday,3``.
    """

    reason: str
    rows: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class DoubtfulValues:
    """Values of an id, an attribute or the time that may not be what they were.

    Attributes:
        column: The column.
        word: The word such as NULL that all of them are; '' where they are numbers with exponents.
        first: The first of them.
        place: Where it stands, as ``log.csv line 7``.
        rows: How many usable rows have one.
    """

    column: str
    word: str
    first: str
    place: str
    rows: int


@dataclass(frozen=True)
class UnreadTimes:
    """Times that are written in a way that is not read.

    Attributes:
        way: The way, by its name in ``unread_times.sql``.
        first: The first of them.
        place: Where it stands, as ``log.csv line 7``.
        rows: How many rows have one.
    """

    way: str
    first: str
    place: str
    rows: int


@dataclass(frozen=True, kw_only=True)
class ReadFile:
    """A file of a source as it was read.

    Attributes:
        name: Its name, as in the column ``file``.
        path: Where it is.
        bytes: Size on disk.
        sha256: Hash of its content, in hexadecimal: of the decompressed text, or of the Parquet
            file.
        is_plain_text: Whether it is text that is not compressed.
    """

    name: str
    path: Place
    bytes: int
    sha256: str
    is_plain_text: bool


@dataclass(frozen=True)
class SourceReport:
    """What a source turned out to be.

    Attributes:
        files: Names of its files, as in the column ``file``.
        read_files: The same, with what each of them was.
        bytes: Size on disk.
        sha256: Hash of the content, in hexadecimal: of the decompressed text, or of the Parquet
            file. It does not depend on names or places.
        dialect: In words, as ``comma-separated, gzip``.
        columns: All columns of the header.
        has_label: Whether the label column is among them: the rows are labelled impressions.
        lines_read: Rows after the header; blank lines are none, a record over several lines is one.
        continued: Lines of those records after their first. With them each line that is not blank
            is accounted for: below the headers there are ``lines_read + continued``, blank lines
            inside a quoted value included.
        notes: What may have been read otherwise than it was meant, one sentence each.
        rejected: Rows that cannot be used.
        rejections: The reasons, the most frequent first.
        recognised: What was recognised or will be filled in, one sentence each.
        summary: How its columns are written.
        staged_integers: Columns of ``source_rows`` that are BIGINT already, because not one of
            their values, of rejected rows included, is anything else.
    """

    files: tuple[str, ...]
    read_files: tuple[ReadFile, ...]
    bytes: int
    sha256: str
    dialect: str
    columns: tuple[str, ...]
    has_label: bool
    lines_read: int
    continued: int
    notes: tuple[str, ...]
    rejected: int
    rejections: tuple[Rejection, ...]
    recognised: tuple[str, ...]
    summary: Summary
    staged_integers: frozenset[str]

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader of the results should know of the source, one sentence each."""
        return (*self.notes, *self.recognised)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What somebody should look into, one sentence each."""
        return self.notes + tuple(
            f"{r.rows:,} rows rejected: {r.reason}, for example {r.examples[0]}"
            for r in self.rejections
        )


@dataclass(frozen=True)
class IngestReport:
    """Where every row of the source went.

    ``lines_read == interactions + rejected + duplicates`` holds always.

    Attributes:
        source: What was read.
        lines_read: Rows of the source.
        interactions: Rows of ``interactions``.
        rejected: Rows of ``rejected_rows``.
        duplicates: Rows dropped because they equal an earlier one.
    """

    source: SourceReport
    lines_read: int
    interactions: int
    rejected: int
    duplicates: int

    @property
    def account(self) -> dict[str, int]:
        """The numbers of rows by what became of them, and of lines inside quotes."""
        return {
            "lines_read": self.lines_read,
            "lines_inside_quotes": self.source.continued,
            "interactions": self.interactions,
            "rejected": self.rejected,
            "duplicates_dropped": self.duplicates,
        }


def find_rejections(rows: StagedSource, judging: IngestContext) -> tuple[Rejection, ...]:
    """Return why staged rows will be rejected, the most frequent reason first.

    Args:
        rows: The rows of the source, each rejected one whole (``raw``).
        judging: What the template ``rejected_rows`` takes, ``coding`` included.
    """
    counts: dict[str, int] = {}
    examples: dict[str, list[str]] = {}
    with rows.rejected_alone():
        found = rows.read("source_rejections", judging)
    for reason, file, line, raw, n_rows in sorted(found, key=itemgetter(1, 2)):
        shown = printable(raw)
        shown = shown if len(shown) <= 120 else shown[:117] + "..."
        examples.setdefault(reason, []).append(f"{file} line {line}: {shown}")
        counts[reason] = n_rows
    reasons = sorted(counts, key=lambda reason: (-counts[reason], reason))
    return tuple(Rejection(reason, counts[reason], tuple(examples[reason])) for reason in reasons)


def find_unread_times(rows: StagedSource, judging: IngestContext) -> tuple[UnreadTimes, ...]:
    """Return in which ways times are written that are not read, the most frequent way first.

    Args:
        rows: The rows of the source, some of them rejected for their time, which is text.
        judging: What the templates of ``sql/ingest`` take.
    """
    with rows.rejected_alone():
        found = rows.read("unread_times", judging)
    ways = [
        UnreadTimes(way, printable(time)[:40], f"{file} line {line}", n_rows)
        for way, time, file, line, n_rows in found
    ]
    return tuple(sorted(ways, key=lambda each: (-each.rows, each.way)))


def find_unreadable_numbers(rows: StagedSource, judging: IngestContext) -> dict[str, str]:
    """Return the first value of each dense column that is no number, as ``log.csv line 7: '$5'``.

    Args:
        rows: The rows of the source.
        judging: What the templates of ``sql/ingest`` take.
    """
    if not judging.dense:
        return {}
    return {
        name: f"{file} line {line}: '{printable(value)[:40]}'"
        for name, file, line, value in rows.read("unreadable_numbers", judging)
    }


def find_doubtful_values(
    rows: StagedSource, judging: IngestContext, summary: Summary
) -> tuple[DoubtfulValues, ...]:
    """Return words such as NULL or nan, and numbers with exponents, that stand for ids or times.

    Args:
        rows: The rows of the source.
        judging: What the templates of ``sql/ingest`` take.
        summary: What it says of the columns.
    """
    if not summary.has_doubtful_values and not summary.has_cut_times:
        return ()
    return tuple(
        DoubtfulValues(name, word, value, f"{file} line {line}", n_rows)
        for name, word, value, file, line, n_rows in rows.read("doubtful_values", judging)
        if name != "time" or summary.has_cut_times
    )
