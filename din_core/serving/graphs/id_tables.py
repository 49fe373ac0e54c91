"""What the ids of a log stand for: their order, and what describes an item or a user.

Read from the vocabularies beside a saved model. Index *i* is the id of row *i* - 1; index 0, which
stands for whatever the vocabulary lacks, has attributes 0 and numbers NaN: unknown to a model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from din_core.arrow_without_pandas import as_numpy, read_parquet
from din_core.network.models import ClickModel
from din_core.network.vocabulary import Vocabulary
from din_core.serving.graphs.tracing import Array, ExportError


@dataclass(frozen=True)
class Ids:
    """The ids of one kind, in the order of their indices.

    Attributes:
        kind: ``item`` or ``user``.
        keys: int64 ``[n]``, or a list of strings.
        padding: An id that none of them is: what fills a rectangle of ids.
    """

    kind: str
    keys: Array | list[str]
    padding: int | str

    @property
    def are_strings(self) -> bool:
        """Whether the ids are strings, and not int64."""
        return isinstance(self.keys, list)

    @cached_property
    def texts(self) -> frozenset[str]:
        """The ids where they are strings, else nothing."""
        return frozenset(self.keys) if isinstance(self.keys, list) else frozenset()

    @property
    def n_bytes(self) -> int:
        """Bytes of the keys."""
        if isinstance(self.keys, list):
            return sum(len(key.encode()) for key in self.keys)
        return self.keys.nbytes


class IdTables(nn.Module):
    """From the index of an item or user to all that a model takes of it.

    Args:
        vocabulary: The model's.
        items: Columns of ``items.parquet`` by name.
        users: Columns of ``users.parquet``; empty where the model takes nothing of the user.
    """

    def __init__(
        self, vocabulary: Vocabulary, items: Mapping[str, Array], users: Mapping[str, Array]
    ) -> None:
        super().__init__()
        self._columns: dict[str, tuple[list[str], list[str]]] = {}
        for kind, columns, attributes, numbers in (
            ("item", items, vocabulary.item_attributes, vocabulary.item_dense),
            ("user", users, vocabulary.user_attributes, vocabulary.user_dense),
        ):
            self._columns[kind] = ([*attributes], [*numbers])
            for place, name in enumerate([*attributes, *numbers]):
                unknown = 0 if name in attributes else np.nan
                dtype = np.int64 if name in attributes else np.float32
                rows = np.concatenate([[unknown], columns[name]]).astype(dtype)
                # By place, since a column may be called anything.
                self.register_buffer(f"{kind}_{place}", torch.from_numpy(rows), persistent=False)

    @property
    def n_bytes(self) -> int:
        """Bytes of the tables."""
        return sum(each.numel() * each.element_size() for each in self.buffers())

    def of_candidates(self, index: Tensor) -> dict[str, Tensor]:
        """A candidate's features by name: index, attributes, numbers."""
        return self._of("item", "target_", index, with_numbers=True)

    def of_history(self, index: Tensor) -> dict[str, Tensor]:
        """A past item's features by name: index and attributes."""
        return self._of("item", "hist_", index, with_numbers=False)

    def of_users(self, index: Tensor) -> dict[str, Tensor]:
        """A user's features by name: index, attributes, numbers."""
        return self._of("user", "", index, with_numbers=True)

    def _of(
        self, kind: str, prefix: str, index: Tensor, *, with_numbers: bool
    ) -> dict[str, Tensor]:
        attributes, numbers = self._columns[kind]
        names = [*attributes, *numbers] if with_numbers else attributes
        described = {
            f"{prefix}{name}": self.get_buffer(f"{kind}_{place}")[index]
            for place, name in enumerate(names)
        }
        return {f"{prefix}{kind}_idx": index, **described}


@dataclass(frozen=True)
class Source:
    """What a graph in ids is made from.

    Attributes:
        model: The model.
        tables: What the indices of items and users stand for.
        ids: The ids of the items and, of a model that takes the user, of the users.
        context: Names of the numbers that belong to the showing of a candidate.
        max_history: Latest events that count.
    """

    model: ClickModel
    tables: IdTables
    ids: Sequence[Ids]
    context: Sequence[str]
    max_history: int

    @property
    def takes_user(self) -> bool:
        """Whether the model takes the user or what describes the user."""
        return any(each.kind == "user" for each in self.ids)


def read(vocabulary: Vocabulary, folder: Path, *, with_users: bool) -> tuple[IdTables, list[Ids]]:
    """Read the vocabularies of a model.

    Args:
        vocabulary: The model's.
        folder: Where :func:`din_core.serving.vocabularies.write` put them.
        with_users: Whether the model takes the user or what describes the user.

    Returns:
        The tables, and the ids of the items and, with users, of the users.

    Raises:
        ExportError: A file is missing, or it is not the vocabulary of this model.
    """
    items = _columns(folder / "items.parquet", "item", vocabulary.n_items)
    users = _columns(folder / "users.parquet", "user", vocabulary.n_users) if with_users else {}
    columns = {
        "items": (items, [*vocabulary.item_attributes, *vocabulary.item_dense]),
        "users": (users, [*vocabulary.user_attributes, *vocabulary.user_dense]),
    }
    for table, (of, wanted) in columns.items():
        if missing := [name for name in wanted if name not in of]:
            raise ExportError(
                f"{folder / table}.parquet: no column '{missing[0]}', which the model takes; these "
                "are not the vocabularies that it was trained with"
            )
    ids = [Ids("item", items["item_id"], padding_of(items["item_id"]))]
    if with_users:
        ids.append(Ids("user", users["user_id"], padding_of(users["user_id"])))
    return IdTables(vocabulary, items, users), ids


def _columns(path: Path, kind: str, n_rows: int) -> dict[str, Any]:
    if not path.is_file():
        raise ExportError(f"{path}: no such file; it lies beside the model that it belongs to")
    table = read_parquet(path)
    index = as_numpy(table.column(f"{kind}_idx"))
    if not np.array_equal(index, np.arange(1, n_rows + 1)):
        raise ExportError(
            f"{path}: {len(index)} rows, and the model knows {n_rows} {kind}s, numbered from 1; "
            "these are not the vocabularies that it was trained with"
        )
    key = f"{kind}_id"
    columns: dict[str, Any] = {
        name: as_numpy(table.column(name)) for name in table.column_names if name != key
    }
    keys = table.column(key)
    is_text = str(keys.type) in ("string", "large_string")
    columns[key] = keys.to_pylist() if is_text else as_numpy(keys).astype(np.int64)
    return columns


def padding_of(keys: Array | list[str]) -> int | str:
    """An id that is none of them: -1 or "" where that is none, else the first that is none.

    Args:
        keys: int64 ``[n]``, tried from the smallest after -1, or strings.
    """
    if isinstance(keys, list):
        strings = set(keys)
        return next(text for text in _texts() if text not in strings)
    numbers = set(keys[(keys == -1) | (keys < np.iinfo(np.int64).min + len(keys) + 1)].tolist())
    least = int(np.iinfo(np.int64).min)
    return next(each for each in (-1, *range(least, least + len(keys) + 1)) if each not in numbers)


def _texts() -> Iterator[str]:
    yield ""
    number = 0
    while True:
        yield f"<padding {number}>"
        number += 1
