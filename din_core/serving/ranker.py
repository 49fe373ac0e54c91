"""Ranking, scoring and explaining with a bundle alone: no database, no torch, no orchestrator.

What a request means, and what can be wrong with one, says :mod:`.resolver`.

Shapes: N candidates, B rows, L events of a history.

Example::

    ranker = Ranker("data/artifacts/bundle/current")
    for item, score in ranker.rank(user_id=42, k=5):
        ...
"""

from __future__ import annotations

import numbers
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from din_core.errors import WrongRequestError
from din_core.folders_in_use import hold_while_alive
from din_core.serving.answers import Event, Explanation, Ranking
from din_core.serving.bundle import contents
from din_core.serving.bundle.contents import Bundle
from din_core.serving.bundle.graphs import Graphs, IndexGraphs, RawGraphs, Sessions
from din_core.serving.bundle.histories import TIMES
from din_core.serving.bundle.ids import Id, as_array, one_id, several_ids
from din_core.serving.bundle.log_numbers import Moment
from din_core.serving.bundle.rows import Rows
from din_core.serving.resolver import Context, Float32, Resolver, some_of

#: Pairs of one user in a row from which on they are ranked together, the history read once.
_PAIRS_OF_ONE_USER = 16
#: Where a k-th part of the candidates is asked for, only that part is sorted.
_SORTED_SHARE = 8


class Ranker:
    """A bundle at work. Calls may come from several threads.

    Args:
        folder: A bundle's folder, or ``current`` beside its versions.
        threads: Threads that work on one call.

    Attributes:
        bundle: The bundle.
        sessions: Its graphs.

    Raises:
        BundleError: The folder holds no bundle, or a file of it is damaged. A graph is looked at
            when it is first used.
    """

    def __init__(self, folder: Path | str, *, threads: int = 1) -> None:
        _check_count(threads, "threads")
        self.bundle = Bundle.open(folder)
        # `din prune` leaves it as long as it is at work, whatever is published by then.
        hold_while_alive(self, self.bundle.folder)
        self._resolver = Resolver(self.bundle)
        self.sessions = Sessions(self.bundle, threads)
        self._graphs: Graphs = (
            RawGraphs(self.bundle, self.sessions)
            if contents.RANK in self.bundle
            else IndexGraphs(self.bundle, self.sessions, self._resolver.items)
        )

    @property
    def version(self) -> str:
        """The bundle's version."""
        return self.bundle.version

    def rank(
        self,
        *,
        user_id: Id | None = None,
        history: Iterable[Id] | None = None,
        candidates: Iterable[Id] | None = None,
        k: int = 10,
        exclude_history: bool = True,
        context: Context | None = None,
        at: Moment | None = None,
        history_times: Iterable[Moment] | None = None,
    ) -> Ranking:
        """Find the best candidates for a user.

        Args:
            user_id: The user, of the type of the log's column. A user who is not known is a user
                of whom nothing is known; None is nobody in particular.
            history: Items that the user touched, oldest first. By default the user's latest events
                in the log that the bundle was made from.
            candidates: Items to choose from; by default all that the model knows.
            k: How many to return; fewer where there are fewer candidates.
            exclude_history: Whether items of the history are no candidates.
            context: The numbers of the moment by name, for a model that takes some: one number, or
                one for each candidate. What is left out or NaN is missing, as in training; but
                numbers of the log (``log_numbers``) that are left out are counted here. An infinite
                one is refused.
            at: The moment that they are counted for, a ``datetime`` or seconds since 1970-01-01
                UTC; by default the end of the log. Only for a model that takes such numbers.
            history_times: When the events of ``history`` were, likewise, one for each.

        Returns:
            The best, best first. Candidates with equal scores keep the order that they came in;
            the whole catalogue comes in the order of the vocabulary.

        Raises:
            WrongRequestError: An argument cannot be used; the message names it.
            BundleError: A file of the bundle is damaged.
        """
        _check_count(k, "k")
        _check_flag(exclude_history, "exclude_history")
        user = self._resolver.user(user_id)
        shown = self._resolver.history(user, history, history_times)
        seen, notes = shown.items, shown.notes
        asked, unknown = self._resolver.candidates(candidates)
        numbers_asked = self._resolver.numbers(asked, shown, context, at)
        kept = (
            self._resolver.outside(asked, seen)
            if exclude_history
            else np.ones(len(asked), dtype=bool)
        )
        excluded = list(dict.fromkeys(asked[~kept].tolist()))
        asked = asked[kept]
        numbers_asked = {name: values[kept] for name, values in numbers_asked.items()}
        if len(asked) == 0:
            notes.append(
                "all candidates are in the history, and exclude_history leaves those out"
                if excluded
                else "there are no candidates"
            )
        scores = self._graphs.rank(self._resolver.or_nobody(user), seen, asked, numbers_asked)
        best = _best(scores, int(k))
        unknown_history = self._resolver.unknown(seen)
        if unknown_history:
            notes.append(
                "the model does not know items of the history, and they count for nothing: "
                f"{some_of(unknown_history)}"
            )
        if unknown:
            notes.append(
                "the model does not know candidates, and all of them have an unknown item's score: "
                f"{some_of(unknown)}"
            )
        return Ranking(
            user_id=user,
            item_id=asked[best],
            probability=scores[best],
            user_is_known=shown.is_known,
            history=seen.tolist(),
            unknown_candidates=unknown,
            unknown_history=unknown_history,
            excluded=excluded,
            n_candidates=len(asked),
            notes=notes,
            version=self.version,
        )

    def score(self, table: Any) -> Float32:
        """Score rows, each a user, a candidate and a history: rows of the table ``samples``.

        Args:
            table: Arrow table, dictionary of columns, data frame, or what else has an Arrow stream.
                Of the columns of ``samples`` it needs ``target_item_id``, ``hist_item_id``,
                ``user_id`` where the model takes the user, and the numbers of the context; others
                are left alone. A missing id or history is NULL, a missing number NULL or NaN.
                Numbers of the log (``log_numbers``) that are no columns are counted, as of ``time``
                (the end of the log where there is no such column) and, where they go by the times
                of the history, of ``hist_time``: lists of seconds since 1970-01-01 UTC.

        Returns:
            float32 ``[B]``, in [0, 1].

        Raises:
            WrongRequestError: A column is missing or of another type.
            BundleError: A file of the bundle is damaged.
        """
        rows = Rows(table, self.bundle)
        blocks = [
            self._graphs.score(
                block.users, block.targets, block.histories, self._resolver.numbers_of_rows(block)
            )
            for block in rows.blocks()
        ]
        return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)

    def score_pairs(
        self,
        user_ids: Iterable[Id],
        item_ids: Iterable[Id],
        context: Context | None = None,
        at: Moment | None = None,
    ) -> Float32:
        """Score pairs of a user and an item, with the users' histories of the bundle.

        Args:
            user_ids: B users.
            item_ids: B items.
            context: As in :meth:`rank`.
            at: As in :meth:`rank`.

        Returns:
            float32 ``[B]``, in [0, 1].

        Raises:
            WrongRequestError: An argument cannot be used; the message names it.
            BundleError: A file of the bundle is damaged.
        """
        users = several_ids(user_ids, self.bundle.user_ids, "user_ids")
        items = several_ids(item_ids, self.bundle.item_ids, "item_ids")
        if len(users) != len(items):
            raise WrongRequestError(f"{len(users)} user_ids and {len(items)} item_ids; give pairs")
        given, moment = (
            self._resolver.given_numbers(context, len(users)),
            self._resolver.log_numbers.moment(at),
        )
        if len(users) == 0:
            return np.zeros(0, np.float32)
        starts = np.flatnonzero(np.r_[True, users[1:] != users[:-1]])
        if len(users) < _PAIRS_OF_ONE_USER * len(starts):
            histories = self._resolver.histories.of_several(users)
            table = {"user_id": users, "target_item_id": items, "hist_item_id": histories, **given}
            if self._resolver.log_numbers.names:
                table["time"] = np.full(len(users), moment)
                table[TIMES] = self._resolver.histories.of_several(users, TIMES)
            return self.score(table)
        scores = np.empty(len(users), np.float32)
        for start, end in zip(starts, [*starts[1:], len(users)], strict=True):
            of_user = slice(start, end)
            user = users[start].item() if self.bundle.user_ids == "int64" else users[start]
            numbers_of_user = {name: values[of_user] for name, values in given.items()}
            shown = self._resolver.history(user, None)
            of_rows = self._resolver.numbers(items[of_user], shown, numbers_of_user, at)
            scores[of_user] = self._graphs.rank(user, shown.items, items[of_user], of_rows)
        return scores

    def explain(
        self,
        *,
        item_id: Id,
        user_id: Id | None = None,
        history: Iterable[Id] | None = None,
        context: Context | None = None,
        at: Moment | None = None,
        history_times: Iterable[Moment] | None = None,
    ) -> Explanation:
        """Say what each event of a history does to a candidate's score.

        The numbers of the context, those of the log among them, stay what they are while an event
        is left out.

        Args:
            item_id: The candidate.
            user_id: As in :meth:`rank`.
            history: As in :meth:`rank`.
            context: As in :meth:`rank`, one number each.
            at: As in :meth:`rank`.
            history_times: As in :meth:`rank`.

        Raises:
            WrongRequestError: An argument cannot be used; the message names it.
            BundleError: A file of the bundle is damaged, or it has no ``explain.onnx``.
        """
        user = self._resolver.user(user_id)
        shown = self._resolver.history(user, history, history_times)
        seen, notes = shown.items, shown.notes
        item = one_id(item_id, self.bundle.item_ids, "item_id")
        candidate = as_array([item], self.bundle.item_ids)
        if self._resolver.unknown(candidate):
            notes.append(f"item {item!r} is unknown to the model")
        feeds = {
            "user_id": as_array([self._resolver.or_nobody(user)], self.bundle.user_ids),
            "history_item_id": seen,
            "candidate_item_id": candidate,
            **self._resolver.numbers(candidate, shown, context, at),
        }
        answer = self.sessions.run(contents.EXPLAIN, feeds)
        probability = float(answer["probability"][0])
        weights = {name: each for name, each in answer.items() if name.startswith(contents.WEIGHT)}
        known = self._resolver.items.positions(seen) >= 0
        events = [
            Event(
                item_id=event,
                change=probability - float(without),
                attention_weight={name: float(each[place]) for name, each in weights.items()},
                is_known=bool(known[place]),
            )
            for place, (event, without) in enumerate(
                zip(seen.tolist(), answer[contents.WITHOUT], strict=True)
            )
        ]
        return Explanation(
            user_id=user,
            item_id=item,
            probability=probability,
            events=events,
            notes=notes,
            version=self.version,
        )


def _check_count(value: object, name: str) -> None:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or int(value) < 1:
        raise WrongRequestError(f"{name} is {value!r}; it is a whole number of at least 1")


def _check_flag(value: object, name: str) -> None:
    if not isinstance(value, (bool, np.bool_)):
        raise WrongRequestError(f"{name} is {value!r}; give True or False")


def _best(scores: Float32, k: int) -> npt.NDArray[np.int64]:
    """Return where the k highest scores stand, the highest first, equal ones in their order."""
    below = -scores
    places = np.arange(len(scores))
    if k * _SORTED_SHARE < len(scores):
        places = np.flatnonzero(below <= np.partition(below, k - 1)[k - 1])
    return places[np.argsort(below[places], kind="stable")][:k]
