"""A model of nine items and seven users, its vocabularies as files, and its graphs at work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from din_core.config import BaseModelConfig, DINConfig, PNNConfig
from din_core.network.features import Normalization
from din_core.network.models import build_model
from din_core.network.vocabulary import Vocabulary
from din_core.serving.graphs import GraphReport, write_all, writing
from din_core.serving.saved_models import SavedModel

NUMBERS = [40, 10, 77, -3, 0, 12, 13, 5, 6]
TEXTS = ["a", "a\0", "a\0b", "é", "日本", "😀", " a", "a ", "A"]
CATES = [1, 2, 3, 0, 1, 2, 3, 1, 2]  # the fourth item's category is unknown
PRICES = [None, 2.0, 3.5, -1.0, 0.0, 9.0, 4.0, 2.5, 1e9]
COUNTRIES = [1, 2, 0, 1, 2, 1, 2]
AGES = [20.0, None, 31.0, 44.0, 5.0, 60.0, 18.0]
PLAIN = Vocabulary(n_users=7, n_items=9, item_attributes={"cate_idx": 3})
DESCRIBED = Vocabulary(
    n_users=7,
    n_items=9,
    item_attributes={"cate_idx": 3},
    user_attributes={"country_idx": 2},
    item_dense={"price": Normalization(mean=2.0, std=3.0, has_missing=True)},
    user_dense={"age": Normalization(mean=30.0, std=20.0)},
    context_dense={"hour": Normalization(mean=12.0, std=6.0, has_missing=True)},
)
SMALL = {"mlp_dims": (6, 5), "embedding_init_std": 1.0}
CONFIGS = {
    "din": DINConfig(**SMALL, attention_dims=(5, 4)),
    "din_softmax": DINConfig(
        **SMALL, attention_dims=(5, 4), use_softmax=True, activation="prelu", attention="joint",
        position_bias=2,
    ),
    "din_products": DINConfig(
        **SMALL, attention_dims=(5,), activation="relu", attention="joint", product_inputs=True,
        use_user=False, position_bias=3,
    ),
    "base_model": BaseModelConfig(**SMALL),
    "pnn": PNNConfig(**SMALL),
}  # fmt: skip


@dataclass
class TinyBundle:
    """A model, and the folder of its graphs."""

    saved: SavedModel
    folder: Path
    report: GraphReport

    def run(self, graph: str, **feed: Any) -> list[Any]:
        """The outputs of a graph."""
        session = onnxruntime.InferenceSession(
            self.folder / graph, providers=["CPUExecutionProvider"]
        )
        return session.run(None, feed)

    def in_torch(self, **inputs: Any) -> Any:
        """What the model says, by the names of ``encoded_samples``."""
        known = {each.name for each in self.saved.model.input_features}
        with torch.no_grad():
            tensors = {
                name: torch.from_numpy(np.asarray(each))
                for name, each in inputs.items()
                if name in known
            }
            return self.saved.model(tensors).numpy()


def make_model(config: Any, vocabulary: Vocabulary) -> Any:
    """A model whose running statistics, slopes, biases and normalisers are not the initial ones."""
    torch.manual_seed(0)
    model = build_model(config, vocabulary).eval()
    with torch.no_grad():
        for name, each in (*model.named_parameters(), *model.named_buffers()):
            if name.endswith(("alpha", "position_bias", "running_mean")):
                each.uniform_(-0.5, 0.5)
            elif name.endswith("running_var"):
                each.uniform_(0.01, 2.0)
    return model


def write_vocabularies(folder: Path, *, strings: bool) -> Path:
    """The files that stand beside a saved model."""
    folder.mkdir(parents=True, exist_ok=True)
    items = {
        "item_idx": pa.array(range(1, 10), pa.int32()),
        "item_id": TEXTS if strings else pa.array(NUMBERS, pa.int64()),
        "cate_idx": pa.array(CATES, pa.int32()),
        "price": pa.array(PRICES),
    }
    users = {
        "user_idx": pa.array(range(1, 8), pa.int32()),
        "user_id": [f"u{i}" for i in range(7)] if strings else pa.array(range(7), pa.int64()),
        "country_idx": pa.array(COUNTRIES, pa.int32()),
        "age": pa.array(AGES),
    }
    pq.write_table(pa.table(items), folder / "items.parquet")
    pq.write_table(pa.table(users), folder / "users.parquet")
    return folder


def make_bundle(
    folder: Path,
    config: Any,
    vocabulary: Vocabulary,
    *,
    strings: bool = False,
    max_history: int = 4,
) -> TinyBundle:
    """Write all graphs of a small model.

    Each is made once: what is told of a graph that is not the same twice, `test_writing` asks.
    """
    saved = SavedModel(make_model(config, vocabulary), config, vocabulary, "", {})
    vocabularies = write_vocabularies(folder / "vocabulary", strings=strings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "_same_twice", lambda _name, make: make())
        report = write_all(
            saved, vocabularies, folder / "graphs", max_history=max_history, data_version="v7"
        )
    return TinyBundle(saved, folder / "graphs", report)
