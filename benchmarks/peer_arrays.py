"""Our samples as other CTR libraries read them: one row a sample, histories padded to one width.

Row *n* of every array is sample *n* of the split, so scores that come back are compared with the
same labels. Index 0 is padding, as in the pipeline's vocabularies.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from din_core.inputs.flat_log import SPLITS, Samples, TrainingData

Padding = Literal["left", "right"]


def padded_events(samples: Samples, width: int, padding: Padding) -> npt.NDArray[np.int64]:
    """Return the rows of ``event_items`` that make up each history; -1 where there is padding.

    Args:
        samples: N samples.
        width: Positions of a history, at least as many as the longest one has.
        padding: ``left`` puts the most recent event last, at position ``width - 1``; ``right``
            begins with the oldest, at position 0. Both keep the order of the events.

    Returns:
        int64 ``[N, width]``.

    Raises:
        ValueError: A history is longer than ``width``.
    """
    start, end = samples.start[:, None], samples.end[:, None]
    longest = int((end - start).max(initial=0))
    if longest > width:
        raise ValueError(f"a history has {longest} events and the arrays {width} positions")
    places = np.arange(width)
    events = end - width + places if padding == "left" else start + places
    return np.where((events >= start) & (events < end), events, -1)


def split_arrays(
    data: TrainingData, samples: Samples, width: int, padding: Padding
) -> dict[str, npt.NDArray[np.integer[Any]]]:
    """Return a split: ``target_<column>``, ``hist_<column>``, ``user_idx``, ``length``, ``label``.

    Args:
        data: The log.
        samples: Its split.
        width: Positions of a history.
        padding: On which side of a history.

    Returns:
        int32 ``[N]``, histories int32 ``[N, width]``; columns are ``item_idx`` and the item
        attributes.
    """
    # One more event, of item 0, is what row -1 of the events then finds.
    items = np.append(data.event_items, np.int32(0))
    history = items[padded_events(samples, width, padding)]
    arrays: dict[str, npt.NDArray[np.integer[Any]]] = {
        "label": samples.label.astype(np.int32),
        "user_idx": samples.user,
        "length": (samples.end - samples.start).astype(np.int32),
        "target_item_idx": samples.item,
        "hist_item_idx": history,
    }
    for name, of_item in data.item_attributes.items():
        arrays[f"target_{name}"] = of_item[samples.item]
        arrays[f"hist_{name}"] = of_item[history]
    return arrays


def vocabulary_sizes(data: TrainingData) -> dict[str, int]:
    """Return the rows of each column's embedding table, the one of the padding included."""
    vocabulary = data.vocabulary
    sizes: Mapping[str, int] = {
        "user_idx": vocabulary.n_users,
        "item_idx": vocabulary.n_items,
        **vocabulary.item_attributes,
    }
    return {name: size + 1 for name, size in sizes.items()}


def write_arrays(path: Path, data: TrainingData, width: int, padding: Padding) -> None:
    """Write all splits to an .npz, keys ``<split>.<column>`` and ``vocabulary.<column>``.

    The labels of the test split stay here: no peer has a use for them.
    """
    arrays: dict[str, Any] = {
        f"vocabulary.{name}": np.int64(size) for name, size in vocabulary_sizes(data).items()
    }
    for split in SPLITS:
        for name, values in split_arrays(data, data.samples[split], width, padding).items():
            arrays[f"{split}.{name}"] = values
    del arrays["test.label"]
    np.savez(path, **arrays)
