"""From data frames of samples to what features and loaders take: sizes, and arrays of one length.

Shapes: N samples, L padded length of a history.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from din_core.network.features import auto_embed_dim


def get_auto_embedding_dim(num_classes: int) -> int:
    """Width of an embedding by DCN's rule; see :func:`din_core.network.features.auto_embed_dim`.

    Example:
        >>> get_auto_embedding_dim(10_000)
        60
    """
    return auto_embed_dim(num_classes)


def vocabulary_sizes(*frames: pd.DataFrame) -> dict[str, int]:
    """Rows that each embedding table needs: the largest index of all frames, plus one.

    torch-rechub's tutorial reads them off its input, which its ``generate_seq_feature`` has
    overwritten with indices. Here the input is not changed and the answer is in the result: give
    it all three frames.

    Args:
        frames: What :func:`generate_seq_feature` returned.

    Returns:
        Column to size, ``label`` and columns of numbers left out. A target and its history have
        one size.

    Raises:
        ValueError: No frame.
    """
    if not frames:
        raise ValueError("no data frame; pass train, val and test")
    largest: dict[str, int] = {}
    for frame in frames:
        for name, column in frame.items():
            if name == "label" or frame.empty or column.dtype.kind == "f":
                continue
            values = np.stack(column.tolist()) if column.dtype == object else column.to_numpy()
            largest[str(name)] = max(largest.get(str(name), 0), int(values.max(initial=0)))
    for name in list(largest):
        history = name.replace("target_", "hist_", 1)
        if name.startswith("target_") and history in largest:
            largest[name] = largest[history] = max(largest[name], largest[history])
    return {name: size + 1 for name, size in largest.items()}


def df_to_dict(data: pd.DataFrame) -> dict[str, npt.NDArray[Any]]:
    """Turn a frame of samples into the arrays that the loaders and the model take.

    Args:
        data: Plain columns, and columns of equally long lists or arrays.

    Returns:
        Column to array ``[N]``, or ``[N, L]`` for lists.

    Raises:
        ValueError: A column's lists have different lengths.
    """
    return {str(name): _array(name, column) for name, column in data.items()}


def _array(name: Hashable, column: pd.Series) -> npt.NDArray[Any]:
    if column.dtype != object:
        return column.to_numpy()
    try:
        return np.array(column.tolist())
    except ValueError as error:
        raise ValueError(
            f"column {name!r} holds lists of different lengths; even them out with pad_sequences"
        ) from error


def pad_sequences(
    sequences: Sequence[Sequence[float]],
    maxlen: int | None = None,
    dtype: str = "int32",
    padding: Literal["pre", "post"] = "pre",
    truncating: Literal["pre", "post"] = "pre",
    value: float = 0.0,
) -> npt.NDArray[Any]:
    """Bring sequences to one length.

    Args:
        sequences: N sequences of numbers.
        maxlen: L; ``None`` takes the longest.
        dtype: Type of the result.
        padding: Where padding stands: before or after.
        truncating: Which end of a sequence that is too long is cut off.
        value: What padding is filled with.

    Returns:
        ``[N, L]``.

    Raises:
        ValueError: ``padding`` or ``truncating`` is neither ``pre`` nor ``post``.
    """
    for name, chosen in (("padding", padding), ("truncating", truncating)):
        if chosen not in ("pre", "post"):
            raise ValueError(f"{name} {chosen!r} is neither 'pre' nor 'post'")
    length = max(map(len, sequences), default=0) if maxlen is None else maxlen
    padded = np.full((len(sequences), length), value, dtype=dtype)
    for row, sequence in zip(padded, sequences, strict=True):
        kept = sequence[max(0, len(sequence) - length) :] if truncating == "pre" else sequence
        kept = kept[:length]
        start = length - len(kept) if padding == "pre" else 0
        row[start : start + len(kept)] = kept
    return padded
