"""``explain.onnx``: one user and one candidate, and what each event of the history does to it.

Shapes: L events of the user's history, oldest first, free, 0 included; P of them count.
"""

from __future__ import annotations

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from din_core.network.layers.attention import ActivationUnit
from din_core.network.layers.positions import PartsOfOne
from din_core.network.models import ClickModel
from din_core.serving.graphs.constants import with_constants_folded
from din_core.serving.graphs.id_tables import Source
from din_core.serving.graphs.rank_graph import latest_positions
from din_core.serving.graphs.tracing import OUTPUT_NAME, Array, ready_for_export, traced

WITHOUT_NAME = "probability_without"
WEIGHT_NAME = "attention_weight"


def weight_names(model: ClickModel) -> list[str]:
    """Outputs of a model's attention weights: one a unit, none for a model without attention.

    They are ``attention_weight`` where one unit sees all histories, else ``attention_weight_`` and
    the name of the unit's history.
    """
    n_units = sum(isinstance(module, ActivationUnit) for module in model.modules())
    if n_units == 1:
        return [WEIGHT_NAME]
    return [f"{WEIGHT_NAME}_{histories[0].name}" for histories, _ in model.groups[:n_units]]


class ExplainModel(nn.Module):
    """A model on one history and one candidate, and on that history without each of its events.

    Args:
        source: The model and what its ids stand for.
    """

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source
        self.model = source.model
        self.tables = source.tables

    def forward(self, *arguments: Tensor) -> tuple[Tensor, ...]:
        """Probability ``[1]``, probability without each event ``[L]``, weights ``[L]`` a unit.

        An event that does not count, since it is unknown or before the latest ``max_history``,
        changes nothing: the probability without it is the probability, its weight 0.
        """
        *user, history, candidate = arguments[: 2 + self.source.takes_user]
        numbers = arguments[2 + self.source.takes_user :]
        places = latest_positions(history, self.source.max_history)
        counted = history[places]
        # The first row sees every position, each further one all but one.
        numbered = torch.arange(1, counted.shape[0] + 1)
        row = torch.arange(counted.shape[0] + 1).unsqueeze(1)
        positions = PartsOfOne(row != numbered)
        of_one = {
            **self.tables.of_candidates(candidate),
            **dict(zip(self.source.context, numbers, strict=True)),
        }
        if user:
            of_one |= self.tables.of_users(user[0])
        inputs = {name: each.expand(row.shape[0]) for name, each in of_one.items()}
        inputs |= self.tables.of_history(counted)
        probabilities = torch.sigmoid(self.model.logits_at(inputs, positions))
        whole = probabilities[:1]
        without = whole.expand(history.shape[0]).scatter(0, places, probabilities[1:])
        nothing = torch.zeros_like(without)
        return (
            whole,
            without,
            *(nothing.scatter(0, places, weights) for weights in positions.weights),
        )


def explain_graph(source: Source) -> onnx.ModelProto:
    """Trace the explanation of one score, in indices; argument as :class:`ExplainModel`.

    Returns:
        A graph with the inputs ``user_idx`` ``[1]`` (of a model that takes the user),
        ``history_item_idx`` ``[L]``, ``candidate_item_idx`` ``[1]`` and the numbers of the context
        ``[1]``, and the outputs of :class:`ExplainModel`: ``probability``,
        ``probability_without`` and those of :func:`weight_names`.
    """
    example: dict[str, Array] = {"user_idx": np.array([1])} if source.takes_user else {}
    example |= {"history_item_idx": np.array([1, 0, 1]), "candidate_item_idx": np.array([1])}
    example |= {name: np.array([0.5], np.float32) for name in source.context}
    free = {0: "length"}
    outputs = {OUTPUT_NAME: dict[int, str](), WITHOUT_NAME: free}
    outputs |= dict.fromkeys(weight_names(source.model), free)
    with ready_for_export(source.model):
        explaining = ExplainModel(source).eval()
        graph = traced(explaining, example, {"history_item_idx": free}, outputs)
    # Traced, it is a slice of a free size.
    graph.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 1
    return with_constants_folded(graph)
