"""What a network does across the positions of a history, whatever way they lie in memory.

A network is written once, on :class:`Positions`: training hands it flat histories, and exported
graphs rectangles, because servers send those, or one history for many candidates. Shapes: B
samples, P history positions of all of them together, D embedding width, L padded length.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from din_core.network.layers.segments import segment_sum

if TYPE_CHECKING:
    from din_core.network.layers.attention import ActivationUnit


def _no_weights() -> list[Tensor]:
    return []


class Positions(Protocol):
    """Pools embeddings of positions into one vector a sample, zero without any position."""

    def sum(self, history: Tensor) -> Tensor:
        """Add up the positions of each sample.

        Args:
            history: Embeddings of all positions, ``[P, D]`` or ``[B, L, D]``; of a history that
                all samples share ``[L, D]``.

        Returns:
            ``[B, D]``.
        """
        ...

    def attend(self, unit: ActivationUnit, target: Tensor, history: Tensor) -> Tensor:
        """Pool the positions of each sample by the weights that its candidate gives them.

        Args:
            unit: Computes the weights.
            target: Embeddings of the candidates, ``[B, D]``.
            history: As above.

        Returns:
            Interest vectors ``[B, D]``.
        """
        ...


@dataclass(frozen=True)
class FlatPositions:
    """Positions of all samples in one row, as in a :class:`din_core.network.batch.Batch`.

    Attributes:
        segment_ids: Sample of each position, int64 ``[P]``.
        offsets: First position of each sample and P at the end, int64 ``[B + 1]``.
    """

    segment_ids: Tensor
    offsets: Tensor

    def sum(self, history: Tensor) -> Tensor:
        """As :meth:`Positions.sum`, of ``[P, D]``."""
        return segment_sum(history, self.segment_ids, self.offsets.shape[0] - 1)

    def attend(self, unit: ActivationUnit, target: Tensor, history: Tensor) -> Tensor:
        """As :meth:`Positions.attend`, of ``[P, D]``."""
        return unit(target, history, self.segment_ids, self.offsets)


@dataclass(frozen=True)
class RecordingPositions(FlatPositions):
    """The same, and keeps the weights that the units give: to explain an answer.

    Attributes:
        weights: Those of each unit, ``[P]``, in the order in which the network asked the units.
    """

    weights: list[Tensor] = field(default_factory=list[Tensor])

    def attend(self, unit: ActivationUnit, target: Tensor, history: Tensor) -> Tensor:
        """As :meth:`Positions.attend`, of ``[P, D]``, by the plain formula."""
        weights_P = unit.weights(target, history, self.segment_ids)
        self.weights.append(weights_P)
        return self.sum(weights_P.unsqueeze(1) * history)


@dataclass(frozen=True)
class PaddedPositions:
    """Rectangles, where some positions are padding. Evaluation only.

    Attributes:
        is_position: False where there is padding, bool ``[B, L]``.
    """

    is_position: Tensor

    def sum(self, history: Tensor) -> Tensor:
        """As :meth:`Positions.sum`, of ``[B, L, D]``."""
        return (history * self.is_position.unsqueeze(2).to(history.dtype)).sum(1)

    def attend(self, unit: ActivationUnit, target: Tensor, history: Tensor) -> Tensor:
        """As :meth:`Positions.attend`, of ``[B, L, D]``."""
        return unit.pool_padded(target, history, self.is_position)


@dataclass(frozen=True)
class SharedPositions:
    """One history for all samples, which differ in their candidates: a ranking. Evaluation only.

    What depends on the history alone is computed once, whatever the number of candidates.

    Attributes:
        rows: As many zeros as there are samples, int64 ``[B]``: every sample takes row 0.
    """

    rows: Tensor

    def sum(self, history: Tensor) -> Tensor:
        """As :meth:`Positions.sum`, of ``[L, D]``."""
        return history.sum(0, keepdim=True)[self.rows]

    def attend(self, unit: ActivationUnit, target: Tensor, history: Tensor) -> Tensor:
        """As :meth:`Positions.attend`, of ``[L, D]``."""
        return unit.pool_shared(target, history)


@dataclass(frozen=True)
class PartsOfOne:
    """One history and one candidate; a sample sees some of the positions. Evaluation only.

    Attributes:
        is_position: False where a sample does not see a position, bool ``[B, L]``.
        weights: The weights of all positions, ``[L]``, of each unit that attended, in that order:
            as they are where all positions are seen.
    """

    is_position: Tensor
    weights: list[Tensor] = field(default_factory=_no_weights)

    def sum(self, history: Tensor) -> Tensor:
        """As :meth:`Positions.sum`, of ``[L, D]``."""
        return self.is_position.to(history.dtype) @ history

    def attend(self, unit: ActivationUnit, target: Tensor, history: Tensor) -> Tensor:
        """As :meth:`Positions.attend`, of ``[L, D]``; all rows of the target are equal."""
        scores_1L = unit.shared_scores(target[:1], history)
        self.weights.append(unit.weights_of(scores_1L, history)[0])
        # An event that a sample does not see makes those before it one position later.
        return unit.weights_of(scores_1L, history, self.is_position) @ history


def attend_and_sum(
    positions: Positions, unit: ActivationUnit, target: Tensor, history: Tensor
) -> tuple[Tensor, Tensor]:
    """Pool the positions of each sample both ways; a kernel then reads them once.

    Args:
        positions: Pools them.
        unit: As :meth:`Positions.attend`, and so the rest.
        target: Embeddings of the candidates, ``[B, D]``.
        history: Embeddings of all positions.

    Returns:
        Interest vectors and plain sums, ``[B, D]`` each.
    """
    if type(positions) is FlatPositions:  # a subclass attends in its own way
        return unit.with_sum(target, history, positions.segment_ids, positions.offsets)
    return positions.attend(unit, target, history), positions.sum(history)
