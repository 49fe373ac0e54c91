"""Sources that are refused when their rows have been read, each with the way out.

What is unambiguous is read. What is not is refused whole, with the option that decides it; where
fewer than 1 in 100 times (1 in 20 labels) are of another kind than the rest, those rows alone have
been rejected, and so it is with rows that are not UTF-8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from din_core.config import SourceConfig
from din_core.sources.accounts import Rejection, UnreadTimes
from din_core.sources.codings import FEW_LABELS, FEW_TIMES, Summary, said_of_units
from din_core.sources.errors import SourceError
from din_core.sources.record_rows import NOT_UTF_8

# One row in so many may be damaged in an otherwise sound file.
_FEW_ENCODED = 100
_ICONV = "for example with `iconv -f WINDOWS-1252 -t UTF-8 log.csv > log-utf8.csv`"


def refuse_ambiguous(
    source: SourceConfig,
    summary: Summary,
    examples: Mapping[str, str],
    list_labels: Callable[[], str] | None,
) -> None:
    """Refuse a source whose times or labels can be read in more than one way.

    Args:
        source: The source.
        summary: How its columns are written.
        examples: Reason of a rejection to the first row that was rejected for it.
        list_labels: Gives the most frequent labels and their rows, as text; None where the log has
            no labels.

    Raises:
        SourceError: Times are of several units, labels of no or another coding, or all of one
            class.
    """
    codings = summary.codings
    if codings.n_other_units * FEW_TIMES > codings.n_numbers:
        said = said_of_units(
            codings.n_numbers,
            codings.n_other_units,
            codings.unit,
            codings.other_unit,
            examples.get(codings.other_unit_reason, ""),
        )
        raise SourceError(
            f"{source.path}: time_col '{source.time_col}' mixes units: {said}; write all of them "
            "in one unit, or name the unit with time_unit=s, ms, us or ns"
        )
    if list_labels is not None:
        where = f"{source.path}: label_col '{source.label_col or 'label'}'"
        _refuse_labels(summary, where, list_labels)


def refuse_other_encoding(where: str, rejections: Sequence[Rejection], n_rows: int) -> None:
    """Refuse a file in another encoding, instead of losing just the rows that show it.

    Args:
        where: The source.
        rejections: Why rows were rejected.
        n_rows: Rows of the source.

    Raises:
        SourceError: More than one row, and more than 1 in 100, are not UTF-8.
    """
    found = [each for each in rejections if each.reason.startswith(NOT_UTF_8)]
    n_found = sum(each.rows for each in found)
    if n_found > 1 and n_found * _FEW_ENCODED > n_rows:
        raise SourceError(
            f"{where}: {n_found} of {n_rows} rows are not UTF-8 ({found[0].examples[0]}), so the "
            f"file is in another encoding; convert it, {_ICONV}"
        )


_NO_TIME = "time is neither"
# What `unread_times.sql` calls a way of writing times.
_WAYS_OF_TIMES = {
    "year_day_month": "years, days and months in this order, and if the others are, too, they are "
    "read with day and month exchanged",
    "twelve_hours": "hours of a 12-hour clock",
    "zone_names": "moments of a zone that is named: UTC and GMT are read, others as +01:00",
    "slashes": "dates with slashes or dots",
    "day_first": "dates that end in the year",
    "month_names": "names of months",
    "decimal_comma": "numbers with a decimal comma",
}


def refuse_half_of_times(
    source: SourceConfig,
    rejections: Sequence[Rejection],
    n_rows: int,
    find_ways: Callable[[], Sequence[UnreadTimes]],
) -> None:
    """Refuse a file with times of two ways of writing, instead of losing the rows of the one.

    Args:
        source: The source.
        rejections: Why rows were rejected.
        n_rows: Rows of the source.
        find_ways: Gives the ways that are not read, where rows were rejected for their time.

    Raises:
        SourceError: More than one row, and more than 1 in 100, have times of one such way.
    """
    n_found = sum(each.rows for each in rejections if each.reason.startswith(_NO_TIME))
    none_is_usable = sum(each.rows for each in rejections) == n_rows  # another refusal says why
    if none_is_usable or n_found * FEW_TIMES <= n_rows:
        return
    for way in find_ways():
        if way.rows > 1 and way.rows * FEW_TIMES > n_rows:
            raise SourceError(
                f"{source.path}: time_col '{source.time_col}' is written in more than one way: "
                f"{way.rows} of {n_rows} times are not read (the first is '{way.first}', "
                f"{way.place}): they are {_WAYS_OF_TIMES[way.way]}; write all of them as "
                "2020-01-31 10:00:00, or as numbers since 1970"
            )


# The beginning of a reason, and what to do where no row can be used for it.
_WAYS_OUT = {
    _NO_TIME: "write times as 2020-01-31 10:00:00, or as numbers since 1970, or name "
    "another column with time_col",
    "negative time": "times count from 1970 on; name another column with time_col, or correct them",
    "expected ": "give the rows as many values as the header has names",
    NOT_UTF_8: f"convert the file, {_ICONV}",
    "a carriage return": "convert carriage returns to line feeds, for example with "
    r"`tr '\r' '\n' < log.csv > log-lf.csv`",
    "a NUL byte": "write the log again, as CSV in UTF-8 or as Parquet",
    "a quote": "close the quotes, or set quoting: none where they mean nothing",
}


def refuse_without_rows(
    where: str,
    rejections: Sequence[Rejection],
    n_rows: int,
    n_rejected: int,
    notes: Sequence[str],
) -> None:
    """Refuse a source in which no row can be used.

    Args:
        where: The source.
        rejections: Why rows were rejected, the most frequent reason first.
        n_rows: Rows of the source.
        n_rejected: How many of them were rejected.
        notes: What was seen while it was read, as quotes that are kept: it may be the cause.

    Raises:
        SourceError: All of them; the message has the reasons, the way out of the first, and what
            was seen.
    """
    if n_rejected < n_rows:
        return
    reasons = "; ".join(f"{r.reason} ({r.rows} rows, {r.examples[0]})" for r in rejections[:3])
    ways_out = (way for begin, way in _WAYS_OUT.items() if rejections[0].reason.startswith(begin))
    way_out = next(ways_out, "check which column is which, and what they hold")
    seen = "".join(f"; {note}" for note in notes)
    raise SourceError(f"{where}: not one of {n_rows} rows can be used: {reasons}; {way_out}{seen}")


def _refuse_labels(summary: Summary, where: str, list_labels: Callable[[], str]) -> None:
    codings = summary.codings
    choose = "name the values that mean 'taken' with positive_labels, another column with label_col"
    too_many = codings.n_other_labels * FEW_LABELS > codings.n_labels
    if codings.has_both_signs or (codings.n_other_labels > 1 and too_many):
        raise SourceError(
            f"{where} holds other values than labels (1 and 0, true and false, or 1 and -1): "
            f"{list_labels()}; {choose}, or ignore the column with label_col=''"
        )
    if not summary.n_positives and summary.n_negatives:
        raise SourceError(
            f"{where} has no positive label, and histories are made of the positives: "
            f"{list_labels()}; {choose}, or ignore the column with label_col=''"
        )
    if not summary.n_negatives and summary.n_positives:
        if codings.n_labels < summary.n_rows:
            choose += ", or write 0 where an empty label means not taken: such rows are left out"
        raise SourceError(
            f"{where} has positive labels only, and nothing to tell them from: {list_labels()}; if "
            "the log holds nothing but positives, ignore the column with label_col='' and "
            f"negatives are sampled; else {choose}"
        )
