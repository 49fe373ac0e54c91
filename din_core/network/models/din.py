"""Deep Interest Network (Zhou et al., KDD 2018, arXiv 1706.06978).

Shapes: B samples, P history positions of all of them, D embedding width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from din_core.network.layers.attention import ActivationUnit
from din_core.network.layers.mlp import MLP
from din_core.network.layers.positions import attend_and_sum
from din_core.network.models.click_model import ClickModel, HistoryGroup
from din_core.network.models.input_columns import (
    Block,
    InputColumns,
    blocks_of,
    context_blocks,
)

if TYPE_CHECKING:
    from din_core.config import Attention, DINConfig
    from din_core.network.features import SequenceFeature, VectorFeature
    from din_core.network.models.click_model import Embedded, ModelInputs


class DIN(ClickModel):
    """The candidate attends over the user's behaviour sequence.

    The final MLP sees, in this order: for each history its pooled interest; with
    ``product_inputs`` the products; the candidates that have a history; all other features.

    Args:
        features: As :class:`ClickModel`, like the two following.
        history_features: Behaviour sequences.
        target_features: Features of the candidate.
        mlp_params: Arguments of the final :class:`MLP`: ``dims``, ``activation`` (Dice where left
            out), ``dropout``, and torch-rechub's ``output_layer``, which must be true.
        attention_mlp_params: Arguments of the :class:`ActivationUnit`: ``dims`` (``[36]`` where
            left out), ``activation`` and ``use_softmax``.
        attention: ``per_feature``: one unit for each history, as torch-rechub; ``joint``: one unit
            over the concatenated histories, as the paper's figure 2 and its authors' code.
        position_bias: How many of the latest positions have a bias each in every unit, as
            :class:`ActivationUnit`.
        product_inputs: Feed the MLP also, for each history, with interest x candidate, the plain
            history sum, and history sum x candidate.
        embedding_init_std: Standard deviation of the normal initial embeddings.
        sparse_gradients: Sparse gradients for the embedding tables.

    Attributes:
        units: One :class:`ActivationUnit` a group.

    Raises:
        ValueError: As :class:`ClickModel`, or an unknown option.
        TypeError: As :class:`ClickModel`, or an unknown key in the parameters.
    """

    title = "Deep Interest Network"
    in_one_call = True

    def __init__(
        self,
        features: Sequence[VectorFeature],
        history_features: Sequence[SequenceFeature],
        target_features: Sequence[VectorFeature],
        mlp_params: Mapping[str, Any],
        attention_mlp_params: Mapping[str, Any],
        *,
        attention: Attention = "per_feature",
        position_bias: int = 0,
        product_inputs: bool = False,
        embedding_init_std: float = 1e-4,
        sparse_gradients: bool = False,
    ) -> None:
        if attention not in ("per_feature", "joint"):
            raise ValueError(f"attention {attention!r} is none of 'per_feature', 'joint'")
        super().__init__(
            features,
            history_features,
            target_features,
            embedding_init_std=embedding_init_std,
            sparse_gradients=sparse_gradients,
        )
        self.product_inputs = product_inputs
        self._is_joint = attention == "joint"
        if self._is_joint:
            self.groups = [_joined(self.groups)]
        unit_options = _options(
            "attention_mlp_params", attention_mlp_params, ("dims", "activation", "use_softmax")
        )
        unit_options.setdefault("dims", (36,))  # as torch-rechub
        widths = [sum(history.dim for history in histories) for histories, _ in self.groups]
        self.units = nn.ModuleList(
            ActivationUnit(width, **unit_options, position_bias=position_bias) for width in widths
        )
        products = 3 if product_inputs else 0
        mlp_width = (2 + products) * sum(widths) + sum(each.dim for each in self.context_features)
        known = ("dims", "activation", "dropout", "output_layer")
        mlp_options = _options("mlp_params", mlp_params, known)
        if not mlp_options.pop("output_layer", True):
            raise ValueError(
                "mlp_params: output_layer=False leaves no probability; a DIN ends in one, leave it "
                "out"
            )
        self.mlp = MLP(mlp_width, **mlp_options)

    @classmethod
    def from_config(cls, config: DINConfig, inputs: ModelInputs) -> DIN:
        """Build the network of a configuration."""
        return cls(
            *inputs,
            mlp_params={
                "dims": config.mlp_dims,
                "activation": config.activation,
                "dropout": config.dropout,
            },
            attention_mlp_params={
                "dims": config.attention_dims,
                "activation": config.activation,
                "use_softmax": config.use_softmax,
            },
            attention=config.attention,
            position_bias=config.position_bias,
            product_inputs=config.product_inputs,
            embedding_init_std=config.embedding_init_std,
        )

    def interact(self, x: Embedded) -> Tensor:
        """Attention, pooling and the final MLP; see :meth:`ClickModel.interact`."""
        interests: list[Tensor] = []
        products: list[Tensor] = []
        for module, target, history in zip(self.units, x.targets, x.histories, strict=True):
            unit = cast("ActivationUnit", module)
            if not self.product_inputs:
                interests.append(x.positions.attend(unit, target, history))
                continue
            interest, history_sum = attend_and_sum(x.positions, unit, target, history)
            interests.append(interest)
            products += [interest * target, history_sum, history_sum * target]
        return self.mlp(torch.cat([*interests, *products, *x.targets, *x.context], dim=1))

    def input_columns(self) -> InputColumns:
        """The columns of units and MLP; see :meth:`ClickModel.input_columns`."""
        blocks: dict[str, list[Block]] = {}
        parts: dict[str, str] = {}
        interests: list[Block] = []
        products: list[Block] = []
        for number, (histories, _) in enumerate(self.groups):
            unit = cast("ActivationUnit", self.units[number])
            of = "all" if self._is_joint else histories[0].name
            parts[f"units.{number}."] = f"unit of {of}."
            blocks[f"units.{number}.mlp.{unit.mlp.first_weight}"] = [
                block
                for what in ("target of", "event", "difference to", "product with")
                for block in blocks_of(what, histories)
            ]
            interests += blocks_of("interest in", histories)
            if self.product_inputs:
                for what in ("interest x target of", "sum of", "sum x target of"):
                    products += blocks_of(what, histories)
        blocks[f"mlp.{self.mlp.first_weight}"] = [
            *interests,
            *products,
            *blocks_of("target", (target for _, targets in self.groups for target in targets)),
            *context_blocks(self.context_features),
        ]
        return InputColumns(blocks, parts)


def _joined(groups: Sequence[HistoryGroup]) -> HistoryGroup:
    """All histories side by side, and all targets."""
    return (
        [history for histories, _ in groups for history in histories],
        [target for _, targets in groups for target in targets],
    )


def _options(name: str, given: Mapping[str, Any], known: Sequence[str]) -> dict[str, Any]:
    """A copy of the arguments of a part, without those that are ``None``."""
    if unknown := [key for key in given if key not in known]:
        raise TypeError(f"{name}: {unknown[0]!r} is none of {', '.join(map(repr, known))}")
    return {key: value for key, value in given.items() if value is not None}
