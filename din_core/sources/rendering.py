"""What the templates of ``sql/ingest`` are rendered with."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from din_core.store import sql_files

LabelCoding = Literal["zero_one", "plus_minus", "chosen"]
Kind = Literal["integer", "whole_float", "boolean", "number", "text"]
Unit = Literal["s", "ms", "us", "ns"]

#: What programs write where nothing stands, as words that an id or a name could be as well.
WORDS_FOR_NOTHING = (
    "NULL", "null", "Null", "NaN", "nan", "NAN", "-nan", "NaT", "None", "none", "NONE", "nil",
    "NA", "N/A", "n/a", "<NA>", "#N/A", "(null)", "undefined", "inf", "-inf", "-", "--", "?",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SourceColumn:
    """A column of an attribute, or of numbers.

    Attributes:
        name: Its plain name.
        column: The same, quoted for SQL.
    """

    name: str
    column: str


@dataclass(frozen=True, kw_only=True)
class Coding:
    """How the values of a source are written; the texts and numbers are ready to stand in SQL.

    Attributes:
        unit: Unit of the times that are numbers.
        per_second: How many of them make a second.
        has_other_units: Whether some times are of another unit by their size.
        least_time: The smallest number of the unit's band.
        greatest_time: The largest.
        other_unit_reason: Why a row with a time of another unit is rejected.
        label: Which labels mean 1 and 0.
        label_reason: Why a row with another label is rejected.
        positive_numbers: Positive labels that are numbers, as text that a cast takes.
        positive_integers: Those of them that a BIGINT can be.
        positive_words: The others.
        time_scale: Digits after the point of a time in seconds; None before the rows are judged.
        time_width: Digits of a time in all; None likewise.
        kinds: Column to the kind of all its values; empty likewise.
    """

    unit: Unit
    per_second: int
    has_other_units: bool
    least_time: int
    greatest_time: int
    other_unit_reason: str
    label: LabelCoding
    label_reason: str
    positive_numbers: tuple[str, ...]
    positive_integers: tuple[int, ...]
    positive_words: tuple[str, ...]
    time_scale: int | None = None
    time_width: int | None = None
    kinds: Mapping[str, Kind] = dataclasses.field(default_factory=dict[str, Kind])


@dataclass(frozen=True, kw_only=True)
class IngestContext:
    """What the templates of ``sql/ingest`` are rendered with.

    Attributes:
        attributes: Columns of items and users.
        dense: Columns of numbers.
        labelled: Whether the source has a label.
        drop_duplicates: Whether of equal rows the first one stays.
        staged_integers: Columns that are BIGINT already, quoted for SQL.
        coding: How the values are written; None where that is still to be found out.
        words_for_nothing: :data:`WORDS_FOR_NOTHING`, ready to stand in SQL.
    """

    attributes: tuple[SourceColumn, ...]
    dense: tuple[SourceColumn, ...]
    labelled: bool
    drop_duplicates: bool
    staged_integers: frozenset[str]
    coding: Coding | None = None
    words_for_nothing: tuple[str, ...] = tuple(map(sql_files.literal, WORDS_FOR_NOTHING))

    def variables(self) -> dict[str, Any]:
        """Return the variables of the templates by name, without what is not known yet."""
        values = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if value is not None}
