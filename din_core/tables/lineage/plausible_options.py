"""Options to render the SQL files with, so that what they read can be seen without a log.

A few configurations that differ in every respect that a template asks about: together they take
each branch of each file at least once (a test follows them), so no relation stays unseen.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from din_core.store.sql_files import literal, quote
from din_core.tables.attributes import Attribute

_LABELLED = (True, False, False, True, True, False)
_SPLITS = ("leave_one_out", "temporal", "leave_one_out", "temporal", "temporal", "leave_one_out")
_ITEM_ATTRIBUTES = (
    ("cate_id", "brand"), ("cate_id",), (), ("time_of_day", "brand"), ("cate_id",), ("a", "b", "c"),
)  # fmt: skip
_USER_ATTRIBUTES = (("age", "share"), (), ("age",), (), (), ())
_UNITS = ("s", "ms", "us", "ns", "s", "s")
_LABELS = ("chosen", "plus_minus", "chosen", "zero_one", "plus_minus", "zero_one")
_KINDS = ("integer", "whole_float", "boolean", "number", "text")
_STAGED = (
    (), ("user_id", "label", "cate_id"), ("item_id", "time"), ("time", "label"),
    ("time", "label"), (),
)  # fmt: skip


@functools.cache
def plausible_options() -> Sequence[Mapping[str, Any]]:
    """Return the configurations, each with every option that any file of ``sql/`` takes."""
    return [_options(number) for number in range(len(_LABELLED))]


def _options(number: int) -> dict[str, Any]:
    item = tuple(Attribute(name, name.endswith("_id")) for name in _ITEM_ATTRIBUTES[number])
    user = tuple(Attribute(name) for name in _USER_ATTRIBUTES[number])
    names = [attribute.name for attribute in (*item, *user)]
    columns = ["user_id", "item_id", *names]
    return {
        "item_attributes": item,
        "user_attributes": user,
        "attributes": [{"name": name, "column": quote(name)} for name in names],
        "labelled": _LABELLED[number],
        "split": _SPLITS[number],
        "several_files": number % 2 == 0,
        "drop_duplicates": number % 2 == 0,
        "max_history": 50,
        "min_interactions": 5,
        "negatives_per_positive": 2 * number,
        "seed": 1,
        "val_from": 100,
        "test_from": 200,
        "millionths": 800_000,
        "one_user_in": 1,
        "staged_integers": {quote(name) for name in _STAGED[number]},
        "coding": {
            "unit": _UNITS[number],
            "per_second": 1000**number,
            "has_other_units": number % 2 == 0,
            "least_time": 1,
            "greatest_time": 99,
            "other_unit_reason": literal("another unit"),
            "label": _LABELS[number],
            "label_reason": literal("no label"),
            "positive_numbers": [4, 5],
            "positive_words": [literal("bought")],
            "time_scale": 6 * (number % 2),
            "time_width": 18,
            "kinds": {
                name: _KINDS[(number + place) % len(_KINDS)] for place, name in enumerate(columns)
            },
        },
    }
