"""What a request means to a bundle: ids checked, histories found, numbers of the context counted.

Everything that can be wrong with a request is said here, by the name of its argument; what the
graphs make of the result is asked by :mod:`.ranker`. Shapes: N candidates, B rows, L events of a
history.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from din_core.errors import WrongRequestError
from din_core.serving.bundle import contents, parquet_files
from din_core.serving.bundle.contents import Bundle
from din_core.serving.bundle.graphs import Numbers
from din_core.serving.bundle.histories import Histories, Shown
from din_core.serving.bundle.ids import Id, Ids, VocabularyIds, as_array, one_id, several_ids
from din_core.serving.bundle.log_numbers import LogNumbers, Moment
from din_core.serving.bundle.rows import Block, finite_numbers

Float32 = npt.NDArray[np.float32]
#: A number of the context: one for all candidates, or one each.
Context = Mapping[str, float | Iterable[float]]

_NAMED = 5


class Resolver:
    """Turns what is asked into what the graphs take.

    Args:
        bundle: The bundle.

    Attributes:
        items: The items that the model knows.
        histories: The users' latest events.
        log_numbers: What counts numbers of the log.

    Raises:
        BundleError: A file of it is damaged.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        ids = parquet_files.read(bundle.path(contents.ITEMS), ["item_id"])
        self.items = VocabularyIds(ids["item_id"], bundle.item_ids)
        self.histories = Histories(
            bundle.path(contents.HISTORIES), bundle.user_ids, bundle.item_ids
        )
        self.log_numbers = LogNumbers(bundle, len(self.items))
        self._catalogue: Ids | None = None

    def user(self, user_id: Id | None) -> Id | None:
        """Return the user's id, of the log's type; None is nobody in particular.

        Raises:
            WrongRequestError: It is of another type.
        """
        return None if user_id is None else one_id(user_id, self._bundle.user_ids, "user_id")

    def or_nobody(self, user: Id | None) -> Id:
        """Return the user, or an id that nobody has."""
        return self._bundle.user_padding if user is None else user

    def history(
        self,
        user: Id | None,
        history: Iterable[Id] | None,
        history_times: Iterable[Moment] | None = None,
    ) -> Shown:
        """Return the history to go by, what is to be said of it, and whether the user is known.

        Args:
            user: The user, as :meth:`user` returns it.
            history: Items, oldest first; by default the user's latest events.
            history_times: When they were, one for each.

        Raises:
            WrongRequestError: An argument cannot be used; the message names it.
        """
        notes: list[str] = []
        found = None if user is None else self.histories.of(user)
        if user is not None and found is None:
            notes.append(f"user {user!r} is not known: nothing but the history tells of the user")
        kind = self._bundle.item_ids
        if history is not None:
            seen = several_ids(history, kind, "history")
        else:
            seen = as_array([], kind) if found is None else found
        if len(seen) == 0:
            notes.append(
                "the history is empty: the order is the one for somebody of whom nothing is known"
            )
        if history_times is not None and history is None:
            raise WrongRequestError("history_times are given, and no history; give both")
        if history is None and user is not None and self.log_numbers.names:
            times = self.histories.times_of(user)
        else:
            times = self.log_numbers.times(history_times, len(seen))
        return Shown(seen, times, notes, found is not None)

    def candidates(self, candidates: Iterable[Id] | None) -> tuple[Ids, list[Id]]:
        """Return the candidates ``[N]``, by default all items, and those the model does not know.

        Raises:
            WrongRequestError: One is of another type than the log's items.
        """
        if candidates is not None:
            asked = several_ids(candidates, self._bundle.item_ids, "candidates")
            return asked, self.unknown(asked)
        if self._catalogue is None:
            self._catalogue = self.items.to_numpy()
        return self._catalogue, []

    def unknown(self, items: Ids) -> list[Id]:
        """Return the items that the model does not know, each once."""
        return list(dict.fromkeys(items[self.items.positions(items) < 0].tolist()))

    def outside(self, candidates: Ids, history: Ids) -> npt.NDArray[np.bool_]:
        """Return which candidates are not in the history, ``[N]``."""
        if candidates is self._catalogue:
            outside = np.ones(len(candidates), dtype=bool)
            positions = self.items.positions(history)
            outside[positions[positions >= 0]] = False
            return outside
        seen = set(history.tolist())
        return np.array([each not in seen for each in candidates.tolist()], dtype=bool)

    def numbers(
        self, candidates: Ids, shown: Shown, context: Context | None, at: Moment | None
    ) -> Numbers:
        """Return the numbers of the context, ``[N]`` each; NaN is a missing one.

        Args:
            candidates: The candidates, as :meth:`candidates` returns them.
            shown: The history; what is missing for a number is added to its notes.
            context: The numbers that the caller gives.
            at: The moment that numbers of the log are counted for.

        Raises:
            WrongRequestError: A number cannot be used; the message names it.
        """
        moment, given = self.log_numbers.moment(at), self.given_numbers(context, len(candidates))
        left = [name for name in self.log_numbers.names if name not in given]
        if not left:
            return given
        if missing := self.log_numbers.missing(left, shown.times):
            shown.notes.append(missing)
        if candidates is self._catalogue:
            targets = np.arange(1, len(self.items) + 1)
        else:
            targets = self.items.positions(candidates) + 1
        moments = np.full(len(candidates), moment)
        events = self.items.positions(shown.items) + 1
        counted = self.log_numbers.of(left, targets, moments, events[None], shown.times[None])
        return {**given, **counted}

    def given_numbers(self, context: Context | None, n_rows: int) -> dict[str, Float32]:
        """Return the numbers that the caller gives, and NaN for columns of the log left out.

        Raises:
            WrongRequestError: A number cannot be used; the message names it.
        """
        try:
            given = {} if context is None else dict(context)
        except (TypeError, ValueError):
            raise WrongRequestError(
                f"context is {context!r}; give numbers by their names"
            ) from None
        if unknown := [name for name in given if name not in self._bundle.context]:
            known = ", ".join(self._bundle.context) or "none"
            raise WrongRequestError(
                f"context has {unknown[0]!r}, and the model takes no such number (it takes {known})"
            )
        return {
            name: _numbers(given.get(name, np.nan), n_rows, name)
            for name in self._bundle.context
            if name in given or name not in self.log_numbers.names
        }

    def numbers_of_rows(self, block: Block) -> Numbers:
        """Return the numbers of the context of rows: what they have, and what is counted."""
        left = [name for name in self.log_numbers.names if name not in block.context]
        if not left:
            return block.context
        events = self.items.positions(block.histories.ravel()) + 1
        counted = self.log_numbers.of(
            left,
            self.items.positions(block.targets) + 1,
            block.moments,
            events.reshape(block.histories.shape),
            block.times,
        )
        return {**block.context, **counted}


def some_of(ids: list[Id]) -> str:
    """Say the first of some ids, and how many more there are."""
    # As Python writes them, where a reader could miss one: a blank, a control character, nothing.
    plain = (str(each) for each in ids[:_NAMED])
    shown = ", ".join(each if each.isprintable() and each.strip() else repr(each) for each in plain)
    return shown + (f" and {len(ids) - _NAMED:,} more" if len(ids) > _NAMED else "")


def _numbers(value: object, n_rows: int, name: str) -> Float32:
    try:
        given = np.asanyarray(value)
        # A date is no number, nor is a text among objects, which float() would read as one.
        is_number = given.dtype.kind in "biufO" and not (
            given.dtype.kind == "O" and any(isinstance(each, (str, bytes)) for each in given.flat)
        )
        # A list of one is no number for many.
        fits = is_number and given.shape in ((), (n_rows,))
        # What is masked is missing.
        values = np.ma.filled(given.astype(np.float64), np.nan) if fits else np.zeros(0)
    except (TypeError, ValueError, OverflowError):
        values, fits = np.zeros(0), False
    if not fits:
        raise WrongRequestError(
            f"context {name!r} is {reprlib.repr(value)}; give a number, or one for each of "
            f"{n_rows} candidates"
        )
    finite = finite_numbers(np.atleast_1d(values), f"context {name!r}")
    return np.ascontiguousarray(np.broadcast_to(finite, n_rows))
