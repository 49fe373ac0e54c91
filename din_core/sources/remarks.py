"""What is said about a source that was read: what looks unintended, and what was recognised.

What is refused is in :mod:`~din_core.sources.refusals`.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from din_core.config import SourceConfig
from din_core.sources.accounts import DoubtfulValues
from din_core.sources.codings import (
    FEW_TIMES,
    Codings,
    Summary,
    absent_labels,
    labels_in_other_case,
)
from din_core.sources.errors import SourceError

# Columns that often say whether an impression was taken, under other names than `label`.
_LIKE_LABELS = {"label", "labels", "click", "clicks", "clicked", "is_click", "is_clicked"}
_NOUNS = {"user_id": "user", "item_id": "item"}
# What whole columns of numbers often are instead of seconds since 1970, from 1900 (the days of a
# spreadsheet: from 1990) to 2100. Read as seconds, all of them are days of 1970.
_DATES_AS_NUMBERS = {
    "years": (1_900, 2_100),
    "days of a spreadsheet": (32_874, 73_415),
    "months": (190_001, 210_012),
    "days since the year 1": (693_596, 767_009),
    "Julian days": (2_415_020, 2_488_434),
    "dates": (19_000_101, 21_001_231),
}
# What counts from another year, from 1990 to 2100. Read as since 1970, all of it is 1974, 1990 or
# the 24th century.
_TIMES_OF_OTHER_CALENDARS = {
    "microseconds since 1601, as browsers count them,": (
        12_275_625_600_000_000,
        15_746_918_400_000_000,
    ),
    "ticks of Windows": (122_756_256_000_000_000, 157_469_184_000_000_000),
    "ticks of .NET": (627_667_488_000_000_000, 662_380_416_000_000_000),
}
# What is a date in digits, by how many there are; with twelve and more, what is recognised is
# milliseconds. (A number has no zero before it: 829 is as long as 1111.)
_MOMENTS_AS_NUMBERS = {
    4: ("%m%d", "months and days without a year"),
    8: ("%y%m%d%H", "dates of two digits a year, with hours"),
    10: ("%Y%m%d%H", "dates with hours"),
    12: ("%Y%m%d%H%M", "dates with hours and minutes"),
    14: ("%Y%m%d%H%M%S", "dates with a time of day"),
}


def notes(
    source: SourceConfig,
    columns: Sequence[str],
    has_label: bool,
    summary: Summary,
    numbers: Mapping[int, int],
) -> tuple[str, ...]:
    """Say what looks as if it was meant otherwise.

    Args:
        source: The source.
        columns: All columns of its header.
        has_label: Whether its rows are labelled impressions.
        summary: How its columns are written.
        numbers: Times that are numbers, as :func:`~din_core.sources.codings.time_numbers` has them.

    Returns:
        Sentences without the source's name, each with the option to set.
    """
    found: list[str] = []
    codings = summary.codings
    if source.label_col is None and not has_label:
        taken = {name for names in source.described_columns().values() for name in names}
        taken |= {source.user_col, source.item_col, source.time_col}
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
    n_usable = summary.n_rows - summary.n_rejected
    found += [
        f"{said} look like {what} and are read as {codings.unit_name} since 1970: their order may "
        f"be right, published dates and the time between two are not; write them as {way_out}"
        for said, what, way_out in _no_times(codings, n_usable, numbers)
    ]
    found += [
        f"the column '{name}' holds text, and among it numbers both as '1' and as '1.0': these are "
        "different ids; write them alike"
        for name in summary.mixed
    ]
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


def _no_times(
    codings: Codings, n_usable: int, numbers: Mapping[int, int]
) -> Iterator[tuple[str, str, str]]:
    """Say which times look like something else, what that is, and how to write it."""
    first, last = codings.first_number, codings.last_number
    # One number alone may be anything, but not beside moments such as 20240501T130000Z.
    if first is None or last is None or (first == last and codings.n_numbers >= n_usable):
        return
    said = f"the times from {first} to {last}" if first < last else f"times such as {first}"
    of_all = [(said, what, way_out) for what, way_out in _like_dates(first, last)]
    yield from of_all or _hidden_no_times(codings, numbers)


def _hidden_no_times(
    codings: Codings, numbers: Mapping[int, int]
) -> Iterator[tuple[str, str, str]]:
    """The same, where the first or the last time is none, or where the others are times."""
    rows, values = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    examples: dict[tuple[str, str], int] = {}
    n_ours = 0
    for number in sorted(numbers):
        looks = next(_like_dates(number, number), None)
        if looks is None:
            n_ours += numbers[number] if codings.is_of_our_time(number) else 0
            continue
        rows[looks] += numbers[number]
        values[looks] += 1
        examples.setdefault(looks, number)
    for looks, n_rows in rows.most_common(1):
        n_all = sum(numbers.values())
        is_most = n_rows * 10 >= n_all * 9
        is_beside_times = n_rows * FEW_TIMES > n_all and (n_rows + n_ours) * 10 >= n_all * 9
        if values[looks] > 1 and (is_most or is_beside_times):
            yield f"times such as {examples[looks]}", *looks


def _like_dates(first: int, last: int) -> Iterator[tuple[str, str]]:
    """What numbers from the one to the other may be instead, and how to write it."""
    for what, (low, high) in _DATES_AS_NUMBERS.items():
        if low <= first and last <= high:
            yield what, "YYYY-MM-DD"
            return
    for what, (low, high) in _TIMES_OF_OTHER_CALENDARS.items():
        if low <= first and last <= high:
            yield what, "YYYY-MM-DD HH:MM:SS"
            return
    form, what = _MOMENTS_AS_NUMBERS.get(len(str(last)), ("", ""))
    digits = [str(number).zfill(len(str(last))) for number in (first, last)]
    if form and all(_is_moment(each, form) for each in digits):
        yield what, "YYYY-MM-DD HH:MM:SS" if "%H" in form else "YYYY-MM-DD"


def _is_moment(digits: str, form: str) -> bool:
    try:
        moment = datetime.datetime.strptime(digits, form).replace(tzinfo=datetime.UTC)
    except ValueError:
        return False
    return 1900 <= moment.year <= 2100


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
    for option, names in source.number_columns().items():
        for name in names:
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
    """Say which words such as NULL count as ids, and which ids or times may have lost digits.

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
        f"{'times' if each.column == 'time' else 'ids'} became one, export them as text"
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
        f"'{name}' holds numbers, and words such as NULL, nan or -: nothing stands there"
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
