"""Operations on flat histories, each over the positions of one sample.

The positions of all samples lie one after the other, without padding; those of one sample are a
segment. Tensors carry their shape as a suffix: B samples, P positions, D embedding width.
"""

from __future__ import annotations

import torch
from torch import Tensor


def segment_sum(values: Tensor, segment_ids: Tensor, n_rows: int) -> Tensor:
    """Sum positions into their samples.

    Args:
        values: ``[P, D]``.
        segment_ids: Sample of each position, int64 ``[P]``.
        n_rows: B.

    Returns:
        ``[B, D]``, zero where a sample has no position.
    """
    return values.new_zeros(n_rows, values.shape[1]).index_add(0, segment_ids, values)


def later_positions(segment_ids: Tensor, n_rows: int) -> Tensor:
    """Count for each position those of its sample that are later.

    Args:
        segment_ids: Sample of each position, int64 ``[P]``, not decreasing.
        n_rows: B.

    Returns:
        int64 ``[P]``, 0 for the latest position of a sample.

    Example:
        >>> later_positions(torch.tensor([0, 0, 2, 2, 2]), 3).tolist()
        [1, 0, 2, 1, 0]
    """
    ones_P = torch.ones_like(segment_ids)
    counts_B = segment_ids.new_zeros(n_rows).index_add(0, segment_ids, ones_P)
    number_P = torch.arange(1, segment_ids.shape[0] + 1, device=segment_ids.device)
    return counts_B.cumsum(0)[segment_ids] - number_P


def segment_softmax(scores: Tensor, segment_ids: Tensor, n_rows: int) -> Tensor:
    """Softmax over the positions of each sample.

    Args:
        scores: ``[P]``.
        segment_ids: Sample of each position, int64 ``[P]``.
        n_rows: B.

    Returns:
        ``[P]``, summing to 1 in every sample that has a position; float32 at least.
    """
    scores_P = scores.to(torch.promote_types(scores.dtype, torch.float32))
    # The maximum only keeps exp() in range and cancels out, so no gradient is due to it.
    largest_B = scores_P.new_full((n_rows,), -torch.inf)
    largest_B = largest_B.scatter_reduce(0, segment_ids, scores_P.detach(), "amax")
    exponentials_P = torch.exp(scores_P - largest_B[segment_ids])
    total_B = scores_P.new_zeros(n_rows).index_add(0, segment_ids, exponentials_P)
    return exponentials_P / total_B[segment_ids]
