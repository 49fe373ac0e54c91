"""From ids to all that ``din.onnx`` takes, by the vocabularies' files.

For a vocabulary that is too large for graphs with the ids inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from din_core.arrow_without_pandas import as_numpy
from din_core.serving.bundle import contents, parquet_files
from din_core.serving.bundle.contents import Bundle
from din_core.serving.bundle.ids import Id, Ids, VocabularyIds, as_array

Column = npt.NDArray[Any]


class FeatureTables:
    """What items and users are described by, row i for index i, and row 0 for whoever is unknown.

    Args:
        bundle: The bundle.
        items: The items' vocabulary.
    """

    def __init__(self, bundle: Bundle, items: VocabularyIds) -> None:
        self._items = items
        self._of_item = _columns(bundle, contents.ITEMS, "item")
        self._users: VocabularyIds | None = None
        self._of_user: dict[str, Column] = {}
        if contents.USERS in bundle:
            ids = parquet_files.read(bundle.path(contents.USERS), ["user_id"])
            self._users = VocabularyIds(ids["user_id"], bundle.user_ids)
            self._of_user = _columns(bundle, contents.USERS, "user")

    def users_of(self, users: Sequence[Id] | Ids) -> Column:
        """Return the index of each user, 0 for whom the model does not know; int64 ``[B]``."""
        if self._users is None:
            return np.zeros(len(users), np.int64)
        asked = users if isinstance(users, np.ndarray) else as_array(users, self._users.kind)
        return self._users.positions(asked) + 1

    def of_rows(self, users: Ids, targets: Ids, histories: Ids) -> dict[str, Column]:
        """Return every feature of B rows by its name.

        Args:
            users: ``[B]``.
            targets: ``[B]``.
            histories: ``[B, L]``.
        """
        target = self._items.positions(targets) + 1
        history = (self._items.positions(histories.ravel()) + 1).reshape(histories.shape)
        user = self.users_of(users)
        return {
            **{f"target_{name}": values[target] for name, values in self._of_item.items()},
            **{f"hist_{name}": values[history] for name, values in self._of_item.items()},
            **{name: values[user] for name, values in self._of_user.items()},
        }


def _columns(bundle: Bundle, file: str, kind: str) -> dict[str, Column]:
    """Read a vocabulary's columns but the ids, each with a first row for what is unknown."""
    table = parquet_files.read(bundle.path(file))
    columns: dict[str, Column] = {}
    for name in table.column_names:
        if name == f"{kind}_id":
            continue
        is_index = pa.types.is_integer(table.schema.field(name).type)
        values = as_numpy(table[name])
        dtype = np.int64 if is_index else np.float32
        columns[name] = np.concatenate([[0 if is_index else np.nan], values]).astype(dtype)
    return columns
