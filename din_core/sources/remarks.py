"""What is said about a source that was read: what is ambiguous, looks unintended, was recognised.

What is unambiguous is read. What is not is refused whole, with the option that decides it; where
fewer than 1 in 100 times (1 in 20 labels) are of another kind than the rest, those rows alone have
been rejected, and so it is with rows that are not UTF-8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from din_core.config import SourceConfig
from din_core.sources.accounts import DoubtfulValues, Rejection
from din_core.sources.codings import (
    FEW_LABELS,
    FEW_TIMES,
    UNIT_NAMES,
    Summary,
    absent_labels,
    labels_in_other_case,
)
from din_core.sources.errors import SourceError
from din_core.sources.record_rows import NOT_UTF_8

# Columns that often say whether an impression was taken, under other names than `label`.
_LIKE_LABELS = {"label", "labels", "click", "clicks", "clicked", "is_click", "is_clicked"}
# One row in so many may be damaged in an otherwise sound file.
FEW_ENCODED = 100
ICONV = "for example with `iconv -f WINDOWS-1252 -t UTF-8 log.csv > log-utf8.csv`"
_NOUNS = {"user_id": "user", "item_id": "item"}
# What whole columns of numbers often are instead of seconds since 1970, from 1900 (the days of a
# spreadsheet: from 1990) to 2100. Read as seconds, all of them are days of 1970.
_DATES_AS_NUMBERS = {
    "years": (1_900, 2_100),
    "days of a spreadsheet": (32_874, 73_415),
    "months": (190_001, 210_012),
    "dates": (19_000_101, 21_001_231),
}


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
        raise SourceError(
            f"{source.path}: time_col '{source.time_col}' mixes units: of {codings.n_numbers} "
            f"numbers {codings.n_numbers - codings.n_other_units} are {codings.unit_name} by their "
            f"size and {codings.n_other_units} are not, most of those "
            f"{UNIT_NAMES[codings.other_unit]} ({examples.get(codings.other_unit_reason, '')}); "
            "write all of them in one unit, or name the unit with time_unit=s, ms, us or ns"
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
    if n_found > 1 and n_found * FEW_ENCODED > n_rows:
        raise SourceError(
            f"{where}: {n_found} of {n_rows} rows are not UTF-8 ({found[0].examples[0]}), so the "
            f"file is in another encoding; convert it, {ICONV}"
        )


# The beginning of a reason, and what to do where no row can be used for it.
_WAYS_OUT = {
    "time is neither": "write times as 2020-01-31 10:00:00, or as numbers since 1970, or name "
    "another column with time_col",
    "negative time": "times count from 1970 on; name another column with time_col, or correct them",
    "expected ": "give the rows as many values as the header has names",
    NOT_UTF_8: f"convert the file, {ICONV}",
    "a quote": "close the quotes, or set quoting: none where they mean nothing",
}


def refuse_without_rows(
    where: str, rejections: Sequence[Rejection], n_rows: int, n_rejected: int
) -> None:
    """Refuse a source in which no row can be used.

    Args:
        where: The source.
        rejections: Why rows were rejected, the most frequent reason first.
        n_rows: Rows of the source.
        n_rejected: How many of them were rejected.

    Raises:
        SourceError: All of them; the message has the reasons, and the way out of the first.
    """
    if n_rejected < n_rows:
        return
    reasons = "; ".join(f"{r.reason} ({r.rows} rows, {r.examples[0]})" for r in rejections[:3])
    ways_out = (way for begin, way in _WAYS_OUT.items() if rejections[0].reason.startswith(begin))
    way_out = next(ways_out, "check which column is which, and what they hold")
    raise SourceError(f"{where}: not one of {n_rows} rows can be used: {reasons}; {way_out}")


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
        raise SourceError(
            f"{where} has positive labels only, and nothing to tell them from: {list_labels()}; if "
            "the log holds nothing but positives, ignore the column with label_col='' and "
            f"negatives are sampled; else {choose}"
        )


def notes(
    source: SourceConfig, columns: Sequence[str], has_label: bool, summary: Summary
) -> tuple[str, ...]:
    """Say what looks as if it was meant otherwise.

    Args:
        source: The source.
        columns: All columns of its header.
        has_label: Whether its rows are labelled impressions.
        summary: How its columns are written.

    Returns:
        Sentences without the source's name, each with the option to set.
    """
    found: list[str] = []
    codings = summary.codings
    if source.label_col is None and not has_label:
        taken = {name for names in source.described_columns().values() for name in names}
        found += [
            f"the column '{name}' is not read: if it says whether an impression was taken, name it "
            f"with label_col={name}; if not, label_col='' ends this warning"
            for name in columns
            if name.strip().casefold() in _LIKE_LABELS and name not in taken
        ]
    if source.time_unit != "auto" and not codings.n_numbers:
        found.append(
            f"time_unit={source.time_unit} has no effect: '{source.time_col}' holds no number; "
            "leave it out"
        )
    first, last = codings.first_number, codings.last_number
    for what, (low, high) in _DATES_AS_NUMBERS.items():
        if first is not None and last is not None and low <= first < last <= high:
            found.append(
                f"the times from {first} to {last} look like {what} and are read as "
                f"{codings.unit_name} since 1970: their order may be right, published dates are "
                "not; write them as YYYY-MM-DD"
            )
    found += [
        f"the column '{name}' holds text, and among it numbers both as '1' and as '1.0': these are "
        "different ids; write them alike"
        for name in summary.mixed
    ]
    n_usable = summary.n_rows - summary.n_rejected
    found += [
        f"the attribute '{name}' is empty in every row: it says nothing; leave it out"
        for name, n_rows in summary.missing.items()
        if n_rows == n_usable
    ]
    found += [
        f"the number '{name}' is empty in every row: it says nothing; leave it out"
        for name, n_rows in summary.no_numbers.items()
        if n_rows == n_usable
    ]
    return tuple(found)


def files_of_one_content(names: Sequence[str], digests: Sequence[str]) -> tuple[str, ...]:
    """Say which files hold the same, as the second download of a file does.

    Args:
        names: The files.
        digests: The hash of the content of each.

    Returns:
        Sentences without the source's name.
    """
    of_one: dict[str, list[str]] = {}
    for name, digest in zip(names, digests, strict=True):
        of_one.setdefault(digest, []).append(name)
    return tuple(
        f"{' and '.join(some)} hold the same: their rows count {len(some)} times; leave "
        "one of them, or set drop_duplicates"
        for some in of_one.values()
        if len(some) > 1
    )


def chosen_labels(source: SourceConfig, written: Sequence[str]) -> tuple[str, ...]:
    """Say which positive labels no row has, and which labels are one but for their case.

    Args:
        source: The source.
        written: The labels of its rows, each once.

    Returns:
        Sentences without the source's name.
    """
    chosen = source.positive_labels
    return (
        *(
            f"positive_labels names '{label}', which no row has; is it spelled so?"
            for label in absent_labels(chosen, written)
        ),
        *(
            f"the label '{label}' counts as not taken: by its case alone it is none of those that "
            "positive_labels names; name it there, too, if it means the same"
            for label in labels_in_other_case(chosen, written)
        ),
    )


def refuse_without_numbers(
    source: SourceConfig, summary: Summary, examples: Mapping[str, str]
) -> tuple[str, ...]:
    """Refuse a dense column that holds text alone; say of the others what could not be read.

    A value that is no finite number costs the row that number, and nothing else of it.

    Args:
        source: The source.
        summary: How its columns are written.
        examples: Dense column to the first value in it that is no number, with its place.

    Returns:
        Sentences without the source's name.

    Raises:
        SourceError: A dense column has values, and not one is a number.
    """
    n_usable = summary.n_rows - summary.n_rejected
    for option in ("item_dense_cols", "user_dense_cols", "context_dense_cols"):
        for name in getattr(source, option):
            if 0 < summary.unreadable[name] == n_usable - summary.no_numbers[name]:
                raise SourceError(
                    f"{source.path}: {option}: '{name}' holds no finite number ({examples[name]}): "
                    "write numbers as 12.5 or 1.25e1, name the column among the attributes, or "
                    "leave it out"
                )
    return tuple(
        f"'{name}' is no finite number in {n_rows} of {n_usable} rows (first {examples[name]}): it "
        f"counts as missing there, and {_filled(source, name)}"
        for name, n_rows in summary.unreadable.items()
        if n_rows
    )


def _filled(source: SourceConfig, name: str) -> str:
    if name in source.context_dense_cols:
        return "the network is told so"
    return "what other rows say of the same item or user holds, else the network is told so"


def doubtful_values(found: Sequence[DoubtfulValues]) -> tuple[str, ...]:
    """Say which words such as NULL count as ids, and which ids may have lost digits.

    Args:
        found: Them.

    Returns:
        Sentences without the source's name.
    """
    return tuple(
        f"'{each.column}' is the word '{each.word}' in {each.rows} rows (first {each.place}): they "
        f"count as one {_NOUNS.get(each.column, 'value')} of that name; if nothing is known there, "
        "leave the value empty"
        if each.word
        else f"'{each.column}' has an exponent in {each.rows} rows (first {each.place}: "
        f"{each.first}), as spreadsheets write long numbers and cut their digits off: if different "
        "ids became one, export them as text"
        for each in sorted(found, key=lambda each: (each.column, each.word))
    )


def emptied(columns: Sequence[str]) -> tuple[str, ...]:
    """Say in which columns words such as NULL were read as the empty value.

    Args:
        columns: The columns.

    Returns:
        Sentences without the source's name.
    """
    return tuple(
        f"'{name}' holds numbers, and words such as NULL, NA or nan: nothing stands there"
        for name in columns
    )


def recognised(source: SourceConfig, summary: Summary) -> tuple[str, ...]:
    """Say what was recognised or will be filled in.

    Args:
        source: The source.
        summary: How its columns are written.

    Returns:
        Sentences without the source's name.
    """
    found: list[str] = []
    codings = summary.codings
    if source.time_unit == "auto" and codings.unit != "s":
        found.append(
            f"'{source.time_col}' is read as {codings.unit_name} (from {codings.first_number} to "
            f"{codings.last_number}); time_unit names another unit"
        )
    if codings.label == "plus_minus":
        found.append("labels are read as 1 (taken) and -1 (not taken)")
    n_usable = summary.n_rows - summary.n_rejected
    found += [
        f"the attribute '{name}' is missing in {n_rows} of {n_usable} rows: what other rows say of "
        "the same item or user holds there, else it is unknown (0)"
        for name, n_rows in summary.missing.items()
        if 0 < n_rows < n_usable
    ]
    found += [
        f"the number '{name}' is empty in {n_rows} of {n_usable} rows: {_filled(source, name)}"
        for name, n_rows in summary.no_numbers.items()
        if 0 < n_rows < n_usable
    ]
    return tuple(found)
