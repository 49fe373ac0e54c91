"""The default histories of a bundle: each known user's latest events, from ``histories.parquet``.

A single user is found without reading the others: the file is in the order of the ids, in row
groups of a few thousand users.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from din_core.serving.bundle import parquet_files
from din_core.serving.bundle.contents import IdKind
from din_core.serving.bundle.ids import Id, Ids, SortedIds, as_array, from_arrow

#: Users of a row group: one user's costs a read of so many.
USERS_OF_A_GROUP = 4096
_GROUPS_KEPT = 64


class Histories:
    """Each known user's latest events, oldest first.

    Args:
        path: The file: ``user_id`` and ``hist_item_id``.
        user_ids: Type of the users' ids.
        item_ids: Type of the items' ids.
    """

    def __init__(self, path: Path, user_ids: IdKind, item_ids: IdKind) -> None:
        self._path = path
        self._item_ids: IdKind = item_ids
        self.users = SortedIds(parquet_files.read(path, ["user_id"])["user_id"], user_ids)
        self._group: Callable[[int], Any] = functools.lru_cache(_GROUPS_KEPT)(self._read_group)
        self._whole: Any = None

    def of(self, user: Id) -> Ids | None:
        """Return a user's items as a graph takes them ``[L]``; None for a user who is not known."""
        [position] = self.users.positions(as_array([user], self.users.kind))
        if position < 0:
            return None
        group, row = divmod(int(position), USERS_OF_A_GROUP)
        items = self._group(group)[row].values
        return from_arrow(items, self._item_ids)

    def of_several(self, users: Ids) -> Any:
        """Return the items of N users as an Arrow array of N lists, empty for who is not known.

        All histories are read the first time, and kept.
        """
        if self._whole is None:
            whole = parquet_files.read(self._path, ["hist_item_id"])
            column = whole["hist_item_id"].combine_chunks()
            empty = pa.array([[]], type=column.type)
            self._whole = pa.concat_arrays([column, empty])
        positions = self.users.positions(users)
        return self._whole.take(pa.array(np.where(positions < 0, len(self.users), positions)))

    def _read_group(self, group: int) -> Any:
        return parquet_files.read_group(self._path, group, "hist_item_id")
