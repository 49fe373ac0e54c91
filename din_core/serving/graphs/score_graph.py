"""``score.onnx``: rows of the table ``samples``, each with a user, a history and a candidate.

Shapes: B rows, L padded length of the histories. Both are free, 0 included.
"""

from __future__ import annotations

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from din_core.network.layers.positions import PaddedPositions
from din_core.serving.graphs.constants import with_constants_folded
from din_core.serving.graphs.id_tables import Source
from din_core.serving.graphs.tracing import OUTPUT_NAME, Array, ready_for_export, traced


class ScoreModel(nn.Module):
    """A model on rows of their own, in indices of items and users.

    Args:
        source: The model and what its ids stand for.
    """

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source
        self.model = source.model
        self.tables = source.tables

    def forward(self, *arguments: Tensor) -> Tensor:
        """Probabilities ``[B]`` of user ``[B]``, candidate ``[B]``, history ``[B, L]``, context."""
        *user, candidates, history = arguments[: 2 + self.source.takes_user]
        numbers = arguments[2 + self.source.takes_user :]
        is_known = history != 0
        # Counted from the end, and not a slice: padding may stand on either side.
        n_later = is_known.sum(1, keepdim=True) - is_known.long().cumsum(1)
        is_position = is_known & (n_later < self.source.max_history)
        inputs = {
            **self.tables.of_history(history),
            **self.tables.of_candidates(candidates),
            **dict(zip(self.source.context, numbers, strict=True)),
        }
        if user:
            inputs |= self.tables.of_users(user[0])
        return torch.sigmoid(self.model.logits_at(inputs, PaddedPositions(is_position)))


def score_graph(source: Source) -> onnx.ModelProto:
    """Trace the scoring of rows, in indices; argument as :class:`ScoreModel`.

    Returns:
        A graph with the inputs ``user_idx`` ``[B]`` (of a model that takes the user),
        ``target_item_idx`` ``[B]``, ``hist_item_idx`` ``[B, L]`` and the numbers of the context
        ``[B]``, and the output ``probability`` ``[B]``.
    """
    example: dict[str, Array] = {"user_idx": np.array([1, 0])} if source.takes_user else {}
    example |= {
        "target_item_idx": np.array([1, 0]),
        "hist_item_idx": np.array([[1, 0, 1], [0, 0, 1]]),
    }
    example |= {name: np.array([0.5, np.nan], np.float32) for name in source.context}
    axes = {name: {0: "rows"} for name in example}
    axes["hist_item_idx"] = {0: "rows", 1: "length"}
    with ready_for_export(source.model):
        scoring = ScoreModel(source).eval()
        graph = traced(scoring, example, axes, {OUTPUT_NAME: {0: "rows"}})
    return with_constants_folded(graph)
