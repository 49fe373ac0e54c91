"""All graphs of a bundle: from a saved model and its vocabularies to files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import helper

from din_core.serving.graphs.explain_graph import explain_graph
from din_core.serving.graphs.id_tables import Source, read
from din_core.serving.graphs.index_graph import index_graph
from din_core.serving.graphs.rank_graph import rank_graph
from din_core.serving.graphs.raw_ids import take_ids
from din_core.serving.graphs.score_graph import score_graph
from din_core.serving.graphs.tracing import OPSET, require_writable, write_graph
from din_core.serving.saved_models import SavedModel

FORMAT = 1
#: What a graph of each name is traced from, and how its inputs of indices are called as ids.
_IN_IDS: dict[str, tuple[Callable[[Source], onnx.ModelProto], dict[str, str]]] = {
    "rank.onnx": (
        rank_graph,
        {
            "history_item_idx": "history_item_id",
            "candidate_item_idx": "candidate_item_id",
            "user_idx": "user_id",
        },
    ),
    "score.onnx": (
        score_graph,
        {
            "target_item_idx": "target_item_id",
            "hist_item_idx": "hist_item_id",
            "user_idx": "user_id",
        },
    ),
    "explain.onnx": (
        explain_graph,
        {
            "history_item_idx": "history_item_id",
            "candidate_item_idx": "candidate_item_id",
            "user_idx": "user_id",
        },
    ),
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
    source = Source(model, tables, ids, list(vocabulary.context_dense), max_history)
    folder.mkdir(parents=True, exist_ok=True)
    require_writable(model, folder / "din.onnx")
    metadata = {
        "data_version": data_version,
        "format": str(FORMAT),
        "history_order": "oldest first",
        "max_history": str(max_history),
        "opset": str(OPSET),
    }
    graphs = {"din.onnx": index_graph(model)}
    in_indices = {name: trace(source) for name, (trace, _) in _IN_IDS.items()}
    graphs["rank_indices.onnx"] = onnx.ModelProto.FromString(
        in_indices["rank.onnx"].SerializeToString()
    )
    for graph in graphs.values():
        _describe(graph, {**metadata, "padding": "0"})
    why_not = _why_not(source)
    if why_not is None:
        padding = {f"padding_of_{each.kind}_id": str(each.padding) for each in ids}
        for name, graph in in_indices.items():
            for each in ids:
                take_ids(graph, _IN_IDS[name][1], each)
            _describe(graph, {**metadata, **padding, "padding": str(ids[0].padding)})
            graphs[name] = graph
    for name, graph in graphs.items():
        write_graph(graph, folder / name)
    return GraphReport(
        sizes={name: (folder / name).stat().st_size for name in graphs},
        differences={},
        left_out={} if why_not is None else dict.fromkeys(_IN_IDS, why_not),
        padding={f"{each.kind}_id": each.padding for each in ids},
        id_types={f"{each.kind}_id": "string" if each.are_strings else "int64" for each in ids},
        max_history=max_history,
    )


def _describe(graph: onnx.ModelProto, metadata: dict[str, str]) -> None:
    helper.set_model_props(graph, dict(sorted(metadata.items())))


def _why_not(source: Source) -> str | None:
    """Why graphs do not hold the ids, where they do not."""
    n_ids = sum(len(each.keys) for each in source.ids)
    if n_ids > MOST_IDS:
        return (
            f"{n_ids:,} ids, and a graph holds up to {MOST_IDS:,}: map ids to indices by the "
            "vocabularies and use rank_indices.onnx and din.onnx, as Ranker does"
        )
    n_bytes = sum(each.n_bytes for each in source.ids)
    if n_bytes > MOST_ID_BYTES:
        return (
            f"ids of {n_bytes / 2**20:,.0f} MiB, and a graph holds up to "
            f"{MOST_ID_BYTES / 2**20:,.0f}: map ids to indices by the vocabularies and use "
            "rank_indices.onnx and din.onnx, as Ranker does"
        )
    return None
