"""From the two files of Amazon Reviews 2014 to a CSV of interactions, every line accounted for.

``reviews_<Category>_5.json.gz`` holds one review a line as JSON (the "5-core": users and items
with five reviews or more), ``meta_<Category>.json.gz`` one item a line as a Python literal, read
by :mod:`din_core.datasets.amazon.metadata`. An item's category is the last entry of its last
category path, as in the DIN authors' own preparation.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import logging
import re
import tempfile
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, cast

from din_core.datasets.amazon.metadata import MetadataError, leading_asin, read_metadata
from din_core.datasets.amazon.partial_files import explained
from din_core.sources.errors import SourceError

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int | None], None]
"""Called with a file's name, the bytes of it that are done, and its bytes (None where unknown)."""

UNKNOWN_CATEGORY = "unknown"
"""Category of an item that the metadata does not name one for."""

FORM = 1
"""Raised when the same inputs are to give another CSV."""

_COLUMNS = ("user_id", "item_id", "time", "cate_id")
_BLOCK = 1 << 20
_LONGEST_LINE = 1 << 26
_UNWRITABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class Report:
    """What became of every line; lines read = used + rejected, blank lines apart.

    Attributes:
        path: The CSV.
        rejected_path: One JSON object (``file, line, reason, raw``) for each line that could not
            be used; None when there was none.
        reviews_read: Lines of the reviews.
        interactions: Rows of the CSV, one for each review that could be used.
        reviews_rejected: Reviews that could not be used.
        metadata_read: Lines of the metadata.
        metadata_rejected: Those that could not be used. Lines of items that no review names are
            passed over and not examined.
        items: Items in the CSV.
        items_without_category: Those of them whose category is ``unknown``.
    """

    path: Path
    rejected_path: Path | None
    reviews_read: int
    interactions: int
    reviews_rejected: int
    metadata_read: int
    metadata_rejected: int
    items: int
    items_without_category: int


def write_interactions(
    reviews_gz: Path, meta_gz: Path, target: Path, *, on_progress: Progress | None = None
) -> Report:
    """Write a CSV ``user_id,item_id,time,cate_id`` with one row per review, in their order.

    ``time`` is ``unixReviewTime`` (integer seconds, at day resolution). Lines that cannot be used
    go to ``<target>.rejected.jsonl``. Both files are read once, as streams: memory holds the ids
    and categories of the reviewed items, disk a temporary copy of the rows. The files appear
    under their names when they are complete; two calls for one target must not run at once.

    Args:
        reviews_gz: ``reviews_<Category>_5.json.gz``.
        meta_gz: ``meta_<Category>.json.gz``.
        target: The CSV; a name ending in ``.gz`` compresses it.
        on_progress: Called about once for each MiB that is read.

    Returns:
        What became of every line.

    Raises:
        SourceError: A file is missing, is not gzip, breaks off, or no review can be used.
        DownloadError: The target cannot be written.
    """
    for path in (reviews_gz, meta_gz):
        if not path.is_file():
            raise SourceError(f"{path}: there is no such file; fetch it or check the path")
    rejected_path = target.with_name(f"{target.name}.rejected.jsonl")
    with explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            _appears(target) as part,
            _appears(rejected_path) as rejected_part,
            # A file without a name: nothing stays behind, however this ends.
            tempfile.TemporaryFile("w+", dir=target.parent, encoding="utf-8", newline="") as rows,
        ):
            with rejected_part.open("w", encoding="utf-8") as rejected_lines:
                reviews = _Lines(reviews_gz, rejected_lines, on_progress)
                categories = _copy_reviews(reviews, rows)
                metadata = _Lines(meta_gz, rejected_lines, on_progress)
                _fill_categories(metadata, categories)
            interactions = reviews.read - reviews.rejected
            if interactions == 0:
                raise SourceError(
                    f"{reviews_gz}: none of its {reviews.read:,} lines is a usable review "
                    f"({reviews.last_reason or 'the file is empty'}); is it the right file?"
                )
            rows.seek(0)
            _write_csv(rows, part, categories, compressed=target.suffix == ".gz")
            rejected = reviews.rejected + metadata.rejected
            if not rejected:
                rejected_part.unlink()
    if not rejected:
        rejected_path.unlink(missing_ok=True)
    else:
        logger.warning("%s: %s lines could not be used", rejected_path, f"{rejected:,}")
    return Report(
        path=target,
        rejected_path=rejected_path if rejected else None,
        reviews_read=reviews.read,
        interactions=interactions,
        reviews_rejected=reviews.rejected,
        metadata_read=metadata.read,
        metadata_rejected=metadata.rejected,
        items=len(categories),
        items_without_category=sum(category is None for category in categories.values()),
    )


class _Lines:
    """The lines of a gzip file, counted, with a place for those that cannot be used."""

    def __init__(self, path: Path, rejected_lines: TextIO, on_progress: Progress | None) -> None:
        self.path = path
        self.read = 0
        self.rejected = 0
        self.last_reason = ""
        self._number = 0
        self._rejected_lines = rejected_lines
        self._on_progress = on_progress

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._split()
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise SourceError(
                f"{self.path}: the gzip data breaks off or is damaged after line {self._number:,} "
                f"({error}); delete the file and fetch it again"
            ) from error

    def _split(self) -> Iterator[bytes]:
        total = self.path.stat().st_size
        with self.path.open("rb") as compressed, gzip.open(compressed) as content:
            rest, told = b"", 0
            # read1 hands out what is there: where the data breaks off, all before it was read.
            while block := content.read1(_BLOCK):
                *lines, rest = (rest + block).split(b"\n")
                for line in lines:
                    self._number += 1
                    if not line.isspace() and line:
                        self.read += 1
                        yield line
                if len(rest) > _LONGEST_LINE:
                    raise SourceError(
                        f"{self.path}: line {self._number + 1:,} is longer than "
                        f"{_LONGEST_LINE:,} bytes; this is not a file of Amazon Reviews 2014"
                    )
                if compressed.tell() - told >= _BLOCK:
                    told = self._tell(compressed.tell(), total)
            self._tell(total, total)
            if rest.strip():
                self._number += 1
                self.read += 1
                yield rest

    def _tell(self, done: int, total: int) -> int:
        if self._on_progress is not None:
            self._on_progress(self.path.name, done, total)
        return done

    def reject(self, line: bytes, reason: str) -> None:
        """Keep the line that was given out last, whole, with its place and the reason."""
        self.rejected += 1
        self.last_reason = reason
        entry = {
            "file": self.path.name,
            "line": self._number,
            "reason": reason,
            "raw": line.decode("utf-8", errors="backslashreplace"),
        }
        self._rejected_lines.write(json.dumps(entry) + "\n")


def _copy_reviews(lines: _Lines, rows: TextIO) -> dict[str, str | None]:
    """Write ``user, item, time`` (tab-separated) for each review; returns the items, no category.

    Ids hold no control characters, so a tab is a safe separator.
    """
    categories: dict[str, str | None] = {}
    for line in lines:
        try:
            user, item, seconds = _read_review(line)
        except (ValueError, RecursionError) as error:
            lines.reject(line, str(error) if isinstance(error, _ReviewError) else _refusal(error))
            continue
        rows.write(f"{user}\t{item}\t{seconds}\n")
        categories[item] = None
    return categories


class _ReviewError(ValueError):
    """A review that lacks something."""


def _read_review(line: bytes) -> tuple[str, str, int]:
    review = cast("object", json.loads(line.decode()))
    if not isinstance(review, dict):
        raise _ReviewError(f"a {type(review).__name__} where an object is expected")
    fields = cast("dict[str, object]", review)
    user, item, seconds = map(fields.get, ("reviewerID", "asin", "unixReviewTime"))
    if not isinstance(user, str) or not _is_writable(user):
        raise _ReviewError(f"'reviewerID' is {user!r:.40}, not a usable text")
    if not isinstance(item, str) or not _is_writable(item):
        raise _ReviewError(f"'asin' is {item!r:.40}, not a usable text")
    if type(seconds) is not int or not 0 <= seconds < 1 << 63:
        raise _ReviewError(f"'unixReviewTime' is {seconds!r:.40}, not seconds since 1970")
    return user, item, seconds


def _fill_categories(lines: _Lines, categories: dict[str, str | None]) -> None:
    """Give each item of ``categories`` its category; of two lines for an item the last counts."""
    for line in lines:
        try:
            text = line.decode().rstrip("\r")
            asin = leading_asin(text)
            if asin is not None and asin not in categories:
                continue
            asin, category = read_metadata(text)
            if not _is_writable(category):
                raise MetadataError(f"category {category!r:.60} has characters that are not text")
        except ValueError as error:
            reason = str(error) if isinstance(error, MetadataError) else _refusal(error)
            lines.reject(line, reason)
            continue
        if asin in categories:
            categories[asin] = category


def _refusal(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 (byte {error.start + 1})"
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON ({error.msg} at character {error.pos + 1})"
    return f"not readable ({type(error).__name__})"


def _is_writable(text: str) -> bool:
    # isprintable() is quick and true for nearly every text; what it refuses gets a closer look.
    return bool(text) and (text.isprintable() or _UNWRITABLE.search(text) is None)


def _write_csv(
    rows: TextIO, part: Path, categories: Mapping[str, str | None], *, compressed: bool
) -> None:
    with contextlib.ExitStack() as files:
        binary = files.enter_context(part.open("wb"))
        if compressed:
            # No time and no name in the header: equal rows give equal bytes.
            packed = gzip.GzipFile("", "wb", compresslevel=6, fileobj=binary, mtime=0)
            files.enter_context(packed)
            text = io.TextIOWrapper(packed, encoding="utf-8", newline="")
        else:
            text = io.TextIOWrapper(binary, encoding="utf-8", newline="")
        writer = csv.writer(files.enter_context(text), lineterminator="\n")
        writer.writerow(_COLUMNS)
        for row in rows:
            user, item, seconds = row[:-1].split("\t")
            writer.writerow((user, item, seconds, categories[item] or UNKNOWN_CATEGORY))


@contextlib.contextmanager
def _appears(path: Path) -> Generator[Path]:
    """Hand out a name to write to, which becomes ``path`` in the end; gone if anything fails."""
    part = path.with_name(f"{path.name}.part")
    try:
        yield part
        if part.exists():
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
