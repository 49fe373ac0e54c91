"""All graphs of a bundle: from a saved model and its vocabularies to files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import helper

from din_core.serving.graphs.explain_graph import explain_graph
from din_core.serving.graphs.id_tables import Source, read
from din_core.serving.graphs.index_graph import index_graph
from din_core.serving.graphs.parity import require_parity, require_parity_of_all
from din_core.serving.graphs.rank_graph import rank_graph, ranked_in_blocks
from din_core.serving.graphs.raw_ids import take_ids, take_indices
from din_core.serving.graphs.score_graph import score_graph
from din_core.serving.graphs.tracing import OPSET, ExportError, require_writable, write_graph
from din_core.serving.saved_models import SavedModel

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
    source = Source(model, tables, ids, list(vocabulary.context_dense), max_history)
    _refuse_clashes(list(vocabulary.context_dense))
    folder.mkdir(parents=True, exist_ok=True)
    require_writable(model, folder / "din.onnx")
    metadata = {
        "data_version": data_version,
        "format": str(FORMAT),
        "history_order": "oldest first",
        "max_history": str(max_history),
        "opset": str(OPSET),
    }
    graphs = _traced_twice(source)
    why_not = _why_not(source)
    for name, renamed in _IN_IDS.items():
        if why_not is not None:
            del graphs[name]
            continue
        for each in ids:
            take_ids(graphs[name], renamed, each)
    for name, graph in graphs.items():
        padding = str(ids[0].padding) if name in _IN_IDS else "0"
        helper.set_model_props(graph, dict(sorted({**metadata, "padding": padding}.items())))
        write_graph(graph, folder / name)
    return GraphReport(
        sizes={name: (folder / name).stat().st_size for name in graphs},
        differences={
            "din.onnx": require_parity(model, folder / "din.onnx"),
            **require_parity_of_all(source, folder),
        },
        left_out={} if why_not is None else dict.fromkeys(_IN_IDS, why_not),
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


def _traced_twice(source: Source) -> dict[str, onnx.ModelProto]:
    """All graphs in indices by file name, the same bytes twice."""
    graphs, again = _traced(source), _traced(source)
    for name, graph in graphs.items():
        content, other = (
            each.SerializeToString(deterministic=True) for each in (graph, again[name])
        )
        if content != other:
            raise ExportError(
                f"{name}: made twice from the same weights, it has other bytes; nothing is "
                "published. Please report it with the versions of torch and onnx"
            )
    return graphs


def _traced(source: Source) -> dict[str, onnx.ModelProto]:
    in_indices = onnx.ModelProto()
    ranking = rank_graph(source)
    in_indices.CopyFrom(ranking)
    items = len(source.ids[0].keys)
    sizes = {f"{each.kind}_idx": len(each.keys) for each in source.ids}
    take_indices(in_indices, {**sizes, "history_item_idx": items, "candidate_item_idx": items})
    return {
        "din.onnx": index_graph(source.model),
        "rank.onnx": ranked_in_blocks(ranking, source),
        "rank_indices.onnx": ranked_in_blocks(in_indices, source),
        "score.onnx": score_graph(source),
        "explain.onnx": explain_graph(source),
    }


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
