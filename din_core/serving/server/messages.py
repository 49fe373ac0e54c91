"""What ``POST /rank`` takes and answers; the OpenAPI page is made of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, StrictStr

Id = StrictInt | StrictStr
Number = StrictInt | StrictFloat


class RankRequest(BaseModel):
    """Who asks, and what is to be ranked."""

    model_config = ConfigDict(extra="forbid")

    user_id: Annotated[Id | None, Field(description="The user; may be unknown to the model")] = None
    history: Annotated[
        list[Id] | None,
        Field(description="Item ids, oldest first; the user's own history where left out"),
    ] = None
    candidates: Annotated[
        list[Id] | None, Field(description="Item ids; the whole catalogue where left out")
    ] = None
    context: Annotated[
        dict[str, Number | list[Number | None] | None] | None,
        Field(
            description="Numbers of the moment by name: one, or one for each candidate; null is a "
            "missing one"
        ),
    ] = None
    at: Annotated[
        Number | None,
        Field(
            description="Moment that numbers of the log are counted for, in seconds since "
            "1970-01-01 UTC; the end of the log where left out"
        ),
    ] = None
    history_times: Annotated[
        list[Number] | None,
        Field(description="When each event of `history` was, likewise; for numbers of the log"),
    ] = None
    k: Annotated[StrictInt, Field(ge=1, le=1_000_000, description="Items to return")] = 10
    exclude_history: Annotated[
        bool, Field(strict=True, description="Leave out what is in the history")
    ] = True
    explain: Annotated[
        bool, Field(strict=True, description="Say for each returned item what each event does")
    ] = False


class Contribution(BaseModel):
    """What one event of the history did to an item's score."""

    item_id: Id
    change: Annotated[
        float, Field(description="The score less what it is without this event; above 0 it raised")
    ]
    attention_weight: Annotated[
        dict[str, float],
        Field(description="By unit, for a model with attention; no shares unless it has a softmax"),
    ]
    is_known: Annotated[bool, Field(description="If not, the event counts for nothing")]


class RankedItem(BaseModel):
    """An item and the model's answer."""

    item_id: Id
    probability: float
    events: Annotated[
        list[Contribution] | None, Field(description="Where `explain` asks for them")
    ] = None


class RankResponse(BaseModel):
    """The best items, best first, and what of the request the model does not know."""

    user_id: Id | None
    user_is_known: bool
    items: list[RankedItem]
    unknown_candidates: list[Id]
    unknown_history: list[Id]
    excluded: list[Id]
    n_candidates: int
    notes: list[str]
    version: Annotated[str, Field(description="The bundle's")]
