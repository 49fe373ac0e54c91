"""Target attention over flat histories: the activation unit of DIN, and pooling.

Tensors carry their shape as a suffix: B samples, P history positions of all of them together (no
padding), D embedding width, H width of the unit's first hidden layer, L padded length (evaluation
of exported models only). Arguments of public functions have their shapes in the docstring.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from din_core.network.layers.folded import Gate, gate_of
from din_core.network.layers.mlp import MLP
from din_core.network.layers.segments import later_positions, segment_softmax, segment_sum

if TYPE_CHECKING:
    from din_core.network.layers.dice import ActivationName

#: Embedding widths up to which a product with a matrix of each position is bound by its result.
_NARROW = 16


class ActivationKernel(Protocol):
    """Another way to compute :meth:`ActivationUnit.forward`: same arguments, values and gradients.

    It reads the unit's parameters (``unit.mlp.layers``, ``.activations``, ``.output``), and in
    training hands each Dice its batch statistics with ``Dice.track``, as the plain formula does.
    """

    def __call__(
        self,
        unit: ActivationUnit,
        target: Tensor,
        history: Tensor,
        segment_ids: Tensor,
        offsets: Tensor,
    ) -> Tensor:
        """Return the pooled interest ``[B, D]``."""
        ...

    def with_sum(
        self,
        unit: ActivationUnit,
        target: Tensor,
        history: Tensor,
        segment_ids: Tensor,
        offsets: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return the pooled interest and the sum of each history, ``[B, D]``."""
        ...


class ActivationUnit(nn.Module):
    """Local activation unit (arXiv 1706.06978, section 4.3): how a candidate weighs a history.

    For every history position with embedding *h* of a sample with candidate embedding *t*::

        x = [t, h, t - h, t * h]                       4 D
        a = activation(W1 x + b1), then the further hidden layers
        w = output . a + c + b_j                       one number, the weight
        interest of the sample = sum over its positions of w * h

    Weights are not normalised by default, so that the length of the interest vector carries its
    strength. With ``use_softmax`` they are, over the sample's own positions. A sample without
    history has the zero vector. Dice takes its statistics over all P positions of the batch.
    With ``position_bias`` a weight has a learned term *b_j*, where *j* says how many positions of
    the same history are later; without it, the term is not there.

    The first layer is never computed on the concatenation. With ``W1 = [Wt, Wh, Wd, Wp]``,
    ``W1 x + b1 = ((Wt + Wd) t + b1) + (Wh - Wd) h + Wp (t * h)``: the bracket once per sample, and
    half the width for each position. :meth:`scores_by_concatenation` is the formula as it stands
    in the paper; a test holds the two against each other.

    Args:
        embed_dim: D.
        dims: Widths of the hidden layers, at least one.
        activation: Hidden activation, by name.
        use_softmax: Normalise the weights over each sample's positions.
        position_bias: How many of the latest positions have a bias each; earlier ones share the
            last. 0 gives none.

    Attributes:
        mlp: The parameters of the formula: ``mlp.layers[0].weight`` is ``[dims[0], 4 D]`` with its
            columns in the order t, h, t - h, t * h.
        position_bias: The biases, that of the latest position first, ``[position_bias]``, all 0 at
            the start; ``None`` where there are none.
        kernel: ``None`` for the plain formula, or an :data:`ActivationKernel` to run instead.

    Raises:
        ValueError: No hidden layer, or as :class:`MLP`.
    """

    def __init__(
        self,
        embed_dim: int,
        dims: Sequence[int] = (256, 128),
        activation: ActivationName = "dice",
        use_softmax: bool = False,
        position_bias: int = 0,
    ) -> None:
        super().__init__()
        if not dims:
            raise ValueError("an activation unit needs at least one hidden layer; dims is empty")
        self.embed_dim = embed_dim
        self.use_softmax = use_softmax
        self.mlp = MLP(4 * embed_dim, dims, activation)
        self.position_bias = nn.Parameter(torch.zeros(position_bias)) if position_bias else None
        self.kernel: ActivationKernel | None = None

    def forward(
        self, target: Tensor, history: Tensor, segment_ids: Tensor, offsets: Tensor
    ) -> Tensor:
        """Pool each sample's history by its relevance to the candidate.

        Args:
            target: Candidate embeddings ``[B, D]``.
            history: Embeddings of all history positions ``[P, D]``.
            segment_ids: Sample of each position, int64 ``[P]``, not decreasing.
            offsets: First position of each sample and P at the end, int64 ``[B + 1]``.

        Returns:
            Interest vectors ``[B, D]``.
        """
        if self.kernel is not None:
            return self.kernel(self, target, history, segment_ids, offsets)
        return self.by_formula(target, history, segment_ids)

    def with_sum(
        self, target: Tensor, history: Tensor, segment_ids: Tensor, offsets: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Pool each sample's history, and add it up; arguments as :meth:`forward`.

        Returns:
            Interest vectors, and sums of the histories, ``[B, D]`` each.
        """
        if self.kernel is not None:
            return self.kernel.with_sum(self, target, history, segment_ids, offsets)
        pooled = self.by_formula(target, history, segment_ids)
        return pooled, segment_sum(history, segment_ids, target.shape[0])

    def by_formula(self, target: Tensor, history: Tensor, segment_ids: Tensor) -> Tensor:
        """The same, whatever the kernel: what runs without one, and its tested reference."""
        weights_P = self.weights(target, history, segment_ids)
        return segment_sum(weights_P.unsqueeze(1) * history, segment_ids, target.shape[0])

    def weights(self, target: Tensor, history: Tensor, segment_ids: Tensor) -> Tensor:
        """What each position is multiplied by, ``[P]``: with softmax shares of 1, else anything."""
        scores_P = self.scores(target, history, segment_ids)
        if (biases_P := self.biases(segment_ids, target.shape[0])) is not None:
            scores_P = scores_P + biases_P
        if self.use_softmax:
            return segment_softmax(scores_P, segment_ids, target.shape[0])
        return scores_P

    def scores(self, target: Tensor, history: Tensor, segment_ids: Tensor) -> Tensor:
        """What embeddings alone give each position, ``[P]``, by the split formula."""
        of_target_HD, of_position_H2D = self._first_layer()
        target_term_BH = nn.functional.linear(target, of_target_HD, self.mlp.first_layer.bias)
        x_P2D = torch.cat([history, target[segment_ids] * history], dim=1)
        return self.mlp.from_first_layer(
            nn.functional.linear(x_P2D, of_position_H2D) + target_term_BH[segment_ids]
        )

    def scores_by_concatenation(
        self, target: Tensor, history: Tensor, segment_ids: Tensor
    ) -> Tensor:
        """The same as the paper draws it, ``[P]``: slow, and the reference."""
        t_PD = target[segment_ids]
        return self.mlp(torch.cat([t_PD, history, t_PD - history, t_PD * history], dim=1))

    def biases(self, segment_ids: Tensor, n_rows: int) -> Tensor | None:
        """What positions add to their weights, ``[P]``; ``None`` where there are no biases.

        Args:
            segment_ids: Sample of each position, int64 ``[P]``, not decreasing.
            n_rows: B.
        """
        if self.position_bias is None:
            return None
        n_later_P = later_positions(segment_ids, n_rows)
        last = self.position_bias.shape[0] - 1
        # Not by an index in brackets, whose gradient is added up one by one on the CPU.
        return self.position_bias.index_select(0, n_later_P.clamp(max=last))

    def pool_padded(self, target: Tensor, history: Tensor, is_position: Tensor) -> Tensor:
        """The same on rectangles, for exported graphs; evaluation only.

        Args:
            target: ``[B, D]``.
            history: ``[B, L, D]``, anything where there is padding.
            is_position: bool ``[B, L]``, false where there is padding.

        Returns:
            Interest vectors ``[B, D]``.
        """
        gate, of_target_HD, of_position_H2D, bias_H = self._folded_first_layer()
        t_B1D = target.unsqueeze(1)
        target_term_B1H = nn.functional.linear(t_B1D, of_target_HD, bias_H)
        x_BL2D = torch.cat([history, t_B1D * history], dim=2)
        u_BLH = nn.functional.linear(x_BL2D, of_position_H2D) + target_term_B1H
        scores_BL = self.mlp.from_folded_layer(gate, u_BLH.flatten(0, 1)).view(is_position.shape)
        return (self.weights_of(scores_BL, history, is_position).unsqueeze(2) * history).sum(1)

    def pool_shared(self, target: Tensor, history: Tensor) -> Tensor:
        """The same where all samples have one history, for exported graphs; evaluation only.

        Args:
            target: ``[B, D]``.
            history: ``[L, D]``, without padding.

        Returns:
            Interest vectors ``[B, D]``.
        """
        return self.weights_of(self.shared_scores(target, history), history) @ history

    def shared_scores(self, target: Tensor, history: Tensor) -> Tensor:
        """What embeddings alone give ``[B, L]``, of one history that all samples have.

        ``Wp (t * h)`` is ``(Wp diag(h)) t``. So what a position does to its sample's candidate is
        a matrix of its own, made once, and the first layer of all positions one product with the
        candidates: ``(Wt + Wd + Wp diag(h)) t + (Wh - Wd) h + b1``.

        Args:
            target: ``[B, D]``.
            history: ``[L, D]``.
        """
        gate, of_target_HD, of_position_H2D, bias_H = self._folded_first_layer()
        w_h_HD, w_p_HD = of_position_H2D.split(self.embed_dim, dim=1)
        # For each d, [h_d, 1] [w_p; w_t]: a product of matrices where two passes would do it, too.
        h_DL2 = torch.stack([history.t(), torch.ones_like(history).t()], dim=2)
        matrix_DLH = h_DL2 @ torch.stack([w_p_HD.t(), of_target_HD.t()], dim=1)
        matrix_DN = matrix_DLH.flatten(1)
        term_N = nn.functional.linear(history, w_h_HD, bias_H).view(-1)
        if gate.dice is not None and self.embed_dim <= _NARROW:
            # As one more row: written beforehand, the term costs as much as so narrow a product.
            matrix_DN = torch.cat([matrix_DN, term_N.unsqueeze(0)])
            ones_B1 = target.new_ones(target.shape[0], 1)
            u_BN = torch.cat([target, ones_B1], dim=1) @ matrix_DN
        else:
            u_BN = torch.addmm(term_N, target, matrix_DN)
        scores = self.mlp.from_folded_layer(gate, u_BN, history.shape[0])
        # Not by the shape of `u`: an activation is fused with a product that nothing else reads.
        return scores.view(target.shape[0], history.shape[0])

    def weights_of(
        self, scores: Tensor, history: Tensor, is_position: Tensor | None = None
    ) -> Tensor:
        """What positions are weighed with, given what their embeddings say.

        Args:
            scores: ``[B, L]``, or ``[1, L]`` where that is the same for all samples.
            history: What the positions hold, ``[B, L, D]`` or ``[L, D]``.
            is_position: bool ``[B, L]``, false where there is padding; ``None`` where there is
                none.

        Returns:
            ``[B, L]``, 0 where there is padding.
        """
        if self.position_bias is not None:
            scores = scores + self._biases_of(history, is_position)
        if is_position is None:
            return torch.softmax(scores, dim=1) if self.use_softmax else scores
        if self.use_softmax:
            # Far below every score, yet finite: a row of padding alone must not become NaN.
            scores = torch.softmax(scores.masked_fill(~is_position, -1e30), dim=1)
        return scores * is_position.to(scores.dtype)

    def _biases_of(self, history: Tensor, is_position: Tensor | None) -> Tensor:
        """As :meth:`biases`, on rectangles: ``[B, L]``, or ``[1, L]`` without padding."""
        assert self.position_bias is not None
        if is_position is None:
            # Not by the shape of the scores: what candidates decide is computed for each block.
            length = history.shape[-2]
            n_later = (length - torch.arange(1, length + 1, device=history.device)).unsqueeze(0)
        else:
            n_later = is_position.sum(1, keepdim=True) - is_position.long().cumsum(1)
        return self.position_bias[n_later.clamp(max=self.position_bias.shape[0] - 1)]

    def _first_layer(self) -> tuple[Tensor, Tensor]:
        """Weights on the target ``[H, D]``, and on ``[h, t * h]`` of a position ``[H, 2 D]``."""
        weight, d = self.mlp.first_layer.weight, self.embed_dim
        w_t, w_h = weight[:, :d], weight[:, d : 2 * d]
        w_d, w_p = weight[:, 2 * d : 3 * d], weight[:, 3 * d :]
        return w_t + w_d, torch.cat([w_h - w_d, w_p], dim=1)

    def _folded_first_layer(self) -> tuple[Gate, Tensor, Tensor, Tensor]:
        """The same for the gate that comes first, with the gate before and the bias ``[H]``."""
        of_target_HD, of_position_H2D = self._first_layer()
        gate = gate_of(self.mlp.activations[0])
        of_target_HD, bias_H = gate.layer_before(of_target_HD, self.mlp.first_layer.bias)
        of_position_H2D, _ = gate.layer_before(of_position_H2D, bias_H)
        return gate, of_target_HD, of_position_H2D, bias_H


def drop_kernels(model: nn.Module) -> None:
    """Take a model's activation kernels away: what is kept must run where no compiler is."""
    for module in model.modules():
        if isinstance(module, ActivationUnit):
            module.kernel = None


@contextmanager
def plain_formula(model: nn.Module) -> Generator[None]:
    """Run a model without its activation kernels for a while: to draw, export or compare it."""
    units = [module for module in model.modules() if isinstance(module, ActivationUnit)]
    kernels = [unit.kernel for unit in units]
    for unit in units:
        unit.kernel = None
    try:
        yield
    finally:
        for unit, kernel in zip(units, kernels, strict=True):
            unit.kernel = kernel
