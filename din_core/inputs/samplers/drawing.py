"""All negatives of some positives, drawn in chunks so that the working memory stays small."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from din_core.inputs.samplers.hashing import Integers
from din_core.inputs.samplers.protocol import Draws, NegativeSampler
from din_core.inputs.samplers.visible_log import VisibleLog

# Draws at a time: bounds the working memory to some tens of megabytes.
_CHUNK_ROWS = 1 << 20


def draw_negatives(
    make: Callable[[VisibleLog], NegativeSampler],
    log: VisibleLog,
    *,
    seed: int,
    user_idx: Integers,
    position: Integers,
    item_idx: Integers,
    per_positive: int,
) -> npt.NDArray[np.int32]:
    """Draw the negatives of some positives.

    Args:
        make: The sampler, one of :data:`din_core.inputs.samplers.SAMPLERS` for instance.
        log: What it may know.
        seed: Seed of the draw (see :func:`din_core.inputs.samplers.hashing.epoch_seed`).
        user_idx: Users of the positives, ``[N]``. Rows in user order are drawn fastest.
        position: Their positions, ``[N]``.
        item_idx: Their items, ``[N]``.
        per_positive: Negatives for each, n.

    Returns:
        Items, int32 ``[N, n]``; column ``k - 1`` holds the k-th negatives. 0 where there is none.

    Raises:
        ValueError: The seed or a user is out of range.
        SamplingError: The sampler cannot draw from this log.

    Example:
        Two users, three items; the first has interacted with items 1 and 2, the second all of them.

        >>> from din_core.inputs.samplers.uniform import UniformSampler
        >>> log = VisibleLog(
        ...     n_items=3,
        ...     interacted_items=np.array([1, 2, 1, 2, 3], dtype=np.int32),
        ...     interacted_offsets=np.array([0, 2, 5]),
        ...     item_counts=np.array([0, 2, 2, 1]),
        ...     item_attributes={},
        ... )
        >>> draw_negatives(
        ...     UniformSampler, log, seed=1, user_idx=np.array([1, 2]), position=np.array([2, 2]),
        ...     item_idx=np.array([2, 3]), per_positive=2,
        ... )
        array([[3, 3],
               [0, 0]], dtype=int32)
    """
    n_users = len(log.interacted_offsets) - 1
    if user_idx.size and (user_idx.min() < 1 or user_idx.max() > n_users):
        raise ValueError(
            f"user_idx runs {user_idx.min()} ... {user_idx.max()}, the log holds the users "
            f"1 ... {n_users}"
        )
    negatives = np.empty((len(user_idx), per_positive), dtype=np.int32)
    sampler = make(log)
    for start in range(0, len(user_idx), _CHUNK_ROWS):
        rows = slice(start, start + _CHUNK_ROWS)
        user = user_idx[rows].astype(np.int64)
        for k in range(1, per_positive + 1):
            draws = Draws(seed, user, position[rows], item_idx[rows], k, log.users)
            negatives[rows, k - 1] = sampler.items(draws)
    return negatives
