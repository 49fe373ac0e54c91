"""What every click model is, and all that the rest of the library knows of one.

A model says in ``__init__`` what its layers are, and in :meth:`ClickModel.interact` how embeddings
become the log-odds of a click. Training, prediction, export, pictures and saved models follow from
that. No optimizer and no input or output belong here. Shapes: B samples, P history positions of
all of them, L padded length, D embedding width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple

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
from din_core.network.layers.attention import ActivationUnit
from din_core.network.layers.dense import DenseInputs
from din_core.network.layers.dice import Dice
from din_core.network.layers.embedding import EmbeddingTables
from din_core.network.layers.positions import FlatPositions, PaddedPositions, RecordingPositions

if TYPE_CHECKING:
    from din_core.config import LogNumber
    from din_core.network.layers.positions import Positions
    from din_core.network.models.input_columns import InputColumns

#: Histories and their targets that a model takes side by side, as one of each.
HistoryGroup = tuple[list[SequenceFeature], list[SparseFeature]]


class Embedded(NamedTuple):
    """Samples after the look-up: what the dense half of a network starts from.

    Attributes:
        histories: For each group, embeddings of all positions, ``[P, D]`` or ``[B, L, D]``.
        targets: For each group, the candidate's embeddings ``[B, D]``.
        context: Embeddings that no history belongs to, and numbers as ``dense`` gives them,
            ``[B, D]`` each.
        positions: Pools what stands in ``histories`` into one vector a sample.
    """

    histories: list[Tensor]
    targets: list[Tensor]
    context: list[Tensor]
    positions: Positions


class ModelInputs(NamedTuple):
    """What a model for a log takes, as :class:`ClickModel` takes it.

    Attributes:
        features: Features of user and context.
        history_features: Behaviour sequences.
        target_features: Features of the candidate.
    """

    features: list[VectorFeature]
    history_features: list[SequenceFeature]
    target_features: list[VectorFeature]


class ClickModel(nn.Module, ABC):
    """Click probability of a candidate, given the user's behaviour sequence.

    A feature in both ``features`` and ``target_features`` is one input.

    Args:
        features: Features of user and context, sparse or dense (and, as in torch-rechub's
            tutorial, possibly the targets again).
        history_features: Behaviour sequences with ``pooling="concat"``, each naming its target in
            ``shared_with``.
        target_features: Features of the candidate. Those without history are legal.
        embedding_init_std: Standard deviation of the normal initial embeddings.
        sparse_gradients: Sparse gradients for the embedding tables.

    Attributes:
        title: The model's name for people.
        in_one_call: Whether :class:`din_core.network.kernels.NetworkKernel` computes the class. A
            subclass, which may interact in another way, says so for itself.
        history_features: Behaviour sequences.
        embedding: Every table that is looked up by id. What training reads of it are rows.
        dense: Numbers on their way to ``context``, normalised where their feature says so.
        groups: Each history with its target; a subclass may put several side by side.
        context_features: Features that no history belongs to.
        log_numbers: Those of the context features that are computed of the log, and stand in no
            table.

    Raises:
        ValueError: No history, a history without its target, features that disagree. The sentence
            names the features.
        TypeError: A sequence feature among the others.
    """

    title: ClassVar[str]
    in_one_call: ClassVar[bool] = False

    def __init__(
        self,
        features: Sequence[VectorFeature],
        history_features: Sequence[SequenceFeature],
        target_features: Sequence[VectorFeature],
        *,
        embedding_init_std: float = 1e-4,
        sparse_gradients: bool = False,
    ) -> None:
        super().__init__()
        self.log_numbers: Sequence[LogNumber] = ()
        if not history_features:
            raise ValueError(
                "history_features is empty; a click model needs one behaviour sequence or more"
            )
        check_kinds(features, history_features, target_features)
        self.history_features = list(history_features)
        everything = [*target_features, *features, *history_features]
        self.embedding = EmbeddingTables(
            [each for each in everything if not isinstance(each, DenseFeature)],
            embedding_init_std,
            sparse_gradients,
        )
        self.dense = DenseInputs([each for each in everything if isinstance(each, DenseFeature)])
        self._inputs = list({feature.name: feature for feature in everything}.values())
        pairs = pair_histories(history_features, target_features)
        self.groups = _groups(history_features, target_features, pairs)
        self.context_features = [
            feature
            for feature in {each.name: each for each in (*target_features, *features)}.values()
            if feature.name not in pairs.values()
        ]

    @property
    def input_features(self) -> list[Feature | DenseFeature]:
        """All inputs, each once: candidates, then other features, then histories."""
        return list(self._inputs)

    @property
    def samples_are_independent(self) -> bool:
        """Whether a sample's gradient depends neither on the others of its batch nor on chance.

        With Dice it depends on the batch's statistics, with dropout on random numbers. Where it is
        false, a step is not cut into shares that threads compute side by side.
        """
        return not any(
            isinstance(module, Dice) or (isinstance(module, nn.Dropout) and module.p > 0)
            for module in self.modules()
        )

    @property
    def weights_are_shares(self) -> bool:
        """Whether the attention weights of a history add up to 1, as those of a softmax do."""
        units = [module for module in self.modules() if isinstance(module, ActivationUnit)]
        return bool(units) and all(unit.use_softmax for unit in units)

    @abstractmethod
    def interact(self, x: Embedded) -> Tensor:
        """The dense half of the network: from embeddings to the log-odds of a click.

        It runs on flat histories and on padded ones alike; what goes across positions is a method
        of ``x.positions``.

        Args:
            x: Samples after the look-up.

        Returns:
            Logits ``[B]``.
        """

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

    def logits(self, batch: Batch) -> Tensor:
        """Log-odds of a click, ``[B]``."""
        return self.interact(self.embed(batch))

    def attention_weights(self, batch: Batch) -> dict[str, Tensor]:
        """What the candidate's attention multiplies each history position by.

        Args:
            batch: Samples.

        Returns:
            By history feature, ``[P]``: the weights of the unit that reads it, so that the
            features of one unit have the same ones. Nothing for a model without attention.
        """
        positions = RecordingPositions(batch.segment_ids, batch.offsets)
        self.interact(self._look_up(batch.sparse, batch.sequences, positions))
        if not positions.weights:
            return {}
        return {
            history.name: weights_P
            for (histories, _), weights_P in zip(self.groups, positions.weights, strict=True)
            for history in histories
        }

    def input_columns(self) -> InputColumns | None:
        """Say which input each column of the weights belongs to.

        A training that starts from another model takes weights over by it, where the two have
        different inputs. ``None`` where a model does not say: then their inputs must be the same.
        """
        return None

    def loss(self, batch: Batch) -> Tensor:
        """What training makes small: by default the log loss.

        Args:
            batch: With labels.

        Returns:
            Sum over the samples, so that losses of shares of a step add up to the step's; float32.
        """
        assert batch.label is not None
        return nn.functional.binary_cross_entropy_with_logits(
            self.logits(batch).float(), batch.label, reduction="sum"
        )

    def padded_logits(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The same as :meth:`logits` in rectangles only, to be traced. Evaluation only.

        Args:
            inputs: Feature name to int64 ``[B]``, or ``[B, L]`` for a history; float32 ``[B]`` or
                ``[B, D]`` for a dense feature. An index outside its table is taken for 0. A
                position is padding where every history is 0.

        Returns:
            Logits ``[B]``.
        """
        known = self._known(inputs)
        is_position = known[self.history_features[0].name] != 0
        for history in self.history_features[1:]:
            is_position = is_position | (known[history.name] != 0)
        return self.logits_at(known, PaddedPositions(is_position))

    def logits_at(self, inputs: Mapping[str, Tensor], positions: Positions) -> Tensor:
        """The same, whatever way positions lie in memory. Every index is in its table.

        Args:
            inputs: Feature name to what it is looked up by: ``[B]`` (a dense feature ``[B]`` or
                ``[B, D]``), and for a history as ``positions`` takes it.
            positions: Pools the histories.

        Returns:
            Logits ``[B]``.
        """
        return self.interact(self._look_up(inputs, inputs, positions))

    def as_batch(self, x: Batch | Mapping[str, Tensor]) -> Batch:
        """Flatten padded inputs; a batch is passed through.

        While training an index outside its table stays what it is, an error of :meth:`embed`: the
        vocabulary is too small. In evaluation mode, where the model is asked about what it may
        never have seen, it is unknown.
        """
        if isinstance(x, Batch):
            return x
        inputs = x if self.training else self._known(x)
        return batch_from_padded(inputs, [history.name for history in self.history_features])

    def embed(self, batch: Batch) -> Embedded:
        """Look up every embedding of a batch.

        Raises:
            KeyError: A feature that the batch lacks.
            IndexError: An index outside its table.
            TypeError: An index that is not an integer.
            ValueError: Dense values of another width than their feature's.
        """
        positions = FlatPositions(batch.segment_ids, batch.offsets)
        return self._look_up(batch.sparse, batch.sequences, positions)

    def _look_up(
        self, single: Mapping[str, Tensor], sequences: Mapping[str, Tensor], positions: Positions
    ) -> Embedded:
        targets = [self._side_by_side(targets, single) for _, targets in self.groups]
        histories = [self._side_by_side(histories, sequences) for histories, _ in self.groups]
        context = [self._side_by_side([feature], single) for feature in self.context_features]
        return Embedded(histories, targets, context, positions)

    def _side_by_side(
        self, features: Sequence[Feature | DenseFeature], inputs: Mapping[str, Tensor]
    ) -> Tensor:
        """Embeddings of features and values of dense ones, concatenated."""
        for feature in features:
            if feature.name not in inputs:
                raise KeyError(f"no input for feature '{feature.name}'; there are {sorted(inputs)}")
        sparse = [each for each in features if not isinstance(each, DenseFeature)]
        if len(sparse) == len(features):
            return self.embedding.side_by_side(sparse, [inputs[each.name] for each in sparse])
        rows = [
            self.dense(feature, inputs[feature.name])
            if isinstance(feature, DenseFeature)
            else self.embedding(feature, inputs[feature.name])
            for feature in features
        ]
        return rows[0] if len(rows) == 1 else torch.cat(rows, dim=-1)

    def _known(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Replace every index below 0 or beyond its table by 0, which means unknown."""
        rows = {feature.name: feature.vocab_size for feature in self.embedding.features}
        return {
            name: _known_index(index, rows[name]) if name in rows else index
            for name, index in inputs.items()
        }


def _known_index(index: Tensor, n_rows: int) -> Tensor:
    if index.is_floating_point() or index.dtype == torch.bool:
        return index  # the look-up refuses it
    return torch.where((index >= 0) & (index < n_rows), index, 0)


def _groups(
    history_features: Sequence[SequenceFeature],
    target_features: Sequence[VectorFeature],
    pairs: Mapping[str, str],
) -> list[HistoryGroup]:
    """Each history with its target."""
    target_named = {
        target.name: target for target in target_features if isinstance(target, SparseFeature)
    }
    return [([history], [target_named[pairs[history.name]]]) for history in history_features]
