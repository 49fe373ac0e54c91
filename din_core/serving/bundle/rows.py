"""Rows to score as a caller has them, in blocks as the graphs take them.

Shapes: B rows of a block, L events of its longest history.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from din_core.errors import WrongRequestError
from din_core.serving.bundle.contents import Bundle, IdKind
from din_core.serving.bundle.ids import Id, Ids

#: Rows that are scored at once: their histories are a rectangle in memory.
ROWS_OF_A_BLOCK = 4096
_LISTS = ("list", "large_list", "fixed_size_list")


@dataclass(frozen=True)
class Block:
    """Rows as the graphs take them.

    Attributes:
        users: ``[B]``.
        targets: ``[B]``.
        histories: ``[B, L]``, padded behind.
        context: By name, float32 ``[B]``, NaN where a number is missing.
    """

    users: Ids
    targets: Ids
    histories: Ids
    context: dict[str, npt.NDArray[np.float32]]


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
        for name in bundle.context:
            columns[name] = _numbers(_column(rows, name), name)
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
            yield Block(
                users,
                _filled(rows["target_item_id"], bundle.padding),
                _rectangle(rows["hist_item_id"], bundle.padding),
                {name: rows[name].to_numpy() for name in bundle.context},
            )


def _table(table: Any) -> Any:
    try:
        return pa.table(table)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise WrongRequestError(
            f"rows are to be an Arrow table, a dictionary of columns or a data frame, and "
            f"{type(table).__name__} is none: {error}"
        ) from error


def _column(rows: Any, name: str) -> Any:
    if name not in rows.column_names:
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
        pa.types.is_integer(found)
        if kind == "int64"
        else pa.types.is_string(found) or pa.types.is_large_string(found)
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
    if not any(getattr(pa.types, f"is_{each}")(found) for each in _LISTS):
        raise WrongRequestError(
            f"column {name!r} holds {found}; a history is a list of item ids, oldest first"
        )
    return _cast(column, name, kind, found.value_type, pa.list_(inner))


def _numbers(column: Any, name: str) -> Any:
    try:
        return column.cast(pa.float64()).cast(pa.float32(), safe=False).fill_null(float("nan"))
    except pa.ArrowException:
        raise WrongRequestError(
            f"column {name!r} holds {column.type}, and it is to hold numbers"
        ) from None


def _filled(column: Any, nothing: Id) -> Ids:
    """A column of ids as a graph takes it, an id that nobody has where there is none."""
    return column.fill_null(nothing).to_numpy()


def _rectangle(column: Any, padding: Id) -> Ids:
    """Lists of ids as a rectangle: each list from the left, and padding behind it."""
    lists = column.combine_chunks()
    lengths = lists.value_lengths().fill_null(0).to_numpy().astype(np.int64)
    dtype = np.int64 if isinstance(padding, int) else object
    rectangle = np.full((len(lists), int(lengths.max(initial=0))), padding, dtype)
    is_event = np.arange(rectangle.shape[1]) < lengths[:, None]
    rectangle[is_event] = lists.flatten().fill_null(padding).to_numpy(zero_copy_only=False)
    return rectangle
