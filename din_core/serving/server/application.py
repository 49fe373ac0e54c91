"""The web application: ``POST /rank``, the Open Inference Protocol, and the OpenAPI page."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from din_core.errors import WrongRequestError
from din_core.serving.bundle import contents
from din_core.serving.server import open_inference
from din_core.serving.server.current_bundle import CurrentBundle, LoadedBundle
from din_core.serving.server.messages import Id, RankRequest, RankResponse
from din_core.serving.server.request_size import RequestSizeLimit

#: Fields of a request that hold ids.
_IDS = ("user_id", "history", "candidates")
#: Fields that hold numbers, and what those are.
_NUMBERS = {
    "context": "give a number, or a list with one for each candidate; null is a missing one",
    "at": "give a number, the seconds since 1970-01-01 UTC",
    "history_times": "give numbers, the seconds since 1970-01-01 UTC",
}


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
        if first["loc"] == ("body",):
            return _refusal(
                422,
                "the body is not a JSON object; send one, with content-type: application/json",
                "body",
            )
        # ("body", "candidates", 3, "int"): where in the body; names of types tell nobody anything.
        place = [str(part) for part in first["loc"][1:] if part not in ("int", "str", "float")]
        field = ".".join(place) or "body"
        if first["type"] == "extra_forbidden":
            known = ", ".join(RankRequest.model_fields)
            return _refusal(422, f"{field}: no such field; there are {known}", field)
        if place[:1] and place[0] in _IDS and first["type"] in ("int_type", "string_type"):
            return _refusal(422, f"{field}: an id is an integer or text", field)
        # Of a field that may be of several types pydantic names but the first.
        if place[:1] and place[0] in _NUMBERS and first["type"] == "int_type":
            return _refusal(422, f"{field}: {_NUMBERS[place[0]]}", field)
        return _refusal(422, f"{field}: {first['msg']}", field)

    def refused(_: Request, error: Exception) -> Response:
        sentence = str(error)
        named = re.match(r"[a-z_]+", sentence)
        field = named.group() if named and named.group() in RankRequest.model_fields else None
        return _refusal(400, sentence, field)

    def other(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        # FastAPI says no more than that there was an error: nested too deeply, no UTF-8, a number
        # of thousands of digits.
        if error.status_code == 400 and isinstance(error.__cause__, (RecursionError, ValueError)):
            return _refusal(400, f"the body cannot be read as JSON: {error.__cause__}", "body")
        asked = f"{request.method} {request.url.path}"
        sentence = {
            404: f"there is no route {asked}; /openapi.json lists all",
            405: f"{request.url.path} takes no {request.method}; /openapi.json says what it takes",
        }.get(error.status_code, str(error.detail))
        response = _refusal(error.status_code, sentence, None)
        response.headers.update(error.headers or {})
        return response

    app.add_exception_handler(HTTPException, other)
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
        files = bundle.ranker.bundle
        if asked.explain and contents.EXPLAIN not in files:
            why = files.about["left_out"].get(contents.EXPLAIN, "it was made without")
            raise WrongRequestError(f"explain: this bundle has no {contents.EXPLAIN}: {why}")
        context = _context(asked)
        if asked.explain and any(isinstance(each, list) for each in context.values()):
            _check_one_moment_each(asked.candidates)
        ranking = bundle.ranker.rank(
            user_id=asked.user_id,
            history=asked.history,
            candidates=asked.candidates,
            k=asked.k,
            exclude_history=asked.exclude_history,
            context=context,
            at=asked.at,
            history_times=asked.history_times,
        )
        answer = ranking.to_dict()
        if asked.explain:
            for item in answer["items"]:
                item["events"] = _events(bundle, asked, item["item_id"])
        return RankResponse(**answer)

    app.post("/rank", response_model_exclude_none=True)(rank)


def _check_one_moment_each(candidates: list[Id] | None) -> None:
    """Refuse to explain where it is not clear which number of the moment is an item's."""
    if candidates is None:
        raise WrongRequestError(
            "candidates: left out, and context has a number for each of them; name them, so that "
            "each explanation goes by its own"
        )
    if len(set(candidates)) < len(candidates):
        twice = next(each for each in candidates if candidates.count(each) > 1)
        raise WrongRequestError(
            f"candidates: {twice!r} is there twice, and context has a number for each; explain one "
            "of them at a time"
        )


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
        else (math.nan if numbers is None else numbers)
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

    # Also with HEAD, by which load balancers ask whether a server is there.
    def get(path: str, answer: Callable[..., Any]) -> None:
        app.get(path, tags=["v2"])(answer)
        app.head(path, include_in_schema=False)(answer)

    get("/v2", server)
    get("/v2/health/live", live)
    get("/v2/health/ready", ready)
    for path in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        get(path, model)
        get(f"{path}/ready", model_ready)
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
