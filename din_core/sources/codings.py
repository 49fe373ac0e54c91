"""How the values of a source are written, decided over whole columns before any row is judged.

A single value does not say whether ``1500000000000`` is a second or a millisecond, whether ``1.0``
is the integer 1, or whether ``1`` is a label or a rating: its column does. :func:`survey` counts
what the columns ``time`` and ``label`` hold and chooses how they are read; :func:`summarise` judges
the rows that way and finds the types of all columns. What is ambiguous is refused by
:mod:`~din_core.sources.refusals`.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice

from din_core.config import SourceConfig
from din_core.sources.rendering import Coding, IngestContext, Kind, LabelCoding, Unit
from din_core.sources.staged_source import StagedSource
from din_core.store import sql_files

_PER_SECOND: Mapping[Unit, int] = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
UNIT_NAMES: Mapping[Unit, str] = {
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
}
#: The bands of `source_codings`: 1973 to 5138 in each unit, so that they do not overlap.
BANDS: Mapping[Unit, tuple[int, int]] = {
    "s": (1, 10**11 - 1),
    "ms": (10**11, 10**14 - 1),
    "us": (10**14, 10**17 - 1),
    "ns": (10**17, 2**63 - 1),
}
# What most logs are of: 1990 to 2100, in seconds.
_OUR_TIME = (631_152_000, 4_102_444_800)
_LOOKED_AT = 10_000
# `number_pattern` of sql/macros/source_values.jinja.
_NUMBER = re.compile(r"^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]{1,3})?$")
#: One in so many may be of another kind than the rest: those rows alone are rejected.
FEW_TIMES, FEW_LABELS = 100, 20
# DECIMAL(18, 6) is stored in 64 bits, and holds seconds of twelve digits.
_SECONDS_IN_64_BITS = 10**12
_WORD, _EXPONENT = 32, 64  # bits of the macro kind_of
_TRUE, _FALSE = {"true", "t", "yes", "y"}, {"false", "f", "no", "n"}


@dataclass(frozen=True)
class Codings:
    """How the columns ``time`` and ``label`` are read.

    Attributes:
        unit: Unit of the times that are numbers.
        n_numbers: How many times are numbers.
        n_other_units: How many of them are of another unit by their size, where none was named.
        other_unit: The unit that most of those have.
        first_number: The smallest time that is a number, None where there is none.
        last_number: The largest.
        label: Which labels mean 1 and 0: 1 and 0, 1 and -1, or the ``positive_labels`` and others.
        positive_labels: Those, as the options give them.
        n_labels: Rows with a label.
        n_other_labels: Rows with a label that the coding does not have.
        has_both_signs: Whether -1 and 0 both stand beside 1, too often for a slip.
    """

    unit: Unit
    n_numbers: int
    n_other_units: int
    other_unit: Unit
    first_number: int | None
    last_number: int | None
    label: LabelCoding
    positive_labels: tuple[str, ...]
    n_labels: int
    n_other_labels: int
    has_both_signs: bool

    @property
    def unit_name(self) -> str:
        """As ``milliseconds``."""
        return UNIT_NAMES[self.unit]

    def is_of_our_time(self, number: int) -> bool:
        """Whether a time that is a number is from 1990 to 2100."""
        first, end = (second * _PER_SECOND[self.unit] for second in _OUR_TIME)
        return first <= number < end

    @property
    def other_unit_reason(self) -> str:
        """Why a row with a time of another unit is rejected."""
        return f"time is not in {self.unit_name}, as the others are"

    @property
    def label_reason(self) -> str:
        """Why a row with another label is rejected."""
        if self.label == "chosen":
            return "empty label"
        return f"label is neither {'1 nor -1' if self.label == 'plus_minus' else '0 nor 1'}"

    def coding(self) -> Coding:
        """Return what ``sql/ingest`` calls ``coding``, as far as it is known by now."""
        numbers = [number for text in self.positive_labels if (number := _number(text)) is not None]
        whole = [number for number in numbers if number == number.to_integral_value()]
        words = [text for text in self.positive_labels if _number(text) is None]
        least, greatest = BANDS[self.unit]
        return Coding(
            unit=self.unit,
            per_second=_PER_SECOND[self.unit],
            has_other_units=self.n_other_units > 0,
            least_time=least,
            greatest_time=greatest,
            other_unit_reason=sql_files.literal(self.other_unit_reason),
            label=self.label,
            label_reason=sql_files.literal(self.label_reason),
            positive_numbers=tuple(sql_files.literal(repr(float(number))) for number in numbers),
            positive_integers=tuple(int(number) for number in whole if abs(number) < 2**63),
            positive_words=tuple(map(sql_files.literal, words)),
        )


@dataclass(frozen=True)
class Summary:
    """What the rows amount to, judged by their codings.

    Attributes:
        codings: How ``time`` and ``label`` were read.
        n_rows: Rows of the source.
        n_rejected: Rows that cannot be used.
        n_positives: Usable rows with label 1.
        n_negatives: Usable rows with label 0.
        time_scale: Digits after the point of a time in seconds: 0, 6 or 18.
        time_width: Digits of a time in all, for the type DECIMAL.
        has_cut_times: Whether most times that are numbers have an exponent for digits that are not
            there, as ``1.6E+12`` milliseconds.
        kinds: Id or attribute column to the kind of all its values.
        mixed: Columns of text in which a number stands as ``1`` and as ``1.0``.
        has_doubtful_values: Whether an id or attribute of text is a word such as NULL or nan, or a
            whole number has an exponent.
        numbers_or_words: Columns whose values are such words and else all of one kind, not text.
        missing: Attribute to the usable rows that lack it.
        no_numbers: Dense column to the usable rows in which nothing stands.
        unreadable: Dense column to the usable rows in which something stands that is no number.
    """

    codings: Codings
    n_rows: int
    n_rejected: int
    n_positives: int
    n_negatives: int
    time_scale: int
    time_width: int
    has_cut_times: bool
    kinds: Mapping[str, Kind]
    mixed: tuple[str, ...]
    has_doubtful_values: bool
    numbers_or_words: tuple[str, ...]
    missing: Mapping[str, int]
    no_numbers: Mapping[str, int]
    unreadable: Mapping[str, int]

    def coding(self) -> Coding:
        """Return what ``sql/ingest`` calls ``coding``, now that the rows are judged."""
        return dataclasses.replace(
            self.codings.coding(),
            time_scale=self.time_scale,
            time_width=self.time_width,
            kinds=self.kinds,
        )


def said_of_units(n_numbers: int, n_others: int, unit: Unit, other: Unit, example: str) -> str:
    """Say of which units numbers as times are.

    Args:
        n_numbers: How many they are.
        n_others: How many are not of the unit that most are of.
        unit: That one.
        other: The unit that most of the others are of.
        example: One of those.
    """
    return (
        f"of {n_numbers} numbers {n_numbers - n_others} are {UNIT_NAMES[unit]} by their size and "
        f"{n_others} are not, most of those {UNIT_NAMES[other]} ({example})"
    )


def survey(rows: StagedSource, source: SourceConfig, context: IngestContext) -> Codings:
    """Choose how ``time`` and ``label`` are read.

    Args:
        rows: The rows of the source.
        source: The source.
        context: What the templates of ``sql/ingest`` take, ``coding`` not known yet.
    """
    (counted,) = rows.read("source_codings", context)
    n_numbers, *bands, least, greatest, n_ones, n_zeros, n_minus_ones, n_labels = counted
    by_unit: dict[Unit, int] = dict(zip(BANDS, bands, strict=True))
    unit, other_unit = sorted(by_unit, key=lambda each: -by_unit[each])[:2]
    named = source.time_unit != "auto"
    label: LabelCoding = "plus_minus" if n_minus_ones > n_zeros else "zero_one"
    n_known = n_ones + (n_minus_ones if label == "plus_minus" else n_zeros)
    if source.positive_labels:
        label, n_known = "chosen", n_labels
    return Codings(
        unit=source.time_unit if source.time_unit != "auto" else unit,
        n_numbers=n_numbers,
        n_other_units=0 if named else sum(bands) - by_unit[unit],
        other_unit=other_unit,
        first_number=least,
        last_number=greatest,
        label=label,
        positive_labels=source.positive_labels,
        n_labels=n_labels,
        n_other_labels=n_labels - n_known,
        has_both_signs=label != "chosen" and min(n_zeros, n_minus_ones) * FEW_LABELS > n_labels,
    )


def time_numbers(rows: StagedSource, codings: Codings, context: IngestContext) -> dict[int, int]:
    """Return times that are numbers, and how often each is, where the outermost are odd.

    A single 0, or a date of the year 9999, hides what the others are: of a log with such a time
    some thousand are looked at.

    Args:
        rows: The rows of the source.
        codings: How ``time`` is read.
        context: What the templates of ``sql/ingest`` take.

    Returns:
        Number above 0 to the rows that have it; empty where all are from 1990 to 2100.
    """
    ends = (codings.first_number, codings.last_number)
    if all(end is None or codings.is_of_our_time(end) for end in ends):
        return {}
    every = max(1, codings.n_numbers // _LOOKED_AT)
    counted = rows.read("time_numbers", context, every=every)
    return dict(map(tuple[int, int], counted))


def summarise(
    rows: StagedSource,
    codings: Codings,
    attributes: Sequence[str],
    dense: Sequence[str],
    context: IngestContext,
) -> Summary:
    """Judge the rows, and find the types of their columns.

    Args:
        rows: The rows of the source.
        codings: How ``time`` and ``label`` are read.
        attributes: Names of the attribute columns.
        dense: Names of the dense columns.
        context: What the templates of ``sql/ingest`` take, ``coding`` not known yet.
    """
    judging = dataclasses.replace(context, coding=codings.coding())
    (counted,) = rows.read("source_summary", judging)
    values = iter(counted)
    n_rows, n_rejected, n_positives, n_negatives, digits, last_second, n_cut = islice(values, 7)
    columns = ("user_id", "item_id", *attributes)
    bits = dict(zip(columns, islice(values, len(columns)), strict=True))
    missing = dict(zip(attributes, islice(values, len(attributes)), strict=True))
    no_numbers = dict(zip(dense, islice(values, len(dense)), strict=True))
    unreadable = dict(zip(dense, values, strict=True))
    scale = int(digits or 0)
    if scale and (last_second or 0) >= _SECONDS_IN_64_BITS:
        scale = 18
    return Summary(
        codings=codings,
        n_rows=n_rows,
        n_rejected=n_rejected,
        n_positives=n_positives,
        n_negatives=n_negatives,
        time_scale=scale,
        time_width=38 if scale == 18 else 18,
        has_cut_times=n_cut * 2 > codings.n_numbers,
        kinds={name: _kind(found or 0) for name, found in bits.items()},
        mixed=tuple(
            name for name, found in bits.items() if found and found & 48 and found & 3 == 3
        ),
        has_doubtful_values=any(found and found & (_WORD | _EXPONENT) for found in bits.values()),
        numbers_or_words=tuple(
            name
            for name, found in bits.items()
            if found and found & _WORD and _kind(found & ~_WORD) != "text"
        ),
        missing=missing,
        no_numbers=no_numbers,
        unreadable=unreadable,
    )


def _kind(bits: int) -> Kind:
    """The kind of a column from those of its values (see the macro ``kind_of``)."""
    if bits == 1:
        return "integer"
    if bits == 8:
        return "boolean"
    if not bits or bits & (8 | 16 | _WORD):
        return "text"
    return "number" if bits & 4 else "whole_float"


def absent_labels(positive_labels: Sequence[str], written: Sequence[str]) -> list[str]:
    """Return the positive labels that no row has, in either spelling of a number.

    Args:
        positive_labels: As the options give them.
        written: The labels of the rows, each at least once.
    """
    texts = set(written)
    numbers = {_number(text) for text in texts} - {None}
    return [each for each in positive_labels if each not in texts and _number(each) not in numbers]


def labels_in_other_case(positive_labels: Sequence[str], written: Sequence[str]) -> list[str]:
    """Return the labels of rows that are a positive one but for the case of letters.

    Args:
        positive_labels: As the options give them.
        written: As of :func:`absent_labels`.
    """
    folded = {each.casefold() for each in positive_labels}
    numbers = {_number(each) for each in positive_labels} - {None}
    return sorted(
        label
        for label in set(written) - {*positive_labels}
        if label.casefold() in folded and _number(label) not in numbers
    )


def _number(text: str) -> Decimal | None:
    """The number that a label stands for, as the macro ``plain_label`` has it."""
    if text.casefold() in _TRUE | _FALSE:
        return Decimal(text.casefold() in _TRUE)
    number = text.strip()
    # What is no number in 64 bits is a word. (Decimal itself reads more: `1_000`, other digits.)
    is_number = _NUMBER.fullmatch(number) and math.isfinite(float(number))
    return Decimal(number) if is_number else None
