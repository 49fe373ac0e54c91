"""Ids as a caller gives them: of the right type, and found in the vocabulary or not.

Ids are int64 or text, as in the source's column. An id of the other type is refused and never
converted: ``5`` is not the item ``'5'``.
Shapes: N ids that are asked for, V ids of a vocabulary.
"""

from __future__ import annotations

import bisect
import numbers
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute

from din_core.errors import WrongRequestError
from din_core.serving.bundle.contents import IdKind

Id = int | str
Ids = npt.NDArray[Any]
Positions = npt.NDArray[np.int64]

_compute: Any = pyarrow.compute  # pyarrow has no types
_RANGE = np.iinfo(np.int64)
_LONGEST_WRITTEN = 1000  # Python converts no text of many thousand digits
_WRITTEN_INTEGER = re.compile(r"[+-]?[0-9]+")
# So many ids of a vocabulary are made texts of Python in the time of one search in Arrow's.
_IDS_READ_IN_A_SEARCH = 128


def one_id(value: object, kind: IdKind, name: str) -> Id:
    """Return one id in plain Python.

    Args:
        value: What was given.
        kind: Type of the ids.
        name: What to call it in an error.

    Raises:
        WrongRequestError: It is of another type, no 64-bit integer, or text that UTF-8 does not
            have (a byte of the command line or an escape of JSON that is half a character).
    """
    if kind == "string":
        if isinstance(value, str):
            if not value.isascii():
                try:
                    value.encode()
                except UnicodeEncodeError:
                    raise WrongRequestError(f"{name} is {value!r}, which is not UTF-8") from None
            return str(value)
        hint = f"; write {str(value)!r}" if isinstance(value, numbers.Integral) else ""
        raise WrongRequestError(
            f"{name} is {value!r} ({type(value).__name__}), and ids are text here{hint}"
        )
    if isinstance(value, numbers.Integral) and not isinstance(value, (bool, np.bool_)):
        number = int(value)
        if _RANGE.min <= number <= _RANGE.max:
            return number
        raise WrongRequestError(f"{name} is {value}, which is no 64-bit integer")
    raise WrongRequestError(
        f"{name} is {value!r} ({type(value).__name__}), and ids are integers here"
    )


def parsed_id(text: str, kind: IdKind, name: str) -> Id:
    """Return the id that a text on a command line stands for.

    Raises:
        WrongRequestError: Ids are integers, and this is none.
    """
    if kind == "string":
        return text
    # Not by int alone, which reads 3_0 as 30: another item.
    if not _WRITTEN_INTEGER.fullmatch(text.strip()) or len(text) > _LONGEST_WRITTEN:
        raise WrongRequestError(f"{name} is {text!r}, and ids are integers here")
    return one_id(int(text), kind, name)


def several_ids(values: object, kind: IdKind, name: str) -> Ids:
    """Return ids as a graph takes them: int64 ``[N]``, or ``[N]`` objects that are text.

    Args:
        values: A sequence, a NumPy or Arrow array; not one text, which would be its letters, nor a
            set, whose order is chance.
        kind: Type of the ids.
        name: What to call them in an error.

    Raises:
        WrongRequestError: No sequence, or one of the ids is of another type.
    """
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise WrongRequestError(f"{name} is {values!r}; give a list of ids")
    if isinstance(values, (Set, Mapping)):
        raise WrongRequestError(
            f"{name} is a {type(values).__name__}, which has no order of ids; give a list of ids"
        )
    given: Any = values
    if isinstance(given, (pa.Array, pa.ChunkedArray)):
        given = given.to_pylist()
    if isinstance(given, np.ndarray):
        if given.ndim != 1:
            raise WrongRequestError(f"{name} has {given.ndim} dimensions; give a list of ids")
        if isinstance(given, np.ma.MaskedArray):
            given = given.tolist()  # None where one is masked
        elif kind == "int64" and given.dtype.kind in "iu" and given.dtype != np.uint64:
            return given.astype(np.int64)
    plain = [one_id(each, kind, f"{name}[{place}]") for place, each in enumerate(given)]
    return as_array(plain, kind)


def as_array(ids: Sequence[Id], kind: IdKind) -> Ids:
    """Return plain ids as a graph takes them."""
    return np.array(ids, dtype=np.int64 if kind == "int64" else object)


def from_arrow(ids: Any, kind: IdKind) -> Ids:
    """Return an Arrow array of ids, none of them NULL, as a graph takes it.

    Not by Arrow's own ``to_numpy``, which imports pandas where it is.
    """
    return np.from_dlpack(ids) if kind == "int64" else np.array(ids.to_pylist(), dtype=object)


class VocabularyIds:
    """The ids of a vocabulary: where each stands.

    A vocabulary that has grown is in the order in which the ids came. They are searched for in
    ascending order, and their places are kept beside it.

    Args:
        ids: Arrow array of V ids, as the vocabulary's file has them.
        kind: Their type.
    """

    def __init__(self, ids: Any, kind: IdKind) -> None:
        self._given = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
        ascending = _is_ascending(self._given)
        #: Place of each id of `_ids`; None where they stand in ascending order.
        self._places = None if ascending else np.from_dlpack(_compute.sort_indices(self._given))
        self._ids = self._given if self._places is None else self._given.take(self._places)
        self._numbers = from_arrow(self._ids, kind) if kind == "int64" else None
        self._texts: list[str] | None = None
        self.kind: IdKind = kind

    def __len__(self) -> int:
        """V."""
        return len(self._ids)

    def to_numpy(self) -> Ids:
        """Return all ids as a graph takes them, in the vocabulary's order ``[V]``."""
        return from_arrow(self._given, self.kind)

    def positions(self, ids: Ids) -> Positions:
        """Return where ids stand, from 0, and -1 for those that are not there; int64 ``[N]``."""
        found = self._places_in_order(ids)
        if self._places is None:
            return found
        places = np.append(self._places.astype(np.int64), -1)
        return places[found]

    def _places_in_order(self, ids: Ids) -> Positions:
        if self._numbers is not None:
            places = np.searchsorted(self._numbers, ids)
            found = np.zeros(len(ids), dtype=bool)
            inside = places < len(self._numbers)
            found[inside] = self._numbers[places[inside]] == ids[inside]
            return np.where(found, places, -1).astype(np.int64)
        if self._texts is None and len(ids) * _IDS_READ_IN_A_SEARCH < len(self._ids):
            return np.array([self._search(each) for each in ids], dtype=np.int64)
        # Not by Arrow's own index_in: an array made of the ids would import pandas, too.
        texts: list[str] = self._ids.to_pylist() if self._texts is None else self._texts
        self._texts = texts
        return np.array([_place_in(texts, each) for each in ids], dtype=np.int64)

    def _search(self, wanted: str) -> int:
        # Texts are in the order of their UTF-8 bytes, which is that of their code points.
        low, high = 0, len(self._ids)
        while low < high:
            middle = (low + high) // 2
            if self._ids[middle].as_py() < wanted:
                low = middle + 1
            else:
                high = middle
        is_there = low < len(self._ids) and self._ids[low].as_py() == wanted
        return low if is_there else -1


def _is_ascending(ids: Any) -> bool:
    return len(ids) < 2 or bool(_compute.all(_compute.less(ids[:-1], ids[1:])).as_py())


def _place_in(texts: list[str], wanted: str) -> int:
    place = bisect.bisect_left(texts, wanted)
    return place if place < len(texts) and texts[place] == wanted else -1
