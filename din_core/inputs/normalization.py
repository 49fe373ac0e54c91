"""By what the numbers of a log are measured: their mean and deviation over the training samples.

Nothing of validation and test enters. Shapes: N training samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from din_core.network.features import Normalization

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from din_core.inputs.flat_log import Samples
    from din_core.network.vocabulary import Vocabulary

Float32 = npt.NDArray[np.float32]

# Below it a quotient of two numbers of 32 bits may be infinite.
_LEAST_STD = float(np.finfo(np.float32).tiny)


def normalization_of(values: npt.ArrayLike) -> Normalization:
    """Measure numbers.

    Args:
        values: Numbers ``[N]``, NaN where a sample lacks one. They are taken in 32 bits, as the
            network takes them; what is infinite then is missing, too.

    Returns:
        Mean and population standard deviation of those that are there; 0 and 1 where none is, and a
        deviation of 1 where all are equal.

    Example:
        >>> normalization_of([1.0, 3.0, float("nan")])
        Normalization(mean=2.0, std=1.0, has_missing=True)
    """
    return Moments.of(values).normalization()


@dataclass(frozen=True)
class Moments:
    """What a part of some numbers adds to their mean and deviation.

    Attributes:
        n: How many there are.
        n_missing: How many are missing.
        mean: Of those that are there.
        squares: Sum of their squared differences from it.
    """

    n: int = 0
    n_missing: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Moments:
        """Measure numbers; see :func:`normalization_of`."""
        with np.errstate(over="ignore"):
            numbers = np.asarray(values, dtype=np.float32)
        there = numbers[np.isfinite(numbers)].astype(np.float64)
        n_missing = len(numbers) - len(there)
        if not len(there):
            return cls(n_missing=n_missing)
        # From the first one on, so that equal numbers differ from their mean by exactly 0.
        first = float(there[0])
        there -= first
        mean = float(there.mean())
        there -= mean
        return cls(len(there), n_missing, first + mean, float(np.square(there, out=there).sum()))

    def __add__(self, other: Moments) -> Moments:
        """Put two parts together."""
        if not self.n or not other.n:
            of = self if self.n else other
            return replace(of, n_missing=self.n_missing + other.n_missing)
        n, difference = self.n + other.n, other.mean - self.mean
        return Moments(
            n,
            self.n_missing + other.n_missing,
            self.mean + difference * other.n / n,
            self.squares + other.squares + difference**2 * self.n * other.n / n,
        )

    def normalization(self) -> Normalization:
        """Return mean and population standard deviation."""
        if not self.n:
            return Normalization(has_missing=self.n_missing > 0)
        std = math.sqrt(self.squares / self.n)
        return Normalization(
            mean=self.mean,
            std=std if std >= _LEAST_STD else 1.0,
            has_missing=self.n_missing > 0,
        )


@dataclass(frozen=True)
class LogMoments:
    """What the training samples of a log, or of a part of it, say of all of its numbers.

    Attributes:
        item: By column of numbers that describe the item, each as often as a sample has it.
        user: Likewise, the user.
        context: Likewise, the sample itself.
    """

    item: Mapping[str, Moments]
    user: Mapping[str, Moments]
    context: Mapping[str, Moments]

    @classmethod
    def of(
        cls,
        train: Samples,
        item_dense: Mapping[str, Float32],
        user_dense: Mapping[str, Float32],
        context_names: Iterable[str],
    ) -> LogMoments:
        """Measure.

        Args:
            train: The training samples.
            item_dense: By column, the number of each item.
            user_dense: By column, the number of each user.
            context_names: Columns of the numbers of ``train`` itself.
        """
        context = () if train.context is None else train.context.T
        return cls(
            {name: Moments.of(of[train.item]) for name, of in item_dense.items()},
            {name: Moments.of(of[train.user]) for name, of in user_dense.items()},
            dict(zip(context_names, map(Moments.of, context), strict=True)),
        )

    def __add__(self, other: LogMoments) -> LogMoments:
        """Put two parts of a log together."""
        return LogMoments(
            {name: each + other.item[name] for name, each in self.item.items()},
            {name: each + other.user[name] for name, each in self.user.items()},
            {name: each + other.context[name] for name, each in self.context.items()},
        )

    def put_into(self, vocabulary: Vocabulary) -> Vocabulary:
        """Return a vocabulary that measures by these."""
        return replace(
            vocabulary,
            item_dense={name: each.normalization() for name, each in self.item.items()},
            user_dense={name: each.normalization() for name, each in self.user.items()},
            context_dense={name: each.normalization() for name, each in self.context.items()},
        )
