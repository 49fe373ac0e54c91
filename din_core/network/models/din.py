"""Deep Interest Network (Zhou et al., KDD 2018, arXiv 1706.06978) and its BaseModel.

The forward pass in two halves: :meth:`DIN.embed` looks rows up and :meth:`DIN.interact` is the
dense rest. No optimizer, no loss and no input or output belong here. Shapes: B samples, P history
positions of all of them, D embedding width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from din_core.network.batch import Batch, batch_from_padded
from din_core.network.features import (
    DenseFeature,
    Feature,
    SequenceFeature,
    SparseFeature,
    VectorFeature,
    check_kinds,
    pair_histories,
)
from din_core.network.layers.attention import ActivationUnit, segment_sum
from din_core.network.layers.embedding import EmbeddingTables
from din_core.network.layers.mlp import MLP

if TYPE_CHECKING:
    from din_core.config import Attention, Pooling


class Embedded(NamedTuple):
    """A batch after the look-up: what the dense half of the network starts from.

    Attributes:
        histories: For each attention group, embeddings of all positions ``[P, D]``.
        targets: For each attention group, the candidate's embeddings ``[B, D]``.
        context: Embeddings that no history belongs to, and dense values, ``[B, D]`` each.
        segment_ids: Sample of each position, int64 ``[P]``.
        offsets: First position of each sample and P at the end, int64 ``[B + 1]``.
    """

    histories: list[Tensor]
    targets: list[Tensor]
    context: list[Tensor]
    segment_ids: Tensor
    offsets: Tensor


class DIN(nn.Module):
    """Click probability of a candidate, given what the user interacted with before.

    The final MLP sees, in this order: for each history its pooled interest; with
    ``product_inputs`` the products; the candidates that have a history; all other features. A
    feature in both ``features`` and ``target_features`` enters once.

    Args:
        features: Features of user and context, sparse or dense (and, as in torch-rechub's
            tutorial, possibly the targets again).
        history_features: Behaviour sequences with ``pooling="concat"``, each naming its target in
            ``shared_with``.
        target_features: Features of the candidate. Those without history are legal.
        mlp_params: Arguments of the final :class:`MLP`: ``dims``, ``activation`` (Dice where left
            out), ``dropout``, and torch-rechub's ``output_layer``, which must be true.
        attention_mlp_params: Arguments of the :class:`ActivationUnit`: ``dims`` (``[36]`` where
            left out), ``activation`` and ``use_softmax``.
        pooling: ``attention`` is DIN; ``sum`` adds the history up and is the paper's BaseModel.
        attention: ``per_feature``: one unit for each history, as torch-rechub; ``joint``: one unit
            over the concatenated histories, as the paper's figure 2 and its authors' code.
        product_inputs: Feed the MLP also, for each history, with interest x candidate, the plain
            history sum, and history sum x candidate (what ``pooling="sum"`` has not already).
        embedding_init_std: Standard deviation of the normal initial embeddings.
        sparse_gradients: Sparse gradients for the embedding tables.

    Attributes:
        groups: Histories and targets of each activation unit.
        context_features: Features that enter the MLP without attention.
        units: One :class:`ActivationUnit` a group; none with ``pooling="sum"``.

    Raises:
        ValueError: No history, a history without its target, features that disagree, an unknown
            option. The sentence names the features.
        TypeError: A sequence feature among the others, or an unknown key in the parameters.
    """

    def __init__(
        self,
        features: Sequence[VectorFeature],
        history_features: Sequence[SequenceFeature],
        target_features: Sequence[VectorFeature],
        mlp_params: Mapping[str, Any],
        attention_mlp_params: Mapping[str, Any],
        *,
        pooling: Pooling = "attention",
        attention: Attention = "per_feature",
        product_inputs: bool = False,
        embedding_init_std: float = 1e-4,
        sparse_gradients: bool = False,
    ) -> None:
        super().__init__()
        if pooling not in ("attention", "sum"):
            raise ValueError(f"pooling {pooling!r} is none of 'attention', 'sum'")
        if attention not in ("per_feature", "joint"):
            raise ValueError(f"attention {attention!r} is none of 'per_feature', 'joint'")
        if not history_features:
            raise ValueError("history_features is empty; DIN needs one behaviour sequence or more")
        check_kinds(features, history_features, target_features)
        self.history_features = list(history_features)
        self.target_features = list(target_features)
        self.features = list(features)
        self.pooling = pooling
        self.attention = attention
        self.product_inputs = product_inputs
        self.embedding = EmbeddingTables(
            self.embedded_features, embedding_init_std, sparse_gradients
        )

        pairs = pair_histories(history_features, target_features)
        self.groups = _attention_groups(history_features, target_features, pairs, attention)
        self.context_features = [
            feature
            for feature in {each.name: each for each in (*target_features, *features)}.values()
            if feature.name not in pairs.values()
        ]
        unit_options = _options(
            "attention_mlp_params", attention_mlp_params, ("dims", "activation", "use_softmax")
        )
        unit_options.setdefault("dims", (36,))  # as torch-rechub
        widths = [sum(history.dim for history in histories) for histories, _ in self.groups]
        self.units = nn.ModuleList(
            ActivationUnit(width, **unit_options)
            for width in (widths if pooling == "attention" else [])
        )
        products = (3 if pooling == "attention" else 1) if product_inputs else 0
        mlp_width = (2 + products) * sum(widths) + sum(each.dim for each in self.context_features)
        known = ("dims", "activation", "dropout", "output_layer")
        mlp_options = _options("mlp_params", mlp_params, known)
        if not mlp_options.pop("output_layer", True):
            raise ValueError(
                "mlp_params: output_layer=False leaves no probability; a DIN ends in one, leave it "
                "out"
            )
        self.mlp = MLP(mlp_width, **mlp_options)

    @property
    def input_features(self) -> list[Feature | DenseFeature]:
        """All inputs, each once: candidates, then other features, then histories."""
        everything = [*self.target_features, *self.features, *self.history_features]
        return list({feature.name: feature for feature in everything}.values())

    @property
    def embedded_features(self) -> list[Feature]:
        """Those of the inputs that have a table, in the same order, repetitions included."""
        everything = [*self.target_features, *self.features, *self.history_features]
        return [feature for feature in everything if not isinstance(feature, DenseFeature)]

    @property
    def needs_history_sums(self) -> bool:
        """Whether plain history sums enter the MLP."""
        return self.product_inputs or self.pooling == "sum"

    def forward(self, x: Batch | Mapping[str, Tensor]) -> Tensor:
        """Predict click probabilities.

        Args:
            x: A batch, or the tutorial's padded inputs: feature name to int ``[B]``, and
                ``[B, L]`` for the histories, where index 0 is padding and is masked. In evaluation
                mode an index outside its table counts as 0, as in the exported graph. Dense
                features are numbers, ``[B]`` or ``[B, embed_dim]``.

        Returns:
            Probabilities ``[B]``.
        """
        return torch.sigmoid(self.logits(self.as_batch(x)))

    def as_batch(self, x: Batch | Mapping[str, Tensor]) -> Batch:
        """Flatten padded inputs; a batch is passed through.

        While training an index outside its table stays what it is, an error of :meth:`embed`: the
        vocabulary is too small. In evaluation mode, where the model is asked about what it may
        never have seen, it is unknown.
        """
        if isinstance(x, Batch):
            return x
        inputs = x if self.training else self.known(x)
        return batch_from_padded(inputs, [history.name for history in self.history_features])

    def known(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Replace every index below 0 or beyond its table by 0, which means unknown.

        Args:
            inputs: Feature name to indices of any shape; other inputs are passed through.
        """
        rows = {feature.name: feature.vocab_size for feature in self.embedded_features}
        return {
            name: _known(index, rows[name]) if name in rows else index
            for name, index in inputs.items()
        }

    def logits(self, batch: Batch) -> Tensor:
        """Log-odds of a click, ``[B]``: what the loss is taken on."""
        return self.interact(self.embed(batch))

    def embed(self, batch: Batch) -> Embedded:
        """Look up every embedding of a batch.

        Raises:
            KeyError: A feature that the batch lacks.
            IndexError: An index outside its table.
            TypeError: An index that is not an integer.
            ValueError: Dense values of another width than their feature's.
        """
        return Embedded(
            [self.side_by_side(histories, batch.sequences) for histories, _ in self.groups],
            [self.side_by_side(targets, batch.sparse) for _, targets in self.groups],
            [self.side_by_side([feature], batch.sparse) for feature in self.context_features],
            batch.segment_ids,
            batch.offsets,
        )

    def interact(self, x: Embedded) -> Tensor:
        """The dense half: attention, pooling and the final MLP.

        Returns:
            Logits ``[B]``.
        """
        n_samples = x.targets[0].shape[0]
        history_sums = [
            segment_sum(history, x.segment_ids, n_samples)
            if self.needs_history_sums
            else history[:0]
            for history in x.histories
        ]
        interests = history_sums
        if self.pooling == "attention":
            interests = [
                unit(target, history, x.segment_ids, x.offsets)
                for unit, target, history in zip(self.units, x.targets, x.histories, strict=True)
            ]
        return self.classify(interests, history_sums, x.targets, x.context)

    def classify(
        self,
        interests: Sequence[Tensor],
        history_sums: Sequence[Tensor],
        targets: Sequence[Tensor],
        context: Sequence[Tensor],
    ) -> Tensor:
        """The final MLP on what is one vector a sample by now.

        Args:
            interests: Pooled interest of each attention group, ``[B, D]``.
            history_sums: Plain history sum of each group, read only where
                :attr:`needs_history_sums`.
            targets: Candidate embeddings of each group.
            context: Embeddings and values of all other features.

        Returns:
            Logits ``[B]``.
        """
        products: list[Tensor] = []
        if self.product_inputs:
            for interest, history_sum, target in zip(interests, history_sums, targets, strict=True):
                products.append(interest * target)
                if self.pooling == "attention":
                    products += [history_sum, history_sum * target]
        return self.mlp(torch.cat([*interests, *products, *targets, *context], dim=1))

    def side_by_side(
        self, features: Sequence[Feature | DenseFeature], inputs: Mapping[str, Tensor]
    ) -> Tensor:
        """Embeddings of features and values of dense ones, concatenated."""
        for feature in features:
            if feature.name not in inputs:
                raise KeyError(f"no input for feature '{feature.name}'; there are {sorted(inputs)}")
        rows = [
            _values(feature, inputs[feature.name])
            if isinstance(feature, DenseFeature)
            else self.embedding(feature, inputs[feature.name])
            for feature in features
        ]
        return rows[0] if len(rows) == 1 else torch.cat(rows, dim=-1)


def _known(index: Tensor, n_rows: int) -> Tensor:
    if index.is_floating_point() or index.dtype == torch.bool:
        return index  # the look-up refuses it
    return torch.where((index >= 0) & (index < n_rows), index, 0)


def _options(name: str, given: Mapping[str, Any], known: Sequence[str]) -> dict[str, Any]:
    """A copy of the arguments of a part, without those that are ``None``."""
    if unknown := [key for key in given if key not in known]:
        raise TypeError(f"{name}: {unknown[0]!r} is none of {', '.join(map(repr, known))}")
    return {key: value for key, value in given.items() if value is not None}


def _values(feature: DenseFeature, values: Tensor) -> Tensor:
    """Dense values as float32 ``[B, embed_dim]``."""
    rows = values.float() if values.dim() > 1 else values.float().unsqueeze(1)
    if rows.dim() != 2 or rows.shape[1] != feature.dim:
        expected = "[B]" if feature.dim == 1 else f"[B, {feature.dim}]"
        raise ValueError(
            f"feature '{feature.name}': its values have the shape {list(values.shape)}, not "
            f"{expected}; correct them or its embed_dim"
        )
    return rows


AttentionGroup = tuple[list[SequenceFeature], list[SparseFeature]]


def _attention_groups(
    history_features: Sequence[SequenceFeature],
    target_features: Sequence[VectorFeature],
    pairs: Mapping[str, str],
    attention: Attention,
) -> list[AttentionGroup]:
    """Histories and their targets, as the activation units take them."""
    target_named = {
        target.name: target for target in target_features if isinstance(target, SparseFeature)
    }
    histories = list(history_features)
    targets = [target_named[pairs[history.name]] for history in histories]
    if attention == "joint":
        return [(histories, targets)]
    return [([history], [target]) for history, target in zip(histories, targets, strict=True)]
