r"""Parquet to the same text columns that delimited text gives: one way of judging values for both.

NULL and the text `\N` are the empty value, a timestamp its ISO 8601 form, a duration its seconds,
a UUID its text, a true or false 1 or 0. A float that is a whole number below 2**63 in size (pandas
makes floats of every integer column with a gap) is that number, NaN is the empty value, and any
other float is its shortest decimal text. An infinity is the empty value too, but in a column of
numbers its text, so that it is counted there as what is no number. Each value is judged for itself:
what stands beside it changes nothing. The line of a row is its number in the file, from 1.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from din_core.sources.errors import SourceError
from din_core.sources.places import Place
from din_core.sources.record_rows import Rows, may_have_marks, without_blanks, without_marks
from din_core.sources.unseen import rows_with_unseen

_BATCH_ROWS = 1 << 17


def open_parquet(path: Place) -> Any:
    """Open a Parquet file.

    Args:
        path: The file.

    Returns:
        A ``pyarrow.parquet.ParquetFile``; a context manager.

    Raises:
        SourceError: The file is damaged.
    """
    try:
        return pq.ParquetFile(path if isinstance(path, Path) else path.open())
    except (OSError, pa.ArrowInvalid) as error:
        raise _damaged(path, error) from error


def read_parquet(
    path: Place,
    wanted: Mapping[str, str],
    row_groups: Sequence[int] | None = None,
    *,
    numbers: Collection[str] = (),
) -> Iterator[Rows]:
    """Read rows as text.

    Args:
        path: The file.
        wanted: Name to give a column, to its name in the file.
        row_groups: Those to read, by default all.
        numbers: Those of ``wanted`` that are read as numbers.

    Yields:
        Rows; their ``line`` is the number of the row among those that are read.

    Raises:
        SourceError: The file is damaged, or a column cannot be written as text.
    """
    line = 1
    for batch in _batches(path, row_groups, list(dict.fromkeys(wanted.values()))):
        values = {
            name: _as_text(
                batch.column(column), f"{path}: column '{column}'", is_number=name in numbers
            )
            for name, column in wanted.items()
        }
        lines = np.arange(line, line + batch.num_rows, dtype=np.int64)
        yield Rows(lines, values, unseen=lines[rows_with_unseen(values)].tolist())
        line += batch.num_rows


def _batches(
    path: Place, row_groups: Sequence[int] | None, columns: Sequence[str] | None = None
) -> Iterator[Any]:
    with open_parquet(path) as file:
        try:
            yield from file.iter_batches(_BATCH_ROWS, row_groups=row_groups, columns=columns)
        except (OSError, pa.ArrowInvalid) as error:
            raise _damaged(path, error) from error


def _damaged(path: Place, error: Exception) -> SourceError:
    return SourceError(f"{path}: no readable Parquet file ({error}); write it again")


def _as_text(column: Any, where: str, *, is_number: bool) -> Any:
    kind = column.type
    try:
        if pa.types.is_dictionary(kind):
            column = column.dictionary_decode()
            kind = column.type
        if pa.types.is_boolean(kind):
            column = column.cast(pa.int8())
        elif pa.types.is_floating(kind):
            column = _floats_as_text(column, infinities=is_number)
        elif pa.types.is_duration(kind):
            column = _seconds(column)
        elif kind == pa.uuid():
            column = _uuids_as_text(column)
        elif _is_text(kind):
            column = column.cast(pa.large_binary())  # A writer may have put anything there.
        text = without_blanks(pc.fill_null(column.cast(pa.string()), ""))
        # What is made of numbers and moments has no marks.
        has_marks = not pa.types.is_primitive(kind) and may_have_marks(_content(text))
        return without_marks(text) if has_marks else text
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SourceError(
            f"{where} of type {kind} cannot be read as text ({error}); store it as an integer or "
            "a string"
        ) from error


def _is_text(kind: Any) -> bool:
    types = pa.types
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def _content(text: Any) -> bytes:
    """The bytes of all values, and perhaps of others."""
    content = text.buffers()[2]
    return content.to_pybytes() if content is not None else b""


def _seconds(column: Any) -> Any:
    """Turn durations of any unit into decimal numbers of seconds."""
    per_second = {"s": 0, "ms": 3, "us": 6, "ns": 9}[column.type.unit]
    counts = column.cast(pa.int64()).cast(pa.decimal128(19, 0))
    second = pa.scalar(Decimal(1).scaleb(-per_second), pa.decimal128(10, per_second))
    return pc.call_function("multiply", [counts, second])


def _floats_as_text(column: Any, *, infinities: bool) -> Any:
    """Write each value down; NULL where it is not a number, or none with an end."""
    call = pc.call_function
    numbers = column.cast(pa.float64())  # Exact, and 16 bits have no arithmetic.
    is_small = call("less", [call("abs", [numbers]), pa.scalar(2.0**63)])
    whole = call("and", [call("equal", [numbers, call("floor", [numbers])]), is_small])
    is_nan = call("is_nan", [numbers])
    written = call("invert", [is_nan]) if infinities else call("is_finite", [numbers])
    integers = call("if_else", [whole, numbers, None]).cast(pa.int64())
    others = call("if_else", [call("and_not", [written, whole]), column, None])
    return call("coalesce", [integers.cast(pa.string()), others.cast(pa.string())])


def _uuids_as_text(column: Any) -> Any:
    """Write each UUID down as ``12345678-1234-...``, in lower case."""
    storage = column.storage
    filled = pc.fill_null(storage, bytes(16))
    digits = b"".join(filled.to_pylist()).hex().encode()
    rows = np.frombuffer(digits, np.uint8).reshape(-1, 32)
    written = np.full((len(rows), 36), ord("-"), np.uint8)
    for begin, end, shift in ((0, 8, 0), (8, 12, 1), (12, 16, 2), (16, 20, 3), (20, 32, 4)):
        written[:, begin + shift : end + shift] = rows[:, begin:end]
    buffer = pa.py_buffer(written.tobytes())
    texts = pa.Array.from_buffers(pa.binary(36), len(rows), [None, buffer]).cast(pa.string())
    return pc.call_function("if_else", [storage.is_valid(), texts, None])


def _written(column: Any, places: Any) -> list[Any]:
    """Some values of a column as Python has them; as their bytes where it has no such value."""
    try:
        return column.take(places).to_pylist()
    # A date beyond the year 9999, text that is not UTF-8; a type of which pyarrow takes no part.
    except (OverflowError, ValueError, pa.ArrowNotImplementedError):
        return [_one_written(column[place.as_py()]) for place in places]


def _one_written(value: Any) -> Any:
    try:
        return value.as_py()
    except (OverflowError, ValueError):
        kind = value.type
        if _is_text(kind):
            return value.as_buffer().to_pybytes().decode(errors="backslashreplace")
        try:
            return value.cast(pa.string()).as_py()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError):
            return f"<{kind}>"


def raw_parquet(
    path: Place, lines: npt.NDArray[np.int64], row_groups: Sequence[int] | None = None
) -> Iterator[tuple[int, str]]:
    """Write some rows down whole, as comma-separated text.

    Args:
        path: The file.
        lines: int64 [rows], numbers of the wanted rows, ascending.
        row_groups: As of :func:`read_parquet`.

    Yields:
        Line and text.
    """
    first = 1
    for batch in _batches(path, row_groups):
        low, high = np.searchsorted(lines, [first, first + batch.num_rows])
        here = lines[low:high]
        places = pa.array(here - first)
        columns = [_written(column, places) for column in batch.columns]
        for number, line in enumerate(here):
            text = io.StringIO()
            csv.writer(text, lineterminator="").writerow(column[number] for column in columns)
            yield int(line), text.getvalue()
        first += batch.num_rows
