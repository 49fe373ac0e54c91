"""Which text columns are integers throughout, found without looking at each value as text."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_MOST_DIGITS = 19


def canonical_integers(values: Any) -> Any | None:
    """Turn a string column into integers where that loses nothing.

    A value is canonical where the integer, written down again, is the same text: ``7`` and ``-7``,
    but neither ``007`` nor ``+7``, ``-0`` or ``7.0``.

    Args:
        values: String array, plain or chunked, without NULL.

    Returns:
        int64 array of the same length; None where one value is not canonical or not within
        ±(2**63 - 1).
    """
    text = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if not len(text):
        return pa.array([], pa.int64())
    try:
        integers = text.cast(pa.int64())
    except pa.ArrowInvalid:
        return None
    numbers = cast("npt.NDArray[np.int64]", np.from_dlpack(integers))
    n_negative = 0
    if numbers.min() < 0:
        if numbers.min() == np.iinfo(np.int64).min:
            return None
        n_negative = int(np.count_nonzero(numbers < 0))
        numbers = np.abs(numbers)
    # The parser also takes hexadecimal and leading zeros. Where all characters are digits and one
    # minus for each negative number, every value is decimal, and no decimal is shorter than the
    # canonical one, so that the sum of the lengths decides for each of them.
    characters = _characters(text)
    others = characters[(characters - ord("0")) > 9]
    if len(others) != n_negative or np.any(others != ord("-")):
        return None
    return integers if len(characters) == _digits(numbers) + n_negative else None


def _characters(text: Any) -> npt.NDArray[np.uint8]:
    """The bytes of all values, one after the other, uint8."""
    _, offsets, content = text.buffers()
    if content is None:
        return np.empty(0, np.uint8)
    bounds = np.frombuffer(offsets, np.int32)[[text.offset, text.offset + len(text)]]
    return np.frombuffer(content, np.uint8)[bounds[0] : bounds[1]]


def _digits(numbers: npt.NDArray[np.int64]) -> int:
    """Count the decimal digits of all numbers, none of them negative."""
    total = len(numbers)
    for power in range(1, _MOST_DIGITS):
        longer = int(np.count_nonzero(numbers >= 10**power))
        if not longer:
            break
        total += longer
    return total
