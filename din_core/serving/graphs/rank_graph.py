"""``rank.onnx``: one user and many candidates.

Shapes: L events of the user's history, oldest first; N candidates. Both are free, 0 included.
"""

from __future__ import annotations

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from din_core.network.layers.positions import SharedPositions
from din_core.serving.graphs.id_tables import Source
from din_core.serving.graphs.tracing import OUTPUT_NAME, Array, ready_for_export, traced


def latest_positions(index: Tensor, max_history: int) -> Tensor:
    """Places of the latest events that the model knows: int64 ``[P]``, P up to ``max_history``.

    Args:
        index: Item indices of a history, oldest first, ``[L]``; 0 is unknown or padding.
        max_history: Events that the model was trained with.
    """
    return index.nonzero().flatten()[-max_history:]


class RankModel(nn.Module):
    """A model on one history and many candidates, in indices of items and user.

    Args:
        source: The model and what its ids stand for.
    """

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source
        self.model = source.model
        self.tables = source.tables

    def forward(self, *arguments: Tensor) -> Tensor:
        """Probabilities ``[N]`` from user ``[1]``, history ``[L]``, candidates ``[N]``, context."""
        *user, history, candidates = arguments[: 2 + self.source.takes_user]
        numbers = arguments[2 + self.source.takes_user :]
        candidates = self.tables.known_item(candidates)
        history = self.tables.known_item(history)
        history = history[latest_positions(history, self.source.max_history)]
        inputs = {
            **self.tables.of_history(history),
            **self.tables.of_candidates(candidates),
            **dict(zip(self.source.context, numbers, strict=True)),
        }
        if user:
            of_one = self.tables.of_users(self.tables.known_user(user[0]))
            inputs |= {name: each.expand(candidates.shape[0]) for name, each in of_one.items()}
        return torch.sigmoid(self.model.logits_at(inputs, SharedPositions(candidates)))


def rank_graph(source: Source) -> onnx.ModelProto:
    """Trace the ranking of a model, in indices; argument as :class:`RankModel`.

    Returns:
        A graph with the inputs ``user_idx`` ``[1]`` (of a model that takes the user),
        ``history_item_idx`` ``[L]``, ``candidate_item_idx`` ``[N]`` and the numbers of the context
        ``[N]``, and the output ``probability`` ``[N]``.
    """
    example: dict[str, Array] = {"user_idx": np.array([1])} if source.takes_user else {}
    example |= {"history_item_idx": np.array([1, 0, 1]), "candidate_item_idx": np.array([1, 0])}
    example |= {name: np.array([0.5, np.nan], np.float32) for name in source.context}
    axes = {name: {0: "candidates"} for name in ("candidate_item_idx", *source.context)}
    axes["history_item_idx"] = {0: "length"}
    with ready_for_export(source.model):
        ranking = RankModel(source).eval()
        return traced(ranking, example, axes, {OUTPUT_NAME: {0: "candidates"}})
