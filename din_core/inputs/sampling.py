"""Negative sampling in NumPy: the same hash and the same uniform draw as ``sql/sequences``.

The table ``negatives`` is drawn in SQL; training redraws from here, each epoch. Both give the same
items for the same ``(seed, user, position, k)``: the draw is a function, there is no generator
state, so any part of an epoch can be drawn alone, in any order, on any machine.
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

# Rows drawn at a time: bounds the working memory to some tens of megabytes.
_CHUNK_ROWS = 1 << 20

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


def draw_negatives(
    *,
    seed: int,
    user_idx: Integers,
    position: Integers,
    k: Integers | int,
    interacted_items: Integers,
    interacted_offsets: Integers,
    n_items: int,
) -> npt.NDArray[np.int64]:
    """Draw one free item for each row: exact, from one draw, without rejection, uniform.

    With ``n_free`` free items, the draw picks a number ``1 + draw * n_free // 2**32``. Where
    the user has interacted with that item, it is a hole. There are as many holes as spares, the
    free items above ``n_free``, and the j-th hole is filled by the j-th spare.

    Args:
        seed: Seed of the draw (see :func:`epoch_seed`).
        user_idx: Users, ``[N]``, 1 ... n_users. Rows in user order are drawn fastest.
        position: Positions of the positives, ``[N]``.
        k: Number of the negative, ``[N]`` or one for all.
        interacted_items: Items that may not be drawn, ``[T]``: for user 1, 2, ... in turn, sorted
            and without repetition within a user, values 1 ... n_items.
        interacted_offsets: ``[n_users + 1]``; the items of user u are
            ``interacted_items[interacted_offsets[u - 1] : interacted_offsets[u]]``.
        n_items: Size of the catalogue, items 1 ... n_items.

    Returns:
        Items, ``[N]``; 0 where the user has interacted with every item.

    Raises:
        ValueError: The seed, the catalogue or a user is out of range.

    Example:
        Two users, three items; the first has interacted with items 1 and 2, the second all of them.

        >>> draw_negatives(
        ...     seed=1, user_idx=np.array([1, 2]), position=np.array([2, 2]), k=1,
        ...     interacted_items=np.array([1, 2, 1, 2, 3]), interacted_offsets=np.array([0, 2, 5]),
        ...     n_items=3,
        ... )
        array([3, 0])
    """
    if not 0 <= n_items < 2**31:
        raise ValueError(f"n_items is {n_items}, must be 0 ... 2**31 - 1")
    users = np.asarray(user_idx)
    positions = np.asarray(position)
    numbers = np.broadcast_to(np.asarray(k), users.shape)
    offsets = np.asarray(interacted_offsets).astype(np.int64, copy=False)
    if users.size and (users.min() < 1 or users.max() >= len(offsets)):
        raise ValueError(
            f"user_idx runs {users.min()} ... {users.max()}, "
            f"interacted_offsets holds the users 1 ... {len(offsets) - 1}"
        )
    interacted = np.asarray(interacted_items)
    # One ascending scale for all users. Item 0 is nobody's, so n_items + 1 keeps the users apart.
    scale = n_items + 1
    keys = np.repeat(np.arange(1, len(offsets), dtype=np.int64) * scale, np.diff(offsets))
    keys += interacted
    drawn = np.empty(users.shape, dtype=np.int64)
    for start in range(0, len(users), _CHUNK_ROWS):
        rows = slice(start, start + _CHUNK_ROWS)
        user = users[rows].astype(np.int64)
        n_free = n_items - (offsets[user] - offsets[user - 1])
        hashed = draw(seed, users[rows], positions[rows], numbers[rows]).astype(np.int64)
        item = np.where(n_free > 0, ((hashed * n_free) >> 32) + 1, 0)
        holes = np.flatnonzero(_is_among(keys, user * scale + item))
        first, last = offsets[user[holes] - 1], offsets[user[holes]]
        item[holes] = _spares(
            interacted,
            number=np.searchsorted(keys, user[holes] * scale + item[holes]) - first,
            begin=np.searchsorted(keys, user[holes] * scale + n_free[holes], side="right"),
            end=last,
            n_free=n_free[holes],
        )
        drawn[rows] = item
    return drawn


def _is_among(keys: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Tell for each wanted value whether it is one of the ascending keys."""
    if not len(keys):
        return np.zeros(len(wanted), dtype=np.bool_)
    # Ascending look-ups walk through the keys once; in any other order each is a walk through
    # memory of its own, which on large logs costs ten times the sort.
    order = np.argsort(wanted)
    ascending = wanted[order]
    place = np.minimum(np.searchsorted(keys, ascending), len(keys) - 1)
    among = np.empty(len(wanted), dtype=np.bool_)
    among[order] = keys[place] == ascending
    return among


def _spares(
    interacted: Integers,
    *,
    number: npt.NDArray[np.int64],
    begin: npt.NDArray[np.int64],
    end: npt.NDArray[np.int64],
    n_free: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Find free items above ``n_free`` by their number, from 0.

    Those of them above ``n_free`` are ``interacted[begin:end]``. Below the i-th (from 0) lie
    ``interacted[begin + i] - n_free - 1 - i`` spares, which never falls with i: a binary search,
    for all at once, says how many of them to step over.
    """
    low, high = begin.copy(), end.copy()
    while (open_ := low < high).any():
        middle = (low + high) // 2
        item = interacted[np.where(open_, middle, 0)].astype(np.int64)
        below = open_ & (item - n_free - 1 - (middle - begin) <= number)
        low = np.where(below, middle + 1, low)
        high = np.where(open_ & ~below, middle, high)
    return n_free + 1 + number + (low - begin)


def _check_seed(seed: int) -> None:
    if not 0 <= seed < _SEED_LIMIT:
        raise ValueError(f"seed is {seed}, must be 0 ... 2**30 - 1 (the draw's arithmetic)")
