"""Product-based neural network (Qu et al., ICDM 2016, arXiv 1611.00144), a rival of DIN's paper.

Shapes: B samples, P history positions of all of them, F fields, D embedding width.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from din_core.network.features import DenseFeature
from din_core.network.layers.mlp import MLP
from din_core.network.models.click_model import ClickModel
from din_core.network.models.input_columns import Block, InputColumns, blocks_of, context_blocks

if TYPE_CHECKING:
    from din_core.config import PNNConfig
    from din_core.network.models.click_model import Embedded, ModelInputs


class PNN(ClickModel):
    """An MLP on embeddings and on products of them; a history is one field, the sum of it.

    The MLP sees, in this order: the sum of each history, the candidates that have a history, all
    other features, the products. They are, by ``product_layer``:

    - ``inner``: the inner product of every two fields, each pair once (the paper's IPNN). Fields
      are the sums, the candidates and the other embeddings; dense values are none.
    - ``elementwise``: sum x candidate for each history, ``[B, D]``: what the DIN authors compare
      with under this name (``Model_PNN`` in their code of DIEN).

    Args:
        config: The network.
        inputs: Its features.

    Raises:
        ValueError: Inner products of embeddings that are not equally wide.
    """

    title = "Product-based Neural Network"

    def __init__(self, config: PNNConfig, inputs: ModelInputs) -> None:
        super().__init__(*inputs, embedding_init_std=config.embedding_init_std)
        self.product_layer = config.product_layer
        of_histories = sum(history.dim for history in self.history_features)
        n_fields = 2 * len(self.history_features) + len(self._context_fields)
        n_products = of_histories
        if self.product_layer == "inner":
            self._refuse_other_widths()
            self.inner_products = InnerProducts(n_fields)
            n_products = self.inner_products.width
        width = 2 * of_histories + sum(each.dim for each in self.context_features) + n_products
        self.mlp = MLP(width, config.mlp_dims, config.activation, config.dropout)

    def interact(self, x: Embedded) -> Tensor:
        """Sums, products and the MLP; see :meth:`ClickModel.interact`."""
        history_sums = [x.positions.sum(history) for history in x.histories]
        if self.product_layer == "inner":
            context = [x.context[place] for place in self._context_fields]
            products = [self.inner_products([*history_sums, *x.targets, *context])]
        else:
            products = [
                history_sum * target
                for history_sum, target in zip(history_sums, x.targets, strict=True)
            ]
        return self.mlp(torch.cat([*history_sums, *x.targets, *x.context, *products], dim=1))

    def input_columns(self) -> InputColumns:
        """The columns of the MLP; see :meth:`ClickModel.input_columns`."""
        sums = blocks_of("sum of", self.history_features)
        targets = blocks_of("target", (each for _, group in self.groups for each in group))
        context = context_blocks(self.context_features)
        if self.product_layer == "inner":
            fields = [*sums, *targets, *(context[place] for place in self._context_fields)]
            products = [
                Block(f"{first.name} x {second.name}", 1)
                for first, second in itertools.combinations(fields, 2)
            ]
        else:
            products = blocks_of("product of", self.history_features)
        return InputColumns(
            {f"mlp.{self.mlp.first_weight}": [*sums, *targets, *context, *products]}, {}
        )

    @property
    def _context_fields(self) -> list[int]:
        """Places of the embeddings among the other features."""
        return [
            i for i, each in enumerate(self.context_features) if not isinstance(each, DenseFeature)
        ]

    def _refuse_other_widths(self) -> None:
        first, *rest = self.embedding.features
        for feature in rest:
            if feature.dim != first.dim:
                raise ValueError(
                    f"features '{first.name}' and '{feature.name}' are {first.dim} and "
                    f"{feature.dim} wide, and an inner product needs both equally wide; give them "
                    "the same embed_dim, or take product_layer='elementwise'"
                )


class InnerProducts(nn.Module):
    """Inner products of every two fields, each pair once; it has no parameters.

    Args:
        n_fields: F.

    Attributes:
        width: F (F - 1) / 2.
    """

    def __init__(self, n_fields: int) -> None:
        super().__init__()
        first, second = torch.triu_indices(n_fields, n_fields, offset=1)
        self.width = len(first)
        # They follow from the features, so they are not saved with the weights.
        self.register_buffer("_first", first, persistent=False)
        self.register_buffer("_second", second, persistent=False)

    def forward(self, fields: Sequence[Tensor]) -> Tensor:
        """Multiply fields.

        Args:
            fields: F of them, ``[B, D]`` each.

        Returns:
            ``[B, width]``.
        """
        fields_BFD = torch.stack(list(fields), dim=1)
        first, second = self.get_buffer("_first"), self.get_buffer("_second")
        return (fields_BFD.index_select(1, first) * fields_BFD.index_select(1, second)).sum(2)
