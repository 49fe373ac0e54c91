"""``rank.onnx``: one user and many candidates.

Shapes: L events of the user's history, oldest first; N candidates. Both are free, 0 included.
"""

from __future__ import annotations

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from din_core.network.layers.attention import ActivationUnit
from din_core.network.layers.dice import Dice
from din_core.network.layers.positions import SharedPositions
from din_core.network.models import ClickModel
from din_core.serving.graphs.blocks import in_blocks
from din_core.serving.graphs.constants import with_constants_folded
from din_core.serving.graphs.id_tables import Source
from din_core.serving.graphs.shared_rows import with_shared_rows_apart
from din_core.serving.graphs.sizes import with_sizes_at_once
from din_core.serving.graphs.tracing import OUTPUT_NAME, Array, ready_for_export, traced

#: Numbers of a unit's widest layer in a block: of one with Dice, which goes over them four times,
#: and of one whose activation runtimes fuse with the product before it.
_NUMBERS_OF_A_BLOCK = {True: 128_000, False: 409_600}
_ROWS_OF_A_BLOCK = (8, 512)


def latest_positions(index: Tensor, max_history: int) -> Tensor:
    """Places of the latest events that the model knows: int64 ``[P]``, P up to ``max_history``.

    Args:
        index: Item indices of a history, oldest first, ``[L]``; 0 is unknown or padding.
        max_history: Events that the model was trained with.
    """
    return index.nonzero().view(-1)[-max_history:]


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
        history = history[latest_positions(history, self.source.max_history)]
        rows = torch.zeros_like(candidates)
        inputs = {
            **self.tables.of_history(history),
            **self.tables.of_candidates(candidates),
            **dict(zip(self.source.context, numbers, strict=True)),
        }
        if user:
            of_one = self.tables.of_users(user[0])
            inputs |= {name: each[rows] for name, each in of_one.items()}
        return torch.sigmoid(self.model.logits_at(inputs, SharedPositions(rows)))


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


def ranked_in_blocks(graph: onnx.ModelProto, source: Source) -> onnx.ModelProto:
    """The graph of a ranking, made to compute its candidates in blocks.

    Args:
        graph: In indices; changed by what this returns.
        source: What it was traced from.
    """
    rows = dict.fromkeys(("candidate_item_idx", *source.context), 0.0)
    shorter = with_sizes_at_once(with_constants_folded(graph))
    apart = with_shared_rows_apart(shorter, rows)
    return in_blocks(apart, rows, rows_of_a_block(source.model, source.max_history))


def rows_of_a_block(model: ClickModel, max_history: int) -> int:
    """How many candidates are computed at a time.

    As many as give the widest layer of an activation unit 1.6 MB over a whole history. With Dice
    0.5 MB, so that what its passes read and write stays in a core's cache of 1 or 2 MB; yet no
    fewer than half the embedding width: each block packs the matrices of all positions anew, and
    the wider they are, the more candidates must share that.
    """
    units = [module for module in model.modules() if isinstance(module, ActivationUnit)]
    has_dice = any(isinstance(each, Dice) for unit in units for each in unit.mlp.activations)
    widths = [
        layer.out_features
        for unit in units
        for layer in unit.mlp.layers
        if isinstance(layer, nn.Linear)
    ]
    widest = max(widths, default=1) * max_history
    least, most = _ROWS_OF_A_BLOCK
    least = min(max([least, *(unit.embed_dim // 2 for unit in units)]), most)
    return int(np.clip(_NUMBERS_OF_A_BLOCK[has_dice] // widest, least, most))
