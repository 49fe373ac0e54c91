"""What a served model answers: a ranking, or an explanation of one score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from din_core.serving.bundle.ids import Id, Ids

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The best candidates for a user.

    Attributes:
        user_id: The user, as asked for; None where nobody was named.
        item_id: The best candidates, best first, at most k: int64, or text as objects.
        probability: Their scores in the same order, float32, in [0, 1].
        user_is_known: Whether the bundle knows the user.
        history: The user's history as it was given or found, oldest first; the model counts the
            latest ``max_history`` events of items that it knows.
        unknown_candidates: Candidates that the model never saw: their scores are an unknown item's.
        unknown_history: Items of the history that it never saw: they count for nothing.
        excluded: Candidates that were left out, since they are in the history.
        n_candidates: Candidates that were scored.
        notes: What a reader of the answer should know about it, in sentences.
        version: The bundle's version.
    """

    user_id: Id | None
    item_id: Ids
    probability: Float32
    user_is_known: bool
    history: list[Id]
    unknown_candidates: list[Id]
    unknown_history: list[Id]
    excluded: list[Id]
    n_candidates: int
    notes: list[str]
    version: str

    def __iter__(self) -> Iterator[tuple[Id, float]]:
        """Item and score, best first."""
        return iter(zip(self.item_id.tolist(), self.probability.tolist(), strict=True))

    def __len__(self) -> int:
        """Items of the answer."""
        return len(self.item_id)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        items = [{"item_id": item, "probability": score} for item, score in self]
        others = {
            name: value
            for name, value in vars(self).items()
            if name not in ("item_id", "probability")
        }
        return {"items": items, **others}


@dataclass(frozen=True, kw_only=True)
class Event:
    """What one event of the history did to a score.

    Attributes:
        item_id: The item.
        change: The probability less what it is without this event: above 0, the event raised it.
        attention_weight: What the attention made of it, by unit, for a model with attention. They
            are no shares unless the model has a softmax: they need not add up to one.
        is_known: Whether the model ever saw the item; if not, the event counts for nothing.
    """

    item_id: Id
    change: float
    attention_weight: Mapping[str, float]
    is_known: bool


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why a candidate has its score.

    Attributes:
        user_id: The user, as asked for; None where nobody was named.
        item_id: The candidate.
        probability: Its score, in [0, 1].
        events: The history that the model was shown, oldest first.
        notes: What a reader of the answer should know about it, in sentences.
        version: The bundle's version.
    """

    user_id: Id | None
    item_id: Id
    probability: float
    events: list[Event]
    notes: list[str]
    version: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {**vars(self), "events": [vars(each) for each in self.events]}
