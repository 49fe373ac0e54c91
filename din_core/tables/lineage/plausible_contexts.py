"""Contexts to render the SQL files with, so that what they read can be seen without a log.

A few of them that differ in every respect that a template asks about: together they take each
branch of each file at least once (a test follows them), so no relation stays unseen.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from din_core.config import Split
from din_core.sources.rendering import (
    Coding,
    IngestContext,
    Kind,
    LabelCoding,
    SourceColumn,
    Unit,
)
from din_core.store.sql_files import literal, quote
from din_core.tables.attributes import Attribute, DenseColumn
from din_core.tables.template_context import TemplateContext

_LABELLED = (True, False, True, True, True, False)
_SPLITS: tuple[Split, ...] = (
    "leave_one_out", "temporal", "leave_one_out", "temporal", "temporal", "leave_one_out",
)  # fmt: skip
_ITEM_ATTRIBUTES = (
    ("cate_id", "brand"), ("cate_id",), (), ("time_of_day", "brand"), ("cate_id",), ("a", "b", "c"),
)  # fmt: skip
_USER_ATTRIBUTES = (("age", "share"), (), ("age",), (), (), ())
_ITEM_DENSE = (("price", "weight"), (), (), (), (), ("price",))
_USER_DENSE = (("height",), (), ("height",), (), (), ())
_CONTEXT_DENSE = (("hour",), (), (), ("hour", "price"), (), ("hour",))
_UNITS: tuple[Unit, ...] = ("s", "ms", "us", "ns", "s", "s")
_LABELS: tuple[LabelCoding, ...] = (
    "chosen", "plus_minus", "chosen", "zero_one", "plus_minus", "zero_one",
)  # fmt: skip
_KINDS: tuple[Kind, ...] = ("integer", "whole_float", "boolean", "number", "text")
_ALLOWED = ((), ("any_number",), ("interacted_items",), ("interacted_items", "any_number"), (), ())
_STAGED = (
    (), ("user_id", "label", "cate_id"), ("item_id", "time", "label", "height"), ("time", "label"),
    ("time", "label"), (),
)  # fmt: skip


#: What one kind of file alone takes: `split_moment`, `known_ids`, `source_labels`, the checks.
#: What a file reads does not hang on these numbers.
HANDED_TO_ONE: Mapping[str, Any] = {
    "millionths": 800_000,
    "load": 1,
    "most_labels": 7,
    "every": 7,
    "one_user_in": 1,
    "max_rows": 10_000,
}


@functools.cache
def plausible_contexts() -> Sequence[Mapping[str, Any]]:
    """Return the variables of each, with every one that any file of ``sql/`` takes."""
    return [
        {
            **_of_the_source(number).variables(),
            **_of_the_tables(number).variables(),
            **HANDED_TO_ONE,
            "with_times": number % 2 == 0,
        }
        for number in range(len(_LABELLED))
    ]


def _of_the_tables(number: int) -> TemplateContext:
    return TemplateContext(
        item_attributes=tuple(
            Attribute(name, name.endswith("_id")) for name in _ITEM_ATTRIBUTES[number]
        ),
        user_attributes=tuple(map(Attribute, _USER_ATTRIBUTES[number])),
        item_dense=tuple(map(DenseColumn, _ITEM_DENSE[number])),
        user_dense=tuple(map(DenseColumn, _USER_DENSE[number])),
        context_dense=tuple(map(DenseColumn, _CONTEXT_DENSE[number])),
        labelled=_LABELLED[number],
        split=_SPLITS[number],
        several_files=number % 2 == 0,
        max_history=50,
        min_interactions=5,
        negatives_per_positive=2 * number,
        negative_sampling="uniform",
        negatives_allow=_ALLOWED[number],
        sampling_seed=1,
        user_ids=Attribute("user_id", number % 2 == 0),
        item_ids=Attribute("item_id", number % 2 == 1),
        val_from=100,
        test_from=200,
    )


def _of_the_source(number: int) -> IngestContext:
    names = (*_ITEM_ATTRIBUTES[number], *_USER_ATTRIBUTES[number])
    numbers = (*_ITEM_DENSE[number], *_USER_DENSE[number], *_CONTEXT_DENSE[number])
    columns = ("user_id", "item_id", *names)
    return IngestContext(
        attributes=tuple(SourceColumn(name=name, column=quote(name)) for name in names),
        dense=tuple(SourceColumn(name=name, column=quote(name)) for name in numbers),
        labelled=_LABELLED[number],
        drop_duplicates=number % 2 == 0,
        staged_integers=frozenset(map(quote, _STAGED[number])),
        coding=Coding(
            unit=_UNITS[number],
            per_second=1000**number,
            has_other_units=number % 2 == 0,
            least_time=1,
            greatest_time=99,
            other_unit_reason=literal("another unit"),
            label=_LABELS[number],
            label_reason=literal("no label"),
            positive_numbers=(literal("4.0"), literal("4.5")),
            positive_integers=(4,),
            positive_words=(literal("bought"),),
            time_scale=6 * (number % 2),
            time_width=38 if number == 1 else 18,
            kinds={
                name: _KINDS[(number + place) % len(_KINDS)] for place, name in enumerate(columns)
            },
        ),
    )
