"""The default histories of a bundle: each known user's latest events, from ``histories.parquet``.

A single user is found without reading the others: the file is in the order of the ids, in row
groups of a few thousand users. It is kept open, so that a server answers as before where the folder
is removed: ``din prune`` may do that to a version that is still in use.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from din_core.arrow_without_pandas import as_numpy
from din_core.serving.bundle import parquet_files
from din_core.serving.bundle.contents import IdKind
from din_core.serving.bundle.ids import Id, Ids, VocabularyIds, as_array, from_arrow

#: Users of a row group: one user's costs a read of so many.
USERS_OF_A_GROUP = 4096
ITEMS, TIMES = "hist_item_id", "hist_time"
_GROUPS_KEPT = 64


@dataclass(frozen=True)
class Shown:
    """A history as the model is shown it.

    Attributes:
        items: Oldest first ``[L]``.
        times: When its events were, in seconds, NaN where nobody says, float64 ``[L]``.
        notes: What is to be said of it, in sentences.
        is_known: Whether the user is.
    """

    items: Ids
    times: npt.NDArray[np.float64]
    notes: list[str]
    is_known: bool


class Histories:
    """Each known user's latest events, oldest first.

    Args:
        path: The file: ``user_id`` and ``hist_item_id``, and ``hist_time`` where the model has
            ``log_numbers``.
        user_ids: Type of the users' ids.
        item_ids: Type of the items' ids.
    """

    def __init__(self, path: Path, user_ids: IdKind, item_ids: IdKind) -> None:
        self._file = parquet_files.KeptOpen(path)
        self._item_ids: IdKind = item_ids
        self.users = VocabularyIds(self._file.read("user_id"), user_ids)
        self._group: Callable[[int, str], Any] = functools.lru_cache(_GROUPS_KEPT)(self._read_group)
        self._whole: dict[str, Any] = {}

    def of(self, user: Id) -> Ids | None:
        """Return a user's items as a graph takes them ``[L]``; None for a user who is not known."""
        items = self._of_one(user, ITEMS)
        return None if items is None else from_arrow(items, self._item_ids)

    def times_of(self, user: Id) -> npt.NDArray[np.float64]:
        """Return when the events of :meth:`of` were, in seconds ``[L]``.

        They are there only where the bundle's model has ``log_numbers``.
        """
        times = self._of_one(user, TIMES)
        return np.zeros(0) if times is None else as_numpy(times)

    def of_several(self, users: Ids, column: str = ITEMS) -> Any:
        """Return the items of N users as an Arrow array of N lists, empty for who is not known.

        All histories are read the first time, and kept.

        Args:
            users: ``[N]``.
            column: :data:`ITEMS`, or :data:`TIMES` for what :meth:`times_of` gives.
        """
        if column not in self._whole:
            whole = self._file.read(column).combine_chunks()
            self._whole[column] = pa.concat_arrays([whole, pa.array([[]], type=whole.type)])
        positions = self.users.positions(users)
        places = pa.array(np.where(positions < 0, len(self.users), positions))
        return self._whole[column].take(places)

    def _of_one(self, user: Id, column: str) -> Any:
        [position] = self.users.positions(as_array([user], self.users.kind))
        if position < 0:
            return None
        group, row = divmod(int(position), USERS_OF_A_GROUP)
        return self._group(group, column)[row].values

    def _read_group(self, group: int, column: str) -> Any:
        return self._file.read_group(group, column)
