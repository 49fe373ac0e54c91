"""Arrow's arrays made without pandas.

``pyarrow.array``, ``pyarrow.scalar``, ``fill_null``, ``to_numpy``, ``empty_table`` and
``parquet.read_table`` import pandas where it is installed, to see whether they were given some of
its: 0.15 s of processor time in a run that uses it for nothing else. What is here gives the same,
for the few kinds of values that are needed.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

# Arrow's arrays are `Any` below: pyarrow comes without type stubs.
_arrow: Any = pa


def numbers(values: npt.NDArray[Any], kind: Any = None) -> Any:
    """Return an array of NumPy's numbers or booleans; NaN stays NaN.

    Args:
        values: The numbers, ``[N]``. They are not copied where they lie one after the other.
        kind: Arrow's type; that of the numbers by default.
    """
    if values.dtype == np.bool_:
        made = numbers(values.astype(np.uint8), _arrow.bool_())
    else:
        buffers = [None, _arrow.py_buffer(np.ascontiguousarray(values))]
        made = _arrow.Array.from_buffers(
            _arrow.from_numpy_dtype(values.dtype), len(values), buffers
        )
    return made if kind is None else made.cast(kind)


def texts(values: Sequence[str | None]) -> Any:
    """Return an array of strings, NULL where there is none."""
    encoded = [b"" if value is None else value.encode() for value in values]
    ends = np.fromiter(itertools.accumulate(map(len, encoded), initial=0), np.int64)
    buffers = [_there(values), _arrow.py_buffer(ends), _arrow.py_buffer(b"".join(encoded))]
    made = _arrow.Array.from_buffers(_arrow.large_string(), len(encoded), buffers)
    return made.cast(_arrow.string())


def _there(values: Sequence[object]) -> Any:
    """Which of the values are none of NULL, a bit each."""
    there = np.fromiter((value is not None for value in values), np.bool_, len(values))
    return _arrow.py_buffer(np.packbits(there, bitorder="little"))


def table_of(rows: Sequence[Mapping[str, Any]], schema: Any) -> Any:
    """Return rows as an Arrow table, as ``Table.from_pylist`` does.

    Args:
        rows: The rows; a value that is missing or None is NULL.
        schema: Columns of texts, numbers, and points of time without a zone, in microseconds.
    """
    columns = [_column([row.get(field.name) for row in rows], field.type) for field in schema]
    return _arrow.table(columns, schema=schema)


def _column(values: Sequence[Any], kind: Any) -> Any:
    if _arrow.types.is_string(kind):
        return texts(values)
    given = [0 if value is None else value for value in values]
    if _arrow.types.is_timestamp(kind):
        made = numbers(np.array(given, dtype="datetime64[us]").view(np.int64), kind)
    else:
        made = numbers(np.array(given, dtype=np.float64 if not given else None), kind)
    return _arrow.Array.from_buffers(kind, len(made), [_there(values), made.buffers()[1]])


def filled(column: Any, value: float | str) -> Any:
    """Return a column of numbers or texts with a value in the place of NULL.

    Args:
        column: An array, or a chunked one.
        value: One that the column's type holds.
    """
    made = texts([value]) if isinstance(value, str) else numbers(np.array([value]))
    return column.fill_null(made.cast(column.type)[0])


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> Any:
    """Return a Parquet file as an Arrow table, all of its columns or some."""
    from pyarrow import parquet

    reader: Any = parquet
    with reader.ParquetFile(path) as file:
        return file.read(None if columns is None else list(columns))


def no_rows(schema: Any) -> Any:
    """Return an Arrow table of a schema without a row."""
    return _arrow.Table.from_batches([], schema)


def as_numpy(column: Any) -> npt.NDArray[Any]:
    """Return a column as ``to_numpy`` does, not to be written to.

    Args:
        column: An array, or a chunked one. Other types than integers, floats, booleans without NULL
            and texts take pandas still.

    Returns:
        The values, ``[N]``. NULL is NaN among numbers, which are floats then, and None among texts.
    """
    whole = column
    if isinstance(column, _arrow.ChunkedArray):  # not combine_chunks(), which needs one
        chunks = column.chunks or [_arrow.nulls(0, column.type)]
        whole = _arrow.concat_arrays(chunks)
    kind, is_a = whole.type, _arrow.types
    if is_a.is_boolean(kind):
        return np.from_dlpack(whole.cast(_arrow.uint8())).view(np.bool_)
    if is_a.is_string(kind) or is_a.is_large_string(kind):
        encoded = whole.dictionary_encode()
        values: npt.NDArray[Any] = np.array([*encoded.dictionary.to_pylist(), None], dtype=object)
        places: npt.NDArray[Any] = np.from_dlpack(filled(encoded.indices, len(values) - 1))
        return values[places]
    if not (is_a.is_integer(kind) or is_a.is_floating(kind)):
        return whole.to_numpy(zero_copy_only=False)
    if whole.null_count:
        whole = filled(whole if is_a.is_floating(kind) else whole.cast(_arrow.float64()), np.nan)
    return np.from_dlpack(whole)
