"""By what the numbers of a log are measured: their mean and deviation over the training samples.

Nothing of validation and test enters. Shapes: N training samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from din_core.network.features import Normalization

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
    with np.errstate(over="ignore"):
        numbers = np.asarray(values, dtype=np.float32)
    there = numbers[np.isfinite(numbers)].astype(np.float64)
    has_missing = len(there) < len(numbers)
    if not len(there):
        return Normalization(has_missing=has_missing)
    # From the first one on, so that equal numbers differ from their mean by exactly 0.
    first = float(there[0])
    there -= first
    mean = float(there.mean())
    there -= mean
    std = float(np.sqrt(np.square(there, out=there).mean()))
    return Normalization(
        mean=first + mean, std=std if std >= _LEAST_STD else 1.0, has_missing=has_missing
    )


def of_owners(
    numbers: Mapping[str, Float32], owner: npt.NDArray[np.int32]
) -> dict[str, Normalization]:
    """Measure the numbers of items or users, each as often as a sample has it.

    Args:
        numbers: By column, the number of each item or user.
        owner: Item or user of each training sample, int32 ``[N]``.
    """
    return {name: normalization_of(of[owner]) for name, of in numbers.items()}


def of_context(names: Iterable[str], context: Float32 | None) -> dict[str, Normalization]:
    """Measure the numbers that belong to the samples themselves.

    Args:
        names: C columns.
        context: float32 ``[N, C]``; ``None`` where there is no column.
    """
    return (
        {} if context is None else dict(zip(names, map(normalization_of, context.T), strict=True))
    )
