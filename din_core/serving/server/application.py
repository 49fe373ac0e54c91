"""The web application: ``POST /rank``, the Open Inference Protocol, and the OpenAPI page."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, StrictStr

from din_core.errors import WrongRequestError
from din_core.serving.server import open_inference
from din_core.serving.server.current_bundle import CurrentBundle, LoadedBundle
from din_core.serving.server.request_size import RequestSizeLimit

Id = StrictInt | StrictStr
Number = StrictInt | StrictFloat


@dataclass(frozen=True)
class Limits:
    """What a request may ask for.

    Attributes:
        max_request_bytes: Size of a body.
        max_history: Events that a request may bring; the model looks at the latest ones only.
        max_explained: Ranks that are explained in one request: each costs as much as scoring one
            candidate for every event of the history.
        refresh_seconds: How often the server looks for another bundle.
    """

    max_request_bytes: int = 8 << 20
    max_history: int = 10_000
    max_explained: int = 20
    refresh_seconds: float = 1.0


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
        dict[str, Number | list[Number | None]] | None,
        Field(description="Numbers of the moment by name: one, or one for each candidate"),
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


def create_app(pointer: Path, limits: Limits | None = None) -> FastAPI:
    """Make the application of a bundle.

    Args:
        pointer: A bundle's folder, or the link ``current``; a link is followed again when it leads
            elsewhere.
        limits: What a request may ask for.

    Raises:
        DinError: There is no bundle, or it is damaged.
    """
    limits = limits or Limits()
    current = CurrentBundle(pointer)

    @asynccontextmanager
    async def watching(_: FastAPI) -> AsyncGenerator[None]:
        current.watch(limits.refresh_seconds)
        yield
        current.close()

    app = FastAPI(
        title="din-assets",
        summary="Ranks items for a user by a Deep Interest Network.",
        version=current.get().version,
        lifespan=watching,
    )
    app.add_middleware(RequestSizeLimit, max_bytes=limits.max_request_bytes)
    _answer_errors(app)
    _add_rank(app, current, limits)
    _add_protocol(app, current)
    return app


def _answer_errors(app: FastAPI) -> None:
    """One shape for every refusal: ``{"error": sentence, "field": place}``."""

    def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return _refusal(400, f"the body is not JSON: {first['ctx']['error']}", "body")
        # ("body", "candidates", 3, "int"): where in the body; names of types tell nobody anything.
        place = [str(part) for part in first["loc"][1:] if part not in ("int", "str", "float")]
        field = ".".join(place) or "body"
        if first["type"] == "extra_forbidden":
            known = ", ".join(RankRequest.model_fields)
            return _refusal(422, f"{field}: no such field; there are {known}", field)
        return _refusal(422, f"{field}: {first['msg']}", field)

    def refused(_: Request, error: Exception) -> Response:
        sentence = str(error)
        named = re.match(r"[a-z_]+", sentence)
        field = named.group() if named and named.group() in RankRequest.model_fields else None
        return _refusal(400, sentence, field)

    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(WrongRequestError, refused)


def _refusal(status: int, sentence: str, field: str | None) -> JSONResponse:
    content = {"error": sentence} if field is None else {"error": sentence, "field": field}
    return JSONResponse(content, status_code=status)


def _add_rank(app: FastAPI, current: CurrentBundle, limits: Limits) -> None:
    def rank(asked: RankRequest) -> RankResponse:
        """Rank candidates for a user, best first."""
        bundle = current.get()
        if asked.history is not None and len(asked.history) > limits.max_history:
            raise WrongRequestError(
                f"history: {len(asked.history):,} events, and {limits.max_history:,} are allowed; "
                "send the latest ones"
            )
        if asked.explain and asked.k > limits.max_explained:
            raise WrongRequestError(
                f"k: {asked.k} items are to be explained, and {limits.max_explained} are allowed"
            )
        ranking = bundle.ranker.rank(
            user_id=asked.user_id,
            history=asked.history,
            candidates=asked.candidates,
            k=asked.k,
            exclude_history=asked.exclude_history,
            context=_context(asked),
            at=asked.at,
            history_times=asked.history_times,
        )
        answer = ranking.to_dict()
        if asked.explain:
            for item in answer["items"]:
                item["events"] = _events(bundle, asked, item["item_id"])
        return RankResponse(**answer)

    app.post("/rank", response_model_exclude_none=True)(rank)


def _events(bundle: LoadedBundle, asked: RankRequest, item: int | str) -> list[dict[str, Any]]:
    """What each event of the history does to an item's score."""
    context = {
        name: numbers[asked.candidates.index(item)]
        if isinstance(numbers, list) and asked.candidates is not None
        else numbers
        for name, numbers in _context(asked).items()
    }
    explanation = bundle.ranker.explain(
        user_id=asked.user_id,
        item_id=item,
        history=asked.history,
        context=context,
        at=asked.at,
        history_times=asked.history_times,
    )
    return explanation.to_dict()["events"]


def _context(asked: RankRequest) -> dict[str, Any]:
    """The numbers of the context; what is null is missing, as NaN."""
    return {
        name: [math.nan if each is None else each for each in numbers]
        if isinstance(numbers, list)
        else numbers
        for name, numbers in (asked.context or {}).items()
    }


def _add_protocol(app: FastAPI, current: CurrentBundle) -> None:
    def session_of(name: str, version: str | None) -> LoadedBundle | JSONResponse:
        bundle = current.get()
        if name not in bundle.sessions:
            return _refusal(404, f"model {name!r} is none of {sorted(bundle.sessions)}", "model")
        if version not in (None, bundle.version):
            return _refusal(
                404, f"version {version!r} is not served, {bundle.version!r} is", "version"
            )
        return bundle

    def live() -> dict[str, bool]:
        return {"live": True}

    def ready() -> dict[str, bool]:
        return {"ready": True}

    def server() -> dict[str, Any]:
        return {"name": "din-assets", "version": current.get().version, "extensions": _EXTENSIONS}

    def model(name: str, version: str | None = None) -> Response:
        bundle = session_of(name, version)
        if isinstance(bundle, JSONResponse):
            return bundle
        return JSONResponse(open_inference.metadata(name, bundle.version, bundle.sessions[name]))

    def model_ready(name: str, version: str | None = None) -> Response:
        bundle = session_of(name, version)
        if isinstance(bundle, JSONResponse):
            return bundle
        return JSONResponse({"name": name, "ready": True})

    async def infer(request: Request, name: str, version: str | None = None) -> Response:
        bundle = session_of(name, version)
        if isinstance(bundle, JSONResponse):
            return bundle
        body = await request.body()
        return await run_in_threadpool(_infer, bundle, name, request.headers, body)

    app.get("/v2", tags=["v2"])(server)
    app.get("/v2/health/live", tags=["v2"])(live)
    app.get("/v2/health/ready", tags=["v2"])(ready)
    for path in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        app.get(path, tags=["v2"])(model)
        app.get(f"{path}/ready", tags=["v2"])(model_ready)
        app.post(f"{path}/infer", tags=["v2"])(infer)


_EXTENSIONS = ["binary_tensor_data"]


def _infer(bundle: LoadedBundle, name: str, headers: Mapping[str, str], body: bytes) -> Response:
    session = bundle.sessions[name]
    length = headers.get(open_inference.HEADER_LENGTH)
    if length is not None and not length.isdigit():
        raise WrongRequestError(
            f"{open_inference.HEADER_LENGTH}: {length!r} is not a number of bytes"
        )
    asked, arrays = open_inference.read_request(
        body, None if length is None else int(length), session
    )
    content, n_json = open_inference.answer(asked, arrays, name, bundle.version, session)
    if n_json is None:
        return Response(content, media_type="application/json")
    return Response(
        content,
        media_type="application/octet-stream",
        headers={open_inference.HEADER_LENGTH: str(n_json)},
    )
