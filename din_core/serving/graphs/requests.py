"""Random requests to the graphs of a bundle, and what the model itself answers in torch.

Shapes: L events of a history, N candidates. Indices are those of the vocabularies; 0 is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from din_core.network.features import DenseFeature
from din_core.serving.graphs.id_tables import Ids, Source
from din_core.serving.graphs.tracing import Array

_INT64 = np.iinfo(np.int64)
_STRANGE_NUMBERS = (0, -1, -2, int(_INT64.min), int(_INT64.min) + 1, int(_INT64.max), 2**53 + 1)
_STRANGE_TEXTS = ("", "\0", " ", "\n", "é", "日本", "😀", "0", "-1", "\ufeff", "%s", "'", '"')


@dataclass(frozen=True)
class Request:
    """One user's history and candidates.

    Attributes:
        user: The user's index.
        history: Items, oldest first, int64 ``[L]``.
        candidates: Items, int64 ``[N]``.
        numbers: Numbers of the context by name, float32 ``[N]``.
    """

    user: int
    history: Array
    candidates: Array
    numbers: dict[str, Array]

    def counted(self, max_history: int) -> Array:
        """The events that count, ``[P]``."""
        return self.history[self.history != 0][-max_history:]

    def for_rows(self, n_rows: int) -> Request:
        """The same with its one candidate, and its numbers, as often as there are rows."""
        numbers = {name: np.repeat(each, n_rows) for name, each in self.numbers.items()}
        return Request(self.user, self.history, np.repeat(self.candidates, n_rows), numbers)


def random_request(
    source: Source, length: int, n_candidates: int, random: np.random.Generator
) -> Request:
    """Draw a request, a tenth of it unknown.

    Args:
        source: Names what there is.
        length: L.
        n_candidates: N.
        random: Where it comes from.
    """

    def indices(ids: Ids, n: int) -> Array:
        drawn = random.integers(0, len(ids.keys) + 1, n, dtype=np.int64)
        drawn[random.random(n) < 1 / 10] = 0
        return drawn

    items, *users = source.ids
    numbers: dict[str, Array] = {}
    for name in source.context:
        [feature] = [each for each in source.model.input_features if each.name == name]
        assert isinstance(feature, DenseFeature)
        drawn = random.standard_normal(n_candidates, dtype=np.float32)
        if feature.normalization is not None:
            of = feature.normalization
            drawn = (of.mean + of.std * drawn).astype(np.float32)
            drawn[random.random(n_candidates) < 1 / 10] = np.nan
        numbers[name] = drawn
    return Request(
        user=int(indices(users[0], 1)[0]) if users else 0,
        history=indices(items, length),
        candidates=indices(items, n_candidates),
        numbers=numbers,
    )


def as_ids(ids: Ids, index: Array, random: np.random.Generator) -> Array:
    """The ids of indices, and strange ones that no vocabulary has in place of 0."""
    known = np.maximum(index, 1) - 1
    if isinstance(ids.keys, list):
        some = [f"{key}{end}" for key in ids.keys[:3] for end in ("\0", " ", "x")]
        keys: Array = np.array([ids.keys[place] for place in known.flat], dtype=object)
        strange: Array = np.array(_unknown(ids, (*_STRANGE_TEXTS, *some)), dtype=object)
    else:
        keys = ids.keys[known.ravel()]
        strange = np.array(_unknown(ids, _STRANGE_NUMBERS), dtype=np.int64)
    named = np.where(
        index.ravel() == 0, strange[random.integers(0, len(strange), index.size)], keys
    )
    return named.reshape(index.shape)


def as_indices(ids: Ids, index: Array, random: np.random.Generator) -> Array:
    """The indices, and some that no vocabulary has in place of 0."""
    n = len(ids.keys)
    outside = np.array([0, -1, -n, n + 1, 2 * n + 1, _INT64.min, _INT64.max])
    return np.where(index == 0, outside[random.integers(0, len(outside), index.shape)], index)


def answers_in_torch(source: Source, histories: Sequence[Array], request: Request) -> Array:
    """What the model answers, on flat histories and row by row: probabilities ``[B]``.

    Args:
        source: The model, ready for export.
        histories: The events that each row counts, known ones only, ``[B]`` of them.
        request: User, candidates and numbers of the rows.
    """
    longest = max((len(each) for each in histories), default=0)
    padded = np.zeros((len(histories), longest), dtype=np.int64)
    for row, each in zip(padded, histories, strict=True):
        row[: len(each)] = each
    inputs: dict[str, Any] = {
        **source.tables.of_history(torch.from_numpy(padded)),
        **source.tables.of_candidates(torch.from_numpy(request.candidates)),
        **{name: torch.from_numpy(each) for name, each in request.numbers.items()},
    }
    if source.takes_user:
        inputs |= source.tables.of_users(torch.full((len(histories),), request.user))
    return source.model(inputs).numpy()


def _unknown(ids: Ids, among: Sequence[int | str]) -> list[int | str]:
    """The padding, and those that are no ids."""
    return [ids.padding, *(each for each in among if not _is_known(ids, each))]


def _is_known(ids: Ids, value: int | str) -> bool:
    return value in ids.texts if isinstance(ids.keys, list) else bool((ids.keys == value).any())
