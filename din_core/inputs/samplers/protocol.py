"""What a negative sampler is: from draws to items.

Shapes: N draws. No tensors here.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from din_core.errors import RefusedOptionsError
from din_core.inputs.samplers.hashing import Integers, draw

#: Added to k for a second draw: no k of a first one is as large. SQL adds the same.
SECOND_DRAW = 1 << 29


class SamplingError(RefusedOptionsError):
    """A sampler cannot draw from this log; the message says why and what to choose instead."""


@dataclass(frozen=True)
class Draws:
    """Draws that are asked for: the k-th negative beside each of N positives.

    Attributes:
        seed: Seed of the draw, below 2**30.
        user: Users, 1 … n_users, int64 ``[N]``.
        position: Positions of the positives, ``[N]``.
        item: Items of the positives, ``[N]``.
        k: Number of the negative, from 1.
        users: Index that each user is hashed by, int ``[U + 1]``, where the log holds some of the
            users only and counts them itself; None where ``user`` is that index.
    """

    seed: int
    user: npt.NDArray[np.int64]
    position: Integers
    item: Integers
    k: int
    users: Integers | None = None

    def numbers(self) -> npt.NDArray[np.int64]:
        """Return the draws, uniform on 0 … 2**32 - 1, ``[N]``."""
        return self._hashed(self.k)

    def second_numbers(self) -> npt.NDArray[np.int64]:
        """Return draws that are independent of :meth:`numbers`, likewise ``[N]``."""
        return self._hashed(self.k + SECOND_DRAW)

    def take(self, rows: npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> Draws:
        """Return some of the draws, in the order asked for."""
        return dataclasses.replace(
            self, user=self.user[rows], position=self.position[rows], item=self.item[rows]
        )

    def _hashed(self, k: int) -> npt.NDArray[np.int64]:
        user = self.user if self.users is None else self.users[self.user]
        return draw(self.seed, user, self.position, k).astype(np.int64)


class NegativeSampler(Protocol):
    """A way to sample negatives, made for what it may know of a log (a ``VisibleLog``).

    It lives for one epoch. What it precomputes may be as large as the log; what
    :meth:`items` needs, as large as the draws of one call, of which there are a million at most.
    """

    def items(self, draws: Draws) -> npt.NDArray[np.int64]:
        """Say which item each draw stands for.

        A function of the draw and the log, without state. The draws of a positive's user are told
        apart by position and k only, and the same draw is the same item in any company.

        Args:
            draws: N draws.

        Returns:
            Items, 1 … n_items, int64 ``[N]``; 0 where there is none to draw.
        """
        ...
