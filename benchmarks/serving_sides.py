"""The side of the serving cases: graphs asked in turn; see :mod:`benchmarks.serving_cases`."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.training_sides import matrix_flops

if TYPE_CHECKING:
    import numpy as np

    from benchmarks.clock import Clock
    from din_core.config import DINConfig


def rank_requests(
    clock: Clock,
    model: Mapping[str, Any],
    vocabulary: Mapping[str, int],
    length: int,
    requests: Mapping[str, int],
) -> dict[str, Any]:
    """Ask each graph for the probabilities of many candidates.

    Weights are random: what they are decides nothing here. Ids are the numbers from 1 on.

    Args:
        clock: Of this process.
        model: Fields of :class:`din_core.config.DINConfig`.
        vocabulary: Number of ids by column.
        length: Events of the history.
        requests: Number of candidates, and how often they are asked for.
    """
    import numpy as np
    import torch

    from din_core.config import DINConfig, config_from_mapping

    torch.set_num_threads(1)
    config = config_from_mapping(DINConfig, model)
    random = np.random.default_rng(2022)
    cates = random.integers(1, vocabulary["cate_id"] + 1, vocabulary["item_id"] + 1)
    history = random.integers(1, vocabulary["item_id"] + 1, length)
    rate = matrix_flops("float32")
    with tempfile.TemporaryDirectory() as folder:
        graphs = {
            **_ours(config, vocabulary, cates[1:], length, Path(folder)),
            "theirs": _theirs(config, vocabulary, length, Path(folder)),
        }
    clock.start()
    figures: dict[str, Any] = {}
    for number, times in requests.items():
        candidates = random.integers(1, vocabulary["item_id"] + 1, int(number))
        ask = {
            name: _asking(session, history, candidates, cates) for name, session in graphs.items()
        }
        seconds: dict[str, list[float]] = {name: [] for name in ask}
        for _ in range(times + 1):
            for name, run in ask.items():
                begin = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - begin)
        # The first request of a size finds no memory at hand.
        figures[number] = {name: _spread(each[1:]) for name, each in seconds.items()}
    clock.stop()
    return {
        "candidates": figures,
        "length": length,
        "matmul_flops": max(rate, matrix_flops("float32")),
    }


def _ours(
    config: DINConfig, vocabulary: Mapping[str, int], cates: np.ndarray, length: int, folder: Path
) -> dict[str, Any]:
    write_graphs(config, vocabulary, cates, length, folder)
    return {"rank": _session(folder / "rank.onnx"), "rows": _session(folder / "din.onnx")}


def write_graphs(
    config: DINConfig,
    vocabulary: Mapping[str, int],
    cates: np.ndarray,
    length: int,
    folder: Path,
    *,
    as_text: bool = False,
) -> list[Any]:
    """Write the graphs of a network with random weights, and return the ids of its items.

    Args:
        config: The network.
        vocabulary: Number of ids by column.
        cates: Category of each item, ``[n_items]``.
        length: The longest history.
        folder: Where they go.
        as_text: Whether ids are text; else they are the numbers from 1 on.
    """
    import pyarrow as pa
    from pyarrow import parquet

    from din_core.network.models import build_model
    from din_core.network.vocabulary import Vocabulary
    from din_core.serving.graphs import write_all
    from din_core.serving.saved_models import SavedModel

    sizes = Vocabulary(
        n_users=vocabulary["user_id"],
        n_items=vocabulary["item_id"],
        item_attributes={"cate_idx": vocabulary["cate_id"]},
    )
    items = pa.array(range(1, sizes.n_items + 1))
    users = pa.array(range(1, sizes.n_users + 1))
    ids = {"item": items, "user": users}
    if as_text:  # as many digits each, so that their order is that of the numbers
        ids = {name: pa.array([f"ü, {i:09d}" for i in of.to_pylist()]) for name, of in ids.items()}
    columns = {"item_idx": items, "item_id": ids["item"], "cate_idx": cates}
    parquet.write_table(pa.table(columns), folder / "items.parquet")
    columns = {"user_idx": users, "user_id": ids["user"]}
    parquet.write_table(pa.table(columns), folder / "users.parquet")
    model = build_model(config, sizes).eval()
    saved = SavedModel(model, config, sizes, "", {})
    write_all(saved, folder, folder, max_history=length)
    return ids["item"].to_pylist()


def _theirs(config: DINConfig, vocabulary: Mapping[str, int], length: int, folder: Path) -> Any:
    import torch
    from torch_rechub.basic.features import SequenceFeature, SparseFeature
    from torch_rechub.models.ranking import DIN
    from torch_rechub.trainers import CTRTrainer

    columns, width = ("item_id", "cate_id"), config.embed_dim
    network = DIN(
        features=[SparseFeature("user_id", vocabulary["user_id"] + 1, embed_dim=width)],
        history_features=[
            SequenceFeature(
                f"hist_{column}",
                vocabulary[column] + 1,
                embed_dim=width,
                pooling="concat",
                shared_with=f"target_{column}",
            )
            for column in columns
        ],
        target_features=[
            SparseFeature(f"target_{column}", vocabulary[column] + 1, embed_dim=width)
            for column in columns
        ],
        mlp_params={"dims": list(config.mlp_dims), "dropout": config.dropout},
        attention_mlp_params={
            "dims": list(config.attention_dims),
            "activation": config.activation,
            "use_softmax": config.use_softmax,
        },
    )
    path = folder / "theirs.onnx"
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        CTRTrainer(network, device="cpu").export_onnx(
            str(path),
            seq_length=length,
            opset_version=18,
            onnx_export_kwargs={"dynamo": False},
        )
    return _session(path)


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _asking(
    session: Any, history: np.ndarray, candidates: np.ndarray, cates: np.ndarray
) -> Callable[[], Any]:
    """A request in the inputs of a graph, whichever it is."""
    import numpy as np

    n = len(candidates)
    known = {
        "history_item_id": history,
        "candidate_item_id": candidates,
        "hist_item": np.tile(history, (n, 1)),
        "hist_cate": np.tile(cates[history], (n, 1)),
        "target_item": candidates,
        "target_cate": cates[candidates],
    }
    feed: dict[str, Any] = {}
    for each in session.get_inputs():
        if each.name in ("user_id", "user_idx"):
            feed[each.name] = np.full(1 if each.shape == [1] else n, 3)
        else:
            feed[each.name] = known.get(each.name, known.get(each.name.rpartition("_")[0]))
    return lambda: session.run(None, feed)


def _spread(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(1e3 * each for each in seconds)
    return {
        "least_ms": round(ordered[0], 3),
        "p50_ms": round(ordered[len(ordered) // 2], 3),
        "p99_ms": round(ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)], 3),
    }
