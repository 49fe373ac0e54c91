"""Ids, attributes and times of every type that a data frame keeps them in."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from din_core.sources import SourceError
from tests.core.tutorial.tutorial_logs import EXPECTED, LOG, SECONDS, generate, positives

IDS = {
    "int": [10, 10, 30, 10, 10, 20, 30, 30],
    "negative": [-9, -9, 30, -9, -9, 0, 30, 30],
    "beyond int64": [2**63, 2**63, 2**63 + 2, 2**63, 2**63, 2**63 + 1, 2**63 + 2, 2**63 + 2],
    "beyond uint64": [2**70, 2**70, 2**70 + 2, 2**70, 2**70, 2**70 + 1, 2**70 + 2, 2**70 + 2],
    "one id in three spellings": [
        10,
        "10",
        30,
        10.0,
        Decimal("10.0"),
        20,
        np.int8(30),
        np.str_(30),
    ],
    "integers that look like text": [uuid.UUID(int=n) for n in (1, 1, 32, 1, 1, 9, 32, 32)],
    "version 5": [
        uuid.UUID(f"{n}0000000-0000-5000-8000-000000000000") for n in (1, 1, 3, 1, 1, 2, 3, 3)
    ],
    "bytes": [b"a", b"a", b"c", b"a", b"a", b"b", b"c", b"c"],
    "raw bytes that end in blanks": [bytes([200, n]) for n in (9, 9, 32, 9, 9, 10, 32, 32)],
    "tuples": [(1, "x"), (1, "x"), (3, "x"), (1, "x"), (1, "x"), (2, "x"), (3, "x"), (3, "x")],
    "truth values": [False, False, True, False, False, None, True, True],
    "dates": [dt.date(2020, 1, n) for n in (1, 1, 3, 1, 1, 2, 3, 3)],
}


# What is staged another way shows in the quick ones: integers as they are, text of numbers and of
# objects, bytes in hexadecimal, NULL. Of two that are staged alike, `make test-thorough` has one.
ALIKE = {
    "int", "beyond uint64", "version 5", "integers that look like text", "bytes", "dates",
}  # fmt: skip


def each_of(cases, alike):
    """The cases by name; those that others show are for `make test-thorough`."""
    return [
        pytest.param(case, id=name, marks=[pytest.mark.thorough] if name in alike else [])
        for name, case in cases.items()
    ]


def expected_of(ids):
    """What LOG gives with these ids of users; where one is missing, another one is the second."""
    if None in ids:
        return [(split, min(user, 2), *rest) for split, user, *rest in EXPECTED]
    return EXPECTED


# The quick ones beside times: test_ids_and_times_of_any_type.
@pytest.mark.parametrize("ids", each_of(IDS, IDS))
def test_ids_of_any_type_are_told_apart(ids):
    got = positives(generate(LOG.assign(user=pd.Series(ids, dtype=object)), shuffle=False))
    assert got == expected_of(ids)


TYPES = {
    "categories": {"user": "category", "item": "category", "when": "category", "cate": "category"},
    "nullable": {"user": "Int64", "when": "Int64", "item": "string"},
    "floats": {"user": "float64", "when": "float32"},
    "unsigned": {"user": "uint8", "when": "uint64"},
    "arrow": {"user": pd.ArrowDtype(pa.int32()), "when": pd.ArrowDtype(pa.float64())},
    "text": {"user": str, "when": str},
    "sparse": {"user": "Sparse[int]", "when": "Sparse[float]"},
    "long doubles": {"user": "longdouble", "when": "longdouble"},
}


# Unsigned and nullable numbers take the way of floats and of Arrow's.
@pytest.mark.parametrize("types", each_of(TYPES, {"nullable", "unsigned"}))
def test_the_type_of_a_column_does_not_matter(types):
    assert positives(generate(LOG.astype(types), shuffle=False)) == EXPECTED


# What makes a frame smaller: in 16 bits whole numbers are exact to 2,048, in 32 to 16,777,216.
@pytest.mark.parametrize(("kind", "exact"), [("float16", 2**11), ("float32", 2**24)])
@pytest.mark.parametrize("column", ["user", "when"])
def test_columns_that_floats_have_rounded_are_warned_of(column, kind, exact, caplog):
    generate(LOG.assign(**{column: (LOG[column] + exact - 30).astype(kind)}))
    assert not caplog.records
    generate(LOG.assign(**{column: (LOG[column] + exact).astype(kind)}))
    (said,) = caplog.messages
    assert f"column '{column}' is of type " in said
    assert f"exact up to {exact:,}" in said


# The times 2 1 5 3 3 9 6 7 of LOG in other terms: the same order and the same tie.
TIMES = {
    "fractions of a second": [1_500_000_000 + n / 1024 for n in SECONDS],
    "decimals finer than a float": [Decimal(1_500_000_000) + Decimal(n) / 10**15 for n in SECONDS],
    "fractions": [Fraction(n, 7) for n in SECONDS],
    "numbers of all kinds": [2, Decimal("1"), 5.0, 3, Fraction(3), np.int8(9), np.float32(6), 7],
    "time stamps": [pd.Timestamp(n, unit="ns") for n in SECONDS],
    "with and without zone": [
        pd.Timestamp(n, unit="s", tz="UTC").tz_convert("Asia/Tokyo")
        if n % 2
        else dt.datetime.fromtimestamp(n, dt.UTC).replace(tzinfo=None)
        for n in SECONDS
    ],
    "dates": [dt.date(2020, 1, n) for n in SECONDS],
    "months": [pd.Period(f"2020-0{n}") for n in SECONDS],
    "integers as text beside integers": [str(n) if n % 2 else n for n in SECONDS],
    "moments as text beside moments": [
        f"2020-01-0{n}" if n % 2 else dt.date(2020, 1, n) for n in SECONDS
    ],
}


# Numbers of all kinds hold fractions and decimals, and moments of both zones dates and stamps.
TIMES_ALIKE = {"fractions", "time stamps", "dates", "integers as text beside integers"}


# The quick ones beside ids: test_ids_and_times_of_any_type.
@pytest.mark.parametrize("times", each_of(TIMES, TIMES))
def test_the_exact_time_decides_the_order(times):
    log = LOG.assign(when=pd.Series(times, dtype=object))
    assert positives(generate(log, shuffle=False)) == EXPECTED


# One frame shows types of ids and of times, which are staged column by column.
@pytest.mark.parametrize(
    ("ids", "times"),
    [
        pytest.param(IDS[name], TIMES[time], id=f"{name}, {time}")
        for name, time in zip(
            sorted(IDS.keys() - ALIKE), sorted(TIMES.keys() - TIMES_ALIKE), strict=True
        )
    ],
)
def test_ids_and_times_of_any_type(ids, times):
    as_objects = {"user": pd.Series(ids, dtype=object), "when": pd.Series(times, dtype=object)}
    assert positives(generate(LOG.assign(**as_objects), shuffle=False)) == expected_of(ids)


A_SECOND = 1_700_000_000
AS_KEPT = {"as numbers": np.int64, "as objects": object}


@pytest.mark.parametrize("kept", AS_KEPT.values(), ids=AS_KEPT.keys())
def test_numbers_of_two_units_are_refused_as_in_a_file(kept):
    seconds = [A_SECOND + n for n in SECONDS]
    when = [n * 1000 if row >= 5 else n for row, n in enumerate(seconds)]
    said = (
        rf"time_col: column 'when' mixes units: of 8 numbers 5 are seconds by their size and 3 are "
        rf"not, most of those milliseconds \({when[5]}\); write all .* pd\.to_datetime"
    )
    with pytest.raises(SourceError, match=said):
        generate(LOG.assign(when=pd.Series(when, dtype=kept)))


@pytest.mark.parametrize("unit", [1, 10**3, 10**6, 10**9])
def test_numbers_of_any_one_unit_are_ordered_and_nothing_is_said(unit, caplog):
    when = pd.Series([(A_SECOND + n) * unit for n in SECONDS], dtype=object)
    when[1] = 0  # a user's first one, and 0 is 0 in every unit
    if unit == 10**9:
        when[7] = 10**400  # a user's last one, larger than any float
    assert positives(generate(LOG.assign(when=when), shuffle=False)) == EXPECTED
    assert not caplog.records


@pytest.mark.parametrize("kept", AS_KEPT.values(), ids=AS_KEPT.keys())
def test_a_few_numbers_of_another_unit_are_no_times(kept, caplog):
    often = pd.concat([LOG] * 25, ignore_index=True)
    when = [A_SECOND + row for row in range(len(often) - 1)]
    log = often.assign(when=pd.Series([*when, A_SECOND * 1000], dtype=kept))
    samples = positives(generate(log, shuffle=False))
    assert samples == positives(generate(log.iloc[:-1], shuffle=False))
    said = caplog.messages
    assert said[0].startswith("time_col: column 'when': of 200 numbers 199 are seconds")
    assert "1 of 200 rows were left out" in said[1]


# The coarsest with a zone and the finest without; the units between are read as both are.
@pytest.mark.parametrize(
    ("unit", "zone"),
    [
        ("s", "Europe/Berlin"),
        ("ns", None),
        *(
            pytest.param(unit, zone, marks=pytest.mark.thorough)
            for unit in ("s", "ms", "us", "ns")
            for zone in (None, "Europe/Berlin")
            if (unit, zone) not in (("s", "Europe/Berlin"), ("ns", None))
        ),
    ],
)
def test_moments_are_ordered_in_their_own_unit(unit, zone):
    step = np.timedelta64(1, unit)
    when = pd.Series(np.datetime64("2024-05-01", unit) + np.array(SECONDS) * step)
    assert when.dtype == f"datetime64[{unit}]"
    when = when if zone is None else when.dt.tz_localize("UTC").dt.tz_convert(zone)
    assert positives(generate(LOG.assign(when=when), shuffle=False)) == EXPECTED
