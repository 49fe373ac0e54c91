"""Users drawn with replacement: what every bootstrap interval is computed from.

The samples of a user depend on each other, so whole users are drawn and never single samples
(Cameron, Gelbach and Miller, *Bootstrap-Based Improvements for Inference with Clustered Errors*,
2008). A draw is a weight for each user, how often it was drawn: nothing is copied. Shapes: U users,
D draws, N samples, S sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from din_core.metrics.scored_samples import Floats, ScoredSamples

N_DRAWS = 300
# Elements of a block of rows and draws: 32 MB, whatever the number of samples.
_BLOCK = 4_000_000


@dataclass(frozen=True)
class UserDraws:
    """How often each user was drawn.

    Attributes:
        users: The users, ascending, ``[U]``.
        weights: How often each was drawn, whole numbers, ``[U, D]``; a column sums to U.
        n_users: Users that there are. Of more than are drawn from, a sample stands for all.
    """

    users: npt.NDArray[Any]
    weights: Floats
    n_users: int

    @property
    def shrinkage(self) -> float:
        """What a deviation is multiplied by: drawn from fewer users, a figure varies more."""
        return float(np.sqrt(len(self.users) / self.n_users)) if self.n_users else 1.0

    def restrict(self, samples: ScoredSamples) -> ScoredSamples:
        """Return the samples of the users that are drawn from."""
        if len(self.users) == self.n_users:
            return samples
        return samples.take(np.isin(samples.user_idx, self.users))

    def places(self, user_idx: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Return the row of :attr:`weights` of each sample, ``[N]``."""
        return np.searchsorted(self.users, user_idx)

    def totals(self, user_idx: npt.NDArray[Any], *values: npt.ArrayLike) -> Floats:
        """Sum values over the samples of each draw.

        Args:
            user_idx: Whose each sample is, ``[N]``.
            *values: S arrays ``[N]``.

        Returns:
            ``[S, D]``.
        """
        places = self.places(user_idx)
        by_user = [
            np.bincount(places, np.asarray(each, dtype=np.float64), minlength=len(self.users))
            for each in values
        ]
        return np.stack(by_user) @ self.weights

    def blocks(self, n_rows: int) -> Iterator[slice]:
        """Cut the draws so that a block of rows and draws stays small."""
        width = max(1, _BLOCK // max(1, n_rows))
        for first in range(0, self.weights.shape[1], width):
            yield slice(first, first + width)


def draw_users(
    user_idx: npt.NDArray[Any],
    n_draws: int = N_DRAWS,
    *,
    max_samples: int = 400_000,
    least_users: int = 1_000,
    seed: int = 2022,
) -> UserDraws:
    """Draw users with replacement; the same samples give the same draws.

    The cost grows with samples times draws. Of a larger split some users are drawn from, and
    deviations shrink by the square root of their share (the m out of n bootstrap).

    Args:
        user_idx: Whose each sample is, ``[N]``.
        n_draws: D.
        max_samples: About so many samples at most are drawn from,
        least_users: but so many users at least.
        seed: Seed of the draws.
    """
    users = np.unique(user_idx)
    n_users = len(users)
    rng = np.random.default_rng(seed)
    kept = max(least_users, int(n_users * max_samples / max(1, len(user_idx))))
    if kept < n_users:
        users = users[np.sort(rng.permutation(n_users)[:kept])]
    size = len(users)
    weights = np.empty((size, n_draws))
    for draw in range(n_draws):
        drawn = rng.integers(0, size, size) if size else np.zeros(0, dtype=np.int64)
        weights[:, draw] = np.bincount(drawn, minlength=size)
    return UserDraws(users, weights, n_users)
