"""From columns of a data frame to the columns of a source: ids as text or integers, times as ranks.

What people keep in a column is wider than what a file holds: integers beside text, UUIDs, decimals,
categories, moments of any unit and zone. Here every value becomes what a file would say of it, so
that a frame and its CSV mean the same, and :mod:`din_core.sources` judges the rest.
"""

from __future__ import annotations

import datetime as dt
import logging
import math
from collections.abc import Callable, Hashable, Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from din_core.sources import SourceError
from din_core.sources.codings import BANDS, FEW_TIMES, said_of_units
from din_core.sources.rounded_floats import said_of_rounded

_log = logging.getLogger(__name__)

_TEXTS = (str, bytes)
_NUMBERS = (int, float, Decimal, Fraction, np.number, np.bool_)
_MOMENTS = (dt.date, np.datetime64, pd.Period)  # a datetime is a date, a Timestamp a datetime
_EPOCH = pd.Timestamp(0, tz="UTC")
_BEYOND = 10**20  # the times of every unit


def id_column(values: pd.Series, where: str) -> Any:
    """Turn ids, or the values of an attribute, into a column of a source.

    Integers, floats and truth values keep their type. Everything else becomes text: strings and
    bytes of UTF-8 as they are; numbers beside them as integers where they are whole, so that ``1``,
    ``1.0`` and ``'1'`` are one id; bytes that are not text in hexadecimal; other objects by
    ``str``.

    Args:
        values: The column.
        where: What an error calls it.

    Returns:
        An Arrow array of the same length. NaN and NaT become NULL, a missing value; so does an
        infinity beside text, and for the source it is none as an id either.

    Raises:
        SourceError: Two different values have one text.
    """
    values = _dense(values)
    if _is_numeric(values):
        return pa.array(values, from_pandas=True)
    objects = values.to_numpy(dtype=object)
    if pd.api.types.infer_dtype(objects, skipna=True) not in ("string", "empty"):
        objects = _texts(objects, where)
    return _strings(objects)


def time_column(values: pd.Series, where: str) -> Any:
    """Turn times into a column of a source that orders the rows exactly as the times do.

    Numbers and moments become ranks, so that no fraction is lost: equal times share one, and what
    is below 0 (before 1970) stays below 0. Text stays text, for the source to read, and so does
    what stands beside text. Numbers have one unit, whichever, as in a file: a few of another one
    by their size are no times, and a warning says so.

    Args:
        values: The column; moments without a zone are UTC.
        where: What an error calls it.

    Returns:
        An Arrow array of the same length, int64 or string. NULL is no time, as NaT and the
        infinities are.

    Raises:
        SourceError: Numbers beside moments, numbers of several units, or values that are neither
            and no text.
    """
    values = _dense(values)
    is_there = np.array(values.notna())
    if _is_numeric(values):
        numbers = values.where(is_there, 0).to_numpy(
            dtype=cast("Any", getattr(values.dtype, "numpy_dtype", values.dtype))
        )
        is_there &= np.isfinite(numbers)
        _warn_of_rounded(numbers[is_there], where)
        is_there[is_there] = _of_one_unit(numbers[is_there], where)
        return _ranks(numbers, is_there)
    if values.dtype.kind in "mM":
        index = pd.DatetimeIndex if values.dtype.kind == "M" else pd.TimedeltaIndex
        return _ranks(index(values).asi8, is_there)
    objects = values.to_numpy(dtype=object)
    kinds = _examples_by_kind(objects[is_there], where)
    if "text" in kinds:
        return _strings([_time_text(each) for each in objects])
    if len(kinds) > 1:
        shown = " beside ".join(f"{kind} as {example!r}" for kind, example in kinds.items())
        raise SourceError(f"{where} holds {shown}: make all of them the one or the other")
    if "moments" in kinds:
        return _ranks_of_objects(objects, is_there, _moment)
    numbers = [_number(each) for each in objects[is_there]]
    is_finite = np.array([each is not None for each in numbers], dtype=bool)
    # Beyond the bands a number may be larger than any float.
    sizes = [float(min(max(each, -1), _BEYOND)) for each in numbers if each is not None]
    is_finite[is_finite] = _of_one_unit(np.array(sizes), where)
    is_there[is_there] = is_finite
    return _ranks_of_objects(objects, is_there, _number)


def _warn_of_rounded(numbers: npt.NDArray[Any], where: str) -> None:
    """Warn of times that are floats too small to hold them: different ones are equal then."""
    if numbers.dtype.kind == "f" and numbers.size:
        largest = float(np.abs(numbers).max())
        bits = numbers.dtype.itemsize * 8
        if said := said_of_rounded(bits, numbers.dtype.name, largest):
            _log.warning("%s %s", where, said)


def _of_one_unit(numbers: npt.NDArray[Any], where: str) -> npt.NDArray[np.bool_]:
    """Which numbers are of the unit that most are of, by their size, as a file is judged.

    Raises:
        SourceError: Of too many others; says what to do.
    """
    units = list(BANDS)
    first_of_next = [last + 1 for _, last in list(BANDS.values())[:-1]]
    of_number = np.searchsorted(np.array(first_of_next), numbers, side="right")
    has_unit = numbers > 0
    counts = np.bincount(of_number[has_unit], minlength=len(units))
    unit, other = np.argsort(-counts, kind="stable")[:2]
    is_other = has_unit & (of_number != unit)
    n_other = int(np.count_nonzero(is_other))
    if n_other:
        example = numbers[is_other & (of_number == other)][0]
        said = said_of_units(len(numbers), n_other, units[unit], units[other], f"{example:.15g}")
        if n_other * FEW_TIMES > len(numbers):
            raise SourceError(
                f"{where} mixes units: {said}; write all of them in one unit, or as moments, which "
                "pd.to_datetime(..., unit='s') makes"
            )
        _log.warning("%s: %s; their rows have no time", where, said)
    return ~is_other


def _dense(values: pd.Series) -> pd.Series:
    """The same values where Arrow takes them: written out, and in 64 bits."""
    if isinstance(values.dtype, pd.SparseDtype):
        values = cast("pd.Series", values.sparse.to_dense())
    return values.astype(np.float64) if values.dtype == np.longdouble else values


def _is_numeric(values: pd.Series) -> bool:
    return values.dtype.kind in "biuf" and not isinstance(values.dtype, pd.CategoricalDtype)


def _strings(objects: Iterable[Any]) -> Any:
    try:
        return pa.array(objects, pa.string(), from_pandas=True)
    except UnicodeEncodeError:  # half a surrogate pair, as in file names that are not UTF-8
        return pa.array([_encodable(each) for each in objects], pa.string(), from_pandas=True)


def _encodable(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _texts(objects: Iterable[Any], where: str) -> list[str | None]:
    """The text of each value; equal values of one type have one."""
    texts: dict[tuple[type, Hashable], str | None] = {}
    first_of: dict[str, Any] = {}
    result: list[str | None] = []
    for value in objects:
        key = (type(value), value)
        try:
            text = texts[key]
        except TypeError:  # a list, which has no hash
            text = _text(value)
        except KeyError:
            text = texts[key] = _text(value)
            if text is not None and not isinstance(value, (*_TEXTS, *_NUMBERS)):
                first = first_of.setdefault(text, value)
                if type(first) is type(value) and first != value:
                    raise SourceError(
                        f"{where}: two different objects of type {type(value).__name__} are "
                        f"{text!r} as text; convert the column to integers or text"
                    ) from None
        result.append(text)
    return result


def _text(value: Any) -> str | None:
    if isinstance(value, np.generic) and not isinstance(value, (np.datetime64, np.timedelta64)):
        value = value.item()
    if isinstance(value, str):
        return value
    if isinstance(value, (bytes, bytearray)):
        return _text_of_bytes(value)
    if isinstance(value, (float, Decimal)):
        if not math.isfinite(value):
            return None
        whole = value == int(value) and abs(value) < 2**63
        if isinstance(value, Decimal):
            return str(int(value)) if whole else format(value.normalize(), "f")
        return str(int(value)) if whole else repr(value)
    if isinstance(value, int):
        return str(int(value))  # True is 1
    return None if value is None or value is pd.NA or value is pd.NaT else str(value)


def _text_of_bytes(value: bytes | bytearray) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = ""
    # Keys of raw bytes in hexadecimal: the blanks among them would be stripped as a text's are.
    return text if text and text.isprintable() else f"0x{value.hex()}"


def _examples_by_kind(objects: npt.NDArray[Any], where: str) -> dict[str, Any]:
    """Text, numbers or moments: each that occurs, with its first value."""
    types: dict[type, Any] = {}
    for value in objects:
        types.setdefault(type(value), value)
    kinds: dict[str, Any] = {}
    for type_, example in types.items():
        for kind, of_kind in (("text", _TEXTS), ("numbers", _NUMBERS), ("moments", _MOMENTS)):
            if issubclass(type_, of_kind):
                kinds.setdefault(kind, example)
                break
        else:
            raise SourceError(
                f"{where} holds {example!r}, a {type_.__name__}, which is not a time; make it a "
                "number, a moment or ISO 8601"
            )
    return kinds


def _time_text(value: Any) -> str | None:
    is_moment = isinstance(value, _MOMENTS) and value is not pd.NaT
    return _moment(value).isoformat() if is_moment else _text(value)


def _moment(value: Any) -> pd.Timestamp:
    moment = value.to_timestamp() if isinstance(value, pd.Period) else pd.Timestamp(value)
    in_utc = moment.tz_localize("UTC") if moment.tzinfo is None else moment.tz_convert("UTC")
    return cast("pd.Timestamp", in_utc)  # NaT is a missing time and does not get here


def _number(value: Any) -> Fraction | None:
    number = value.item() if isinstance(value, np.generic) else value
    is_exact = isinstance(number, (int, Fraction))  # finite, and maybe too large for a float
    return Fraction(number) if is_exact or math.isfinite(number) else None


def _ranks(numbers: npt.NDArray[Any], is_there: npt.NDArray[np.bool_]) -> Any:
    distinct, place = np.unique(numbers[is_there], return_inverse=True)
    ranks = np.zeros(len(numbers), dtype=np.int64)
    ranks[is_there] = place - np.count_nonzero(distinct < 0)
    return pa.array(ranks, mask=~is_there)


def _ranks_of_objects(
    objects: npt.NDArray[Any],
    is_there: npt.NDArray[np.bool_],
    exactly: Callable[[Any], Any],
) -> Any:
    """Ranks of what Python compares, by a form of it in which all are comparable."""
    form_of = {value: exactly(value) for value in dict.fromkeys(objects[is_there])}
    distinct = sorted({form for form in form_of.values() if form is not None})
    zero = _EPOCH if exactly is _moment else 0
    n_below = sum(form < zero for form in distinct)
    rank_of = {form: rank - n_below for rank, form in enumerate(distinct)}
    pairs = zip(objects, is_there, strict=True)
    return pa.array([rank_of.get(form_of[v]) if there else None for v, there in pairs], pa.int64())
