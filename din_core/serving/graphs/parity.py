"""The proof that an exported graph predicts what torch predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from din_core.network.features import DenseFeature
from din_core.network.models import ClickModel
from din_core.serving.graphs.id_tables import Source
from din_core.serving.graphs.random_inputs import random_inputs
from din_core.serving.graphs.requests import (
    Request,
    answers_in_torch,
    as_ids,
    as_indices,
    random_request,
)
from din_core.serving.graphs.tracing import (
    OUTPUT_NAME,
    Array,
    ExportError,
    ready_for_export,
    session_on,
)

#: Difference of two probabilities up to which they count as equal: some hundred roundings of
#: float32, which both sides compute in whatever the weights were trained in.
PARITY_TOLERANCE = 1e-5

#: Events and candidates of the requests that graphs in ids are asked.
_REQUESTS = ((0, 1), (1, 7), (200, 40), (50, 300), (3, 4096))
_EXPLAINED = 60


def require_parity(model: ClickModel, path: Path | str) -> float:
    """Refuse an exported graph that does not predict what the model predicts.

    Args:
        model: The model that was exported.
        path: What :func:`export_onnx` wrote.

    Returns:
        The largest absolute difference of two probabilities, at most :data:`PARITY_TOLERANCE`.

    Raises:
        ExportError: The difference is larger, or a prediction is NaN.
    """
    return _require_small(parity(model, path), Path(path).name)


def require_parity_of_all(source: Source, folder: Path) -> dict[str, float]:
    """Refuse graphs in ids of which one does not predict what the model predicts.

    Every graph is asked the same random requests as the model is in torch, on flat histories:
    histories of 0 to 200 events, 1 to 4,096 candidates, a tenth of all ids unknown, among them the
    ends of int64, and strings that differ from known ones by a character.

    Args:
        source: What the graphs were made from.
        folder: Where they are; those that are not there are not asked.

    Returns:
        File name to the largest absolute difference of two probabilities.

    Raises:
        ExportError: A difference above :data:`PARITY_TOLERANCE`, or NaN.
    """
    random = np.random.default_rng(2022)
    differences: dict[str, float] = {}

    def compare(name: str, answers: Array, expected: Array) -> None:
        difference = float(np.abs(answers - expected).max(initial=0.0))
        differences[name] = float(np.maximum(differences.get(name, 0.0), difference))  # keeps NaN

    sessions = {
        name: session_on(folder / name)
        for name in ("rank.onnx", "rank_indices.onnx", "score.onnx", "explain.onnx")
        if (folder / name).is_file()
    }
    with ready_for_export(source.model), torch.no_grad():
        for length, n_candidates in _REQUESTS:
            request = random_request(source, length, n_candidates, random)
            counted = request.counted(source.max_history)
            expected = answers_in_torch(source, [counted] * n_candidates, request)
            for name in sessions.keys() & {"rank.onnx", "rank_indices.onnx"}:
                feed = _of_one_user(source, request, random, in_ids=name == "rank.onnx")
                compare(name, _answers(sessions[name], feed)[0], expected)
            if "score.onnx" in sessions:
                feed = _of_rows(source, request, random)
                compare("score.onnx", _answers(sessions["score.onnx"], feed)[0], expected)
        if "explain.onnx" in sessions:
            request = random_request(source, _EXPLAINED, 1, random)
            feed = _of_one_user(source, request, random, in_ids=True)
            whole, without, *_ = _answers(sessions["explain.onnx"], feed)
            parts = _without_each(request.history, source.max_history)
            expected = answers_in_torch(source, parts, request.for_rows(len(parts)))
            compare("explain.onnx", np.concatenate([whole, without]), expected)
    for name, difference in sorted(differences.items()):
        _require_small(difference, name)
    return differences


def _without_each(history: Array, max_history: int) -> list[Array]:
    """The events that count, then the same without each event of the history."""
    places = np.flatnonzero(history)[-max_history:]
    return [history[places], *(history[places[places != place]] for place in range(len(history)))]


def _of_one_user(
    source: Source, request: Request, random: np.random.Generator, *, in_ids: bool
) -> dict[str, Array]:
    """The request as one user and many candidates."""
    ending, named = ("id", as_ids) if in_ids else ("idx", as_indices)
    items, *users = source.ids
    feed = {
        f"history_item_{ending}": named(items, request.history, random),
        f"candidate_item_{ending}": named(items, request.candidates, random),
        **request.numbers,
    }
    if users:
        feed[f"user_{ending}"] = named(users[0], np.array([request.user]), random)
    return feed


def _of_rows(source: Source, request: Request, random: np.random.Generator) -> dict[str, Array]:
    """The request as rows that each have the history."""
    items, *users = source.ids
    n_rows = len(request.candidates)
    feed = {
        "target_item_id": as_ids(items, request.candidates, random),
        "hist_item_id": np.tile(as_ids(items, request.history, random), (n_rows, 1)),
        **request.numbers,
    }
    if users:
        feed["user_id"] = as_ids(users[0], np.full(n_rows, request.user), random)
    return feed


def _answers(session: onnxruntime.InferenceSession, feed: Mapping[str, Array]) -> list[Array]:
    return cast("list[Array]", session.run(None, feed))


def _require_small(difference: float, name: str) -> float:
    if not difference <= PARITY_TOLERANCE:
        raise ExportError(
            f"{name}: a probability of the exported graph differs from PyTorch's by "
            f"{difference:.2g}, and {PARITY_TOLERANCE:g} is allowed: nothing is published. Weights "
            "that are huge or NaN do this (lower learning_rate and train again); otherwise it is "
            "a fault of the export, so please report it with the versions of torch and onnxruntime"
        )
    return difference


def parity(
    model: ClickModel,
    path: Path | str,
    shapes: Sequence[tuple[int, int]] = ((1, 0), (1, 1), (7, 200), (512, 50), (4096, 2)),
    seed: int = 2022,
) -> float:
    """Compare the exported graph in onnxruntime with the model on flat histories in torch.

    Args:
        model: The model that was exported.
        path: What :func:`export_onnx` wrote.
        shapes: B and L to try.
        seed: Seed of the random inputs: a third of the positions is padding, a tenth of all
            indices lies outside its table, and a tenth of the normalised numbers is missing.

    Returns:
        The largest absolute difference of two probabilities; NaN where one of them is.
    """
    session = session_on(path)
    random = np.random.default_rng(seed)
    largest = 0.0
    with ready_for_export(model) as model, torch.no_grad():
        for n_samples, length in shapes:
            inputs = random_inputs(model, n_samples, length, random)
            for feature in model.embedding.features:
                _scatter_unknown(inputs[feature.name], feature.vocab_size, random)
            for feature in model.input_features:
                if isinstance(feature, DenseFeature) and feature.normalization is not None:
                    _scatter(inputs[feature.name], [np.nan, np.inf, -np.inf], random)
            expected = model({name: torch.from_numpy(each) for name, each in inputs.items()})
            outputs = cast("list[Array]", session.run([OUTPUT_NAME], inputs))
            difference = np.abs(outputs[0] - expected.numpy())
            largest = float(np.maximum(largest, difference.max(initial=0.0)))  # keeps NaN
    return largest


def _scatter_unknown(indices: Array, n_rows: int, random: np.random.Generator) -> None:
    """Overwrite a tenth of the indices with some that a table of ``n_rows`` rows lacks."""
    limits = np.iinfo(np.int64)
    outside = [-1, -n_rows, n_rows, 2 * n_rows, int(limits.min), int(limits.max)]
    _scatter(indices, outside, random)


def _scatter(values: Array, among: Sequence[float], random: np.random.Generator) -> None:
    """Overwrite a tenth of the values with some of the others."""
    here = random.random(values.shape) < 1 / 10
    values[here] = random.choice(np.array(among), int(here.sum()))


def difference_on(model: ClickModel, path: Path | str, inputs: Mapping[str, Tensor]) -> float:
    """Compare the exported graph with the model on inputs that are at hand.

    Args:
        model: The model that was exported.
        path: What :func:`export_onnx` wrote.
        inputs: Feature name to tensor, in the types of the graph's inputs.

    Returns:
        The largest absolute difference of two probabilities; NaN where one of them is.
    """
    arrays = {name: each.numpy() for name, each in inputs.items()}
    with ready_for_export(model) as model, torch.no_grad():
        expected = model(inputs).numpy()
    outputs = cast("list[Array]", session_on(path).run([OUTPUT_NAME], arrays))
    return float(np.abs(outputs[0] - expected).max(initial=0.0))
