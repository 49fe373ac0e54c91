"""All graphs of a bundle: from a saved model and its vocabularies to files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import onnx
from onnx import helper

from din_core.serving.graphs import tracing
from din_core.serving.graphs.explain_graph import explain_graph
from din_core.serving.graphs.id_tables import Source, read
from din_core.serving.graphs.index_graph import index_graph
from din_core.serving.graphs.parity import require_parity, require_parity_of_all
from din_core.serving.graphs.rank_graph import rank_graph, ranked_in_blocks
from din_core.serving.graphs.raw_ids import take_ids, take_indices
from din_core.serving.graphs.score_graph import score_graph
from din_core.serving.graphs.tracing import (
    OPSET,
    ExportError,
    require_writable,
    weight_bytes,
    write_graph,
)
from din_core.serving.saved_models import SavedModel
from din_core.store import artifacts

_Trace = Callable[[Source], onnx.ModelProto]
_Finish = Callable[[onnx.ModelProto, Source], onnx.ModelProto]

FORMAT = 1
_OF_ONE_USER = {
    "user_idx": "user_id",
    "history_item_idx": "history_item_id",
    "candidate_item_idx": "candidate_item_id",
}
#: Graphs that take ids, and what their inputs of indices are called then.
_IN_IDS = {
    "rank.onnx": _OF_ONE_USER,
    "score.onnx": {
        "user_idx": "user_id",
        "target_item_idx": "target_item_id",
        "hist_item_idx": "hist_item_id",
    },
    "explain.onnx": _OF_ONE_USER,
}
#: Most ids of items and users together that a graph holds, and their most bytes. At the limit of
#: ids onnxruntime takes some 0.3 s and 150 MB for numbers and 1.1 s and 600 MB for texts, in each
#: process and for each of the graphs.
MOST_IDS = 2_000_000
MOST_ID_BYTES = 2**28


@dataclass(frozen=True)
class GraphReport:
    """What was written.

    Attributes:
        sizes: File name to its size in bytes.
        differences: File name to the largest difference of a probability from the model's.
        left_out: File name to a sentence that says why it is not there.
        padding: Name of the id (``item_id``, and ``user_id`` where the model takes the user) to an
            id that no item or user has: what fills a rectangle of ids.
        id_types: Name of the id to ``int64`` or ``string``.
        max_history: Latest events that count.
    """

    sizes: dict[str, int]
    differences: dict[str, float]
    left_out: dict[str, str]
    padding: dict[str, int | str]
    id_types: dict[str, str]
    max_history: int


def write_all(
    saved: SavedModel,
    vocabularies: Path,
    folder: Path,
    *,
    max_history: int,
    data_version: str = "",
) -> GraphReport:
    """Write the graphs of a bundle and hold each against the model.

    Args:
        saved: The model.
        vocabularies: The folder of the Parquet files beside it.
        folder: Where the files go; made where it does not exist.
        max_history: Events of a history that the model was trained with: the option of `samples`.
        data_version: Of the model, for the graphs' metadata.

    Returns:
        What was written, and what was not.

    Raises:
        ExportError: The model does not fit into a file, the vocabularies are not its own, or a
            graph predicts otherwise than the model.
    """
    model, vocabulary = saved.model, saved.vocabulary
    with_users = saved.config.use_user or vocabulary.describes_users
    tables, ids = read(vocabulary, vocabularies, with_users=with_users)
    source = Source(model, tables, ids, saved.context, max_history)
    _refuse_clashes(saved.context)
    folder.mkdir(parents=True, exist_ok=True)
    require_writable(model, folder / "din.onnx")
    metadata = {
        "data_version": data_version,
        "format": str(FORMAT),
        "history_order": "oldest first",
        "max_history": str(max_history),
        "opset": str(OPSET),
    }
    left_out = _left_out(source)
    sizes: dict[str, int] = {}
    # One at a time: each holds all weights.
    for name, graph in _graphs(source, _MADE.keys() - left_out.keys()):
        for each in ids if name in _IN_IDS else ():
            take_ids(graph, _IN_IDS[name], each)
        padding = str(ids[0].padding) if name in _IN_IDS else "0"
        helper.set_model_props(graph, dict(sorted({**metadata, "padding": padding}.items())))
        sizes[name] = write_graph(graph, folder / name).stat().st_size
    return GraphReport(
        sizes=sizes,
        differences={
            "din.onnx": require_parity(model, folder / "din.onnx"),
            **require_parity_of_all(source, folder),
        },
        left_out=left_out,
        padding={f"{each.kind}_id": each.padding for each in ids},
        id_types={f"{each.kind}_id": "string" if each.are_strings else "int64" for each in ids},
        max_history=max_history,
    )


def _refuse_clashes(context: list[str]) -> None:
    taken = {name for renamed in _IN_IDS.values() for pair in renamed.items() for name in pair}
    if clashes := [name for name in context if name in taken]:
        raise ExportError(
            f"the number '{clashes[0]}' of the context has the name of an input of the graphs in "
            "ids; rename the column"
        )


def _graphs(source: Source, wanted: Iterable[str]) -> Iterator[tuple[str, onnx.ModelProto]]:
    """Graphs in indices by their names; graphs that are made of one trace share it."""
    of_trace: dict[_Trace, list[str]] = {}
    for name in sorted(wanted):
        of_trace.setdefault(_MADE[name].trace, []).append(name)
    for trace, names in of_trace.items():
        traced = _same_twice(names[0], partial(trace, source))
        for name in names:
            finish = _MADE[name].finish
            made = finish and _same_twice(name, partial(_finished, finish, traced, source))
            yield name, made or traced


def _same_twice(name: str, make: Callable[[], onnx.ModelProto]) -> onnx.ModelProto:
    """What is made, if it has the same bytes when it is made again."""
    graph = make()
    content = artifacts.digest(graph.SerializeToString(deterministic=True))
    if content != artifacts.digest(make().SerializeToString(deterministic=True)):
        raise ExportError(
            f"{name}: made twice from the same weights, it has other bytes; nothing is published. "
            "Please report it with the versions of torch and onnx"
        )
    return graph


def _finished(finish: _Finish, traced: onnx.ModelProto, source: Source) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(traced)
    return finish(copy, source)


def _ranked_in_indices(graph: onnx.ModelProto, source: Source) -> onnx.ModelProto:
    n_items = len(source.ids[0].keys)
    sizes = {f"{each.kind}_idx": len(each.keys) for each in source.ids}
    take_indices(graph, {**sizes, "history_item_idx": n_items, "candidate_item_idx": n_items})
    return ranked_in_blocks(graph, source)


@dataclass(frozen=True)
class _Made:
    """How a graph is made.

    Attributes:
        trace: Traces the model, which takes most of the time.
        finish: Makes the graph of a copy of the trace; None where the trace is the graph, and no
            other graph shares it.
    """

    trace: _Trace
    finish: _Finish | None = None


def _index_graph(source: Source) -> onnx.ModelProto:
    return index_graph(source.model)


_MADE = {
    "din.onnx": _Made(_index_graph),
    "rank.onnx": _Made(rank_graph, ranked_in_blocks),
    "rank_indices.onnx": _Made(rank_graph, _ranked_in_indices),
    "score.onnx": _Made(score_graph),
    "explain.onnx": _Made(explain_graph),
}


def _left_out(source: Source) -> dict[str, str]:
    """Which graphs are not written, and why."""
    n_bytes = weight_bytes(source.model) + source.tables.n_bytes
    if n_bytes > tracing.LARGEST_FILE:
        why_not = (
            f"weights and what describes items and users take {n_bytes / 2**30:.1f} GiB, and an "
            "ONNX file holds 2 GiB: use din.onnx"
        )
        return dict.fromkeys([*_IN_IDS, "rank_indices.onnx"], why_not)
    n_ids = sum(len(each.keys) for each in source.ids)
    id_bytes = sum(each.n_bytes for each in source.ids)
    instead = (
        "map ids to indices by the vocabularies and use rank_indices.onnx and din.onnx, as Ranker "
        "does"
    )
    why_not = None
    if n_ids > MOST_IDS:
        why_not = f"{n_ids:,} ids, and a graph holds up to {MOST_IDS:,}: {instead}"
    elif id_bytes > MOST_ID_BYTES:
        of = f"ids of {id_bytes / 2**20:,.0f} MiB, and a graph holds up to"
        why_not = f"{of} {MOST_ID_BYTES / 2**20:,.0f}: {instead}"
    elif n_bytes + id_bytes + 16 * n_ids > tracing.LARGEST_FILE:
        total = (n_bytes + id_bytes + 16 * n_ids) / 2**30
        why_not = f"weights and ids take {total:.1f} GiB, and an ONNX file holds 2 GiB: {instead}"
    return {} if why_not is None else dict.fromkeys(_IN_IDS, why_not)
