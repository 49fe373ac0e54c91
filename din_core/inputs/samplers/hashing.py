"""The draw: a hash in NumPy, the same function as ``sql/macros/draw.jinja``.

There is no generator state, so any part of an epoch can be drawn alone, in any order, on any
machine. What item a draw stands for is the concern of the samplers beside this file.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.integer]

# lowbias32 by Chris Wellons (public domain): two multiplications, three shifts; bias 0.17.
_SEED, _USER, _POSITION, _K = (
    np.uint32(word) for word in (668265263, 374761393, 1274126177, 1812433253)
)
_FIRST, _SECOND = np.uint32(0x7FEB352D), np.uint32(0x846CA68B)

_SEED_LIMIT = 1 << 30


def draw(
    seed: int, user_idx: Integers, position: Integers, k: Integers | int
) -> npt.NDArray[np.uint32]:
    """Hash ``(seed, user, position, k)`` to a number uniform on 0 ... 2**32 - 1.

    Args:
        seed: Seed, 0 or more, below 2**30.
        user_idx: Indices of users, ``[N]``, below 2**30.
        position: Positions of the positives, ``[N]``, below 2**30.
        k: Number of the negative, ``[N]`` or one for all, below 2**30.

    Returns:
        The draws, ``[N]``.

    Raises:
        ValueError: The seed is out of its range.

    Example:
        >>> draw(2022, np.array([1, 1]), np.array([2, 3]), 1)
        array([ 814899939, 3250521777], dtype=uint32)
    """
    _check_seed(seed)
    x = np.asarray(user_idx).astype(np.uint32) * _USER
    x += np.asarray(position).astype(np.uint32) * _POSITION
    # Python integers reduced by hand: NumPy refuses an overflowing scalar product.
    x += np.asarray(k).astype(np.uint32) * _K
    x += np.uint32(seed * int(_SEED) & 0xFFFFFFFF)
    x ^= x >> np.uint32(16)
    x *= _FIRST
    x ^= x >> np.uint32(15)
    x *= _SECOND
    x ^= x >> np.uint32(16)
    return x


def epoch_seed(seed: int, epoch: int) -> int:
    """Join the epoch to the seed, so that every epoch draws other negatives.

    Args:
        seed: Seed of the run, below 2**30.
        epoch: Number of the epoch, from 0. Epoch 0 draws with the seed itself.

    Returns:
        A seed below 2**30.
    """
    _check_seed(seed)
    if epoch == 0:
        return seed
    # Position 0 is no sample's, so this hash meets none of the draws it seeds.
    return int(draw(seed, np.array([epoch]), np.array([0]), 0)[0]) >> 2


def _check_seed(seed: int) -> None:
    if not 0 <= seed < _SEED_LIMIT:
        raise ValueError(f"seed is {seed}, must be 0 ... 2**30 - 1 (the draw's arithmetic)")
