"""The DIN paper's BaseModel (arXiv 1706.06978, section 4.2): sum pooling and an MLP.

Shapes: B samples, P history positions of all of them, D embedding width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from din_core.network.layers.mlp import MLP
from din_core.network.models.click_model import ClickModel
from din_core.network.models.input_columns import InputColumns, blocks_of, context_blocks

if TYPE_CHECKING:
    from din_core.config import BaseModelConfig
    from din_core.network.models.click_model import Embedded, ModelInputs


class BaseModel(ClickModel):
    """What DIN is without attention: every candidate sees the same sum of the history.

    The MLP sees, in this order: the sum of each history, the candidates that have a history, all
    other features.

    Args:
        config: The network.
        inputs: Its features.
    """

    title = "BaseModel of the DIN paper"

    def __init__(self, config: BaseModelConfig, inputs: ModelInputs) -> None:
        super().__init__(*inputs, embedding_init_std=config.embedding_init_std)
        of_histories = sum(history.dim for history in self.history_features)
        width = 2 * of_histories + sum(each.dim for each in self.context_features)
        self.mlp = MLP(width, config.mlp_dims, config.activation, config.dropout)

    def interact(self, x: Embedded) -> Tensor:
        """Sums and the MLP; see :meth:`ClickModel.interact`."""
        history_sums = [x.positions.sum(history) for history in x.histories]
        return self.mlp(torch.cat([*history_sums, *x.targets, *x.context], dim=1))

    def input_columns(self) -> InputColumns:
        """The columns of the MLP; see :meth:`ClickModel.input_columns`."""
        blocks = [
            *blocks_of("sum of", self.history_features),
            *blocks_of("target", (target for _, targets in self.groups for target in targets)),
            *context_blocks(self.context_features),
        ]
        return InputColumns({f"mlp.{self.mlp.first_weight}": blocks}, {})
