"""Rows to score as a caller has them, in blocks as the graphs take them.

Shapes: B rows of a block, L events of its longest history.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from din_core.arrow_without_pandas import as_numpy, filled, numbers
from din_core.errors import WrongRequestError
from din_core.serving.bundle.contents import Bundle, IdKind
from din_core.serving.bundle.histories import TIMES
from din_core.serving.bundle.ids import Id, Ids
from din_core.serving.bundle.log_numbers import OF_HISTORY_TIMES

#: Rows that are scored at once: their histories are a rectangle in memory.
ROWS_OF_A_BLOCK = 4096
_LISTS = ("list", "large_list", "fixed_size_list")
_TEXTS = ("string", "large_string", "string_view")


@dataclass(frozen=True)
class Block:
    """Rows as the graphs take them.

    Attributes:
        users: ``[B]``.
        targets: ``[B]``.
        histories: ``[B, L]``, padded behind.
        context: By name, float32 ``[B]``, NaN where a number is missing. A number of the log that
            the rows do not have is absent.
        moments: When each row is asked, in seconds, float64 ``[B]``.
        times: When the events were, likewise, float64 ``[B, L]``; NaN where nobody says.
    """

    users: Ids
    targets: Ids
    histories: Ids
    context: dict[str, npt.NDArray[np.float32]]
    moments: npt.NDArray[np.float64]
    times: npt.NDArray[np.float64]


class Rows:
    """Rows with the columns of ``samples``.

    Args:
        table: Arrow table, dictionary of columns, or what else has an Arrow stream.
        bundle: The bundle that they are scored with.

    Raises:
        WrongRequestError: A column is missing or of another type.
    """

    def __init__(self, table: Any, bundle: Bundle) -> None:
        self._bundle = bundle
        rows = _table(table)
        needed: dict[str, IdKind] = {"target_item_id": bundle.item_ids}
        if bundle.uses_user:
            needed["user_id"] = bundle.user_ids
        columns = {name: _ids(_column(rows, name), name, kind) for name, kind in needed.items()}
        columns["hist_item_id"] = _lists(_column(rows, "hist_item_id"), bundle.item_ids)
        of_log = set(bundle.log_numbers) - set(rows.column_names)
        self._context = [name for name in bundle.context if name not in of_log]
        for name in self._context:
            columns[name] = _numbers(_column(rows, name), name)
        if of_log and "time" in rows.column_names:
            columns["time"] = _seconds(rows["time"])
        if by_times := [name for name in OF_HISTORY_TIMES if name in of_log]:
            columns[TIMES] = _times(rows, columns["hist_item_id"], by_times[0])
        self._rows: Any = pa.table(columns)

    def blocks(self) -> Iterator[Block]:
        """Yield all rows in their order, so many at once as fit."""
        bundle = self._bundle
        for start in range(0, len(self._rows), ROWS_OF_A_BLOCK):
            rows = self._rows.slice(start, ROWS_OF_A_BLOCK).combine_chunks()
            nobody = bundle.user_padding
            users = np.full(len(rows), nobody, np.int64 if bundle.user_ids == "int64" else object)
            if "user_id" in rows.column_names:
                users = _filled(rows["user_id"], nobody)
            moments, histories = np.full(len(rows), np.nan), rows["hist_item_id"]
            if bundle.log_numbers:
                moments = np.full(len(rows), bundle.log_end)
            if "time" in rows.column_names:
                moments = as_numpy(filled(rows["time"], bundle.log_end))
            padded = _rectangle(histories, bundle.padding)
            times = np.full(padded.shape, np.nan)
            if TIMES in rows.column_names:
                times = _rectangle(rows[TIMES], float("nan"))
            yield Block(
                users,
                _filled(rows["target_item_id"], bundle.padding),
                padded,
                {name: as_numpy(rows[name]) for name in self._context},
                moments,
                times,
            )


def pair_columns(table: Any, bundle: Bundle) -> dict[str, Any]:
    """Return the columns of pairs, each one Arrow array, of the bundle's types.

    Args:
        table: Arrow table with ``user_id``, ``item_id`` and, if it has them, numbers of the
            context.
        bundle: The bundle that they are scored with.

    Raises:
        WrongRequestError: A column is of another type, or there twice.
    """
    kinds: dict[str, IdKind] = {"user_id": bundle.user_ids, "item_id": bundle.item_ids}
    columns = {name: _ids(_column(table, name), name, kind) for name, kind in kinds.items()}
    for name in bundle.context:
        if name in table.column_names:
            columns[name] = _numbers(_column(table, name), name)
    return {
        name: column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        for name, column in columns.items()
    }


def _table(table: Any) -> Any:
    if isinstance(table, pa.Table):
        return table
    try:
        return pa.table(table)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise WrongRequestError(
            "rows are to be an Arrow table, a dictionary of columns of one length, or a data "
            f"frame; this {type(table).__name__} cannot be read as one: {error}"
        ) from error


def _column(rows: Any, name: str) -> Any:
    if (n_times := rows.column_names.count(name)) > 1:
        raise WrongRequestError(f"the rows have {n_times} columns {name!r}; keep one")
    if n_times == 0:
        raise WrongRequestError(
            f"the rows have no column {name!r}, which the model takes; they have "
            f"{', '.join(map(str, rows.column_names)) or 'none'}"
        )
    column = rows[name]
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column


def _ids(column: Any, name: str, kind: IdKind) -> Any:
    return _cast(column, name, kind, column.type, pa.int64() if kind == "int64" else pa.string())


def _cast(column: Any, name: str, kind: IdKind, found: Any, wanted: Any) -> Any:
    """Cast to the type of the ids, where no id becomes another one by it."""
    fits = pa.types.is_null(found) or (
        pa.types.is_integer(found) if kind == "int64" else _is(found, _TEXTS)
    )
    if fits:
        try:
            return column.cast(wanted)
        except pa.ArrowInvalid:
            pass  # an unsigned number beyond 2**63
    raise WrongRequestError(f"column {name!r} holds {found}, and these ids are {kind}")


def _lists(column: Any, kind: IdKind) -> Any:
    name, inner = "hist_item_id", pa.int64() if kind == "int64" else pa.string()
    found = column.type
    if pa.types.is_null(found):
        return column.cast(pa.list_(inner))
    if not _is(found, _LISTS):
        raise WrongRequestError(
            f"column {name!r} holds {found}; a history is a list of item ids, oldest first"
        )
    of_event = found.value_type
    if pa.types.is_dictionary(of_event):
        of_event = of_event.value_type
        column = column.cast(pa.list_(of_event))
    return _cast(column, name, kind, of_event, pa.list_(inner))


def _is(found: Any, names: Iterable[str]) -> bool:
    """Whether a type is one of those with these names."""
    return any(getattr(pa.types, f"is_{each}")(found) for each in names)


def _numbers(column: Any, name: str) -> Any:
    found = column.type
    if _is(found, _TEXTS):
        raise WrongRequestError(f"column {name!r} holds {found}, and it is to hold numbers")
    try:
        values = as_numpy(column.cast(pa.float64()))
    except pa.ArrowException:
        raise WrongRequestError(
            f"column {name!r} holds {found}, and it is to hold numbers"
        ) from None
    return numbers(finite_numbers(values, f"column {name!r}"))


def finite_numbers(values: npt.NDArray[np.float64], name: str) -> npt.NDArray[np.float32]:
    """Return numbers as a graph takes them, NaN where one is missing.

    Args:
        values: ``[B]``.
        name: What to call them in an error.

    Raises:
        WrongRequestError: One is infinite, or is so in 32 bits: it is no number to go by, and no
            missing one.
    """
    with np.errstate(over="ignore"):
        numbers = values.astype(np.float32)
    if len(wrong := np.flatnonzero(np.isinf(numbers))):
        place = f" at place {wrong[0]:,} of {len(values):,}" if len(values) > 1 else ""
        raise WrongRequestError(
            f"{name} is {values[wrong[0]]}{place}; give a finite number, or NaN for a missing one"
        )
    return np.ascontiguousarray(numbers)


def _filled(column: Any, nothing: Id) -> Ids:
    """A column of ids as a graph takes it, an id that nobody has where there is none."""
    return as_numpy(filled(column, nothing))


def _seconds(column: Any) -> Any:
    """Moments in seconds: a column of numbers, or of timestamps as `samples` has them."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        microseconds = column.cast(pa.timestamp("us", tz=kind.tz), safe=False).cast(pa.int64())
        return pa.chunked_array([each.to_numpy(False) / 1e6 for each in microseconds.chunks])
    if pa.types.is_null(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return column.cast(pa.float64())
    raise WrongRequestError(
        f"column 'time' holds {kind}; it is to hold timestamps, or seconds since 1970-01-01 UTC"
    )


def _times(rows: Any, histories: Any, of: str) -> Any:
    """When the events of the histories were, in seconds: as many as there are events."""
    if TIMES not in rows.column_names:
        raise WrongRequestError(
            f"the rows have no column {TIMES!r}, which the model's number {of!r} goes by: when "
            "each event of hist_item_id was, in seconds since 1970-01-01 UTC. Or give "
            f"{of!r} itself"
        )
    column = rows[TIMES]
    try:
        times = column.cast(pa.list_(pa.float64()))
    except pa.ArrowException:
        raise WrongRequestError(
            f"column {TIMES!r} holds {column.type}; it is to hold lists of seconds"
        ) from None
    n_times, n_events = (_lengths(each.combine_chunks()) for each in (times, histories))
    if len(different := np.flatnonzero(n_times != n_events)):
        row = int(different[0])
        raise WrongRequestError(
            f"row {row}: {n_times[row]} times in {TIMES!r} and {n_events[row]} events in "
            "'hist_item_id'; give one for each"
        )
    return times


def _lengths(lists: Any) -> npt.NDArray[np.int64]:
    if isinstance(lists, pa.ChunkedArray):
        return np.concatenate([np.zeros(0, np.int64), *map(_lengths, lists.chunks)])
    return as_numpy(filled(lists.value_lengths(), 0)).astype(np.int64)


def _rectangle(column: Any, padding: Id | float) -> npt.NDArray[Any]:
    """Lists as a rectangle: each list from the left, and padding behind it."""
    lists = column.combine_chunks()
    lengths = as_numpy(filled(lists.value_lengths(), 0)).astype(np.int64)
    dtype = object if isinstance(padding, str) else type(padding)
    rectangle = np.full((len(lists), int(lengths.max(initial=0))), padding, dtype)
    is_event = np.arange(rectangle.shape[1]) < lengths[:, None]
    rectangle[is_event] = as_numpy(filled(lists.flatten(), padding))
    return rectangle
