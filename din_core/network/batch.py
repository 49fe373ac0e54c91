"""Mini-batches with flat histories: the values of all histories in one row, and where each begins.

No padding exists here, so none is ever computed on. :func:`batch_from_padded` takes what others
send as rectangles; :mod:`din_core.inputs.batches` cuts batches from a log. Shapes: B samples of a
batch, P history positions of all of them together, L padded length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """One mini-batch.

    Attributes:
        sparse: Feature name to int64 ``[B]``, such as ``target_item_idx`` or ``user_idx``; dense
            features are here too, float ``[B]`` or ``[B, D]``.
        sequences: Feature name to int64 ``[P]``; sample *b* owns the positions
            ``offsets[b] … offsets[b + 1] - 1``, most recent last.
        offsets: int64 ``[B + 1]``, not decreasing, from 0 to P.
        segment_ids: int64 ``[P]``: the sample that a position belongs to.
        label: float32 ``[B]``, or ``None`` where nothing is known yet.
    """

    sparse: Mapping[str, Tensor]
    sequences: Mapping[str, Tensor]
    offsets: Tensor
    segment_ids: Tensor
    label: Tensor | None = None

    @property
    def n_samples(self) -> int:
        """B."""
        return self.offsets.shape[0] - 1

    def shares(self, number: int) -> list[Batch]:
        """Cut the batch into batches of consecutive samples, as equal in number as can be.

        Args:
            number: How many; 1 gives the batch itself.
        """
        if number == 1:
            return [self]
        return self.cut([self.n_samples * share // number for share in range(number + 1)])

    def cut(self, cuts: Sequence[int]) -> list[Batch]:
        """Cut the batch into batches of consecutive samples.

        Args:
            cuts: Where each begins, in ascending order, and B at the end.
        """
        places = self.offsets[torch.tensor(cuts)].tolist()
        return [
            Batch(
                sparse={name: ids[first:end] for name, ids in self.sparse.items()},
                sequences={name: ids[begin:stop] for name, ids in self.sequences.items()},
                offsets=self.offsets[first : end + 1] - begin,
                segment_ids=self.segment_ids[begin:stop] - first,
                label=None if self.label is None else self.label[first:end],
            )
            for (first, begin), (end, stop) in pairwise(zip(cuts, places, strict=True))
        ]


def concatenated(parts: Sequence[Batch]) -> Batch:
    """Put batches of the same inputs one behind the other; the inverse of :meth:`Batch.shares`.

    Args:
        parts: One or more, all with labels or all without.
    """
    if len(parts) == 1:
        return parts[0]
    offsets, segment_ids = [parts[0].offsets[:1]], list[Tensor]()
    n_samples = n_positions = 0
    for part in parts:
        offsets.append(part.offsets[1:] + n_positions)
        segment_ids.append(part.segment_ids + n_samples)
        n_samples += part.n_samples
        n_positions += len(part.segment_ids)
    labels = [part.label for part in parts if part.label is not None]
    return Batch(
        sparse={name: torch.cat([each.sparse[name] for each in parts]) for name in parts[0].sparse},
        sequences={
            name: torch.cat([each.sequences[name] for each in parts]) for name in parts[0].sequences
        },
        offsets=torch.cat(offsets),
        segment_ids=torch.cat(segment_ids),
        label=torch.cat(labels) if labels else None,
    )


def batch_from_padded(
    inputs: Mapping[str, Tensor],
    sequence_names: Sequence[str],
    padding_idx: int = 0,
    label: Tensor | None = None,
) -> Batch:
    """Flatten the rectangles that a server or the tutorial's loader sends.

    A position is padding when *every* sequence feature is ``padding_idx`` there: an item of
    unknown category is still an item. Padding may stand anywhere in a row.

    Args:
        inputs: Feature name to int ``[B]``, or ``[B, L]`` for the sequences. Their type is kept:
            the look-up refuses what is not an integer.
        sequence_names: The keys of ``inputs`` that are sequences; at least one.
        padding_idx: The index that means "no position".
        label: float ``[B]``, carried along.

    Returns:
        The batch, on the device of the inputs.

    Raises:
        KeyError: A sequence that ``inputs`` lacks.
        ValueError: No sequences, or sequences of different shapes.
    """
    if not sequence_names:
        raise ValueError("sequence_names is empty; name at least one history")
    missing = [name for name in sequence_names if name not in inputs]
    if missing:
        raise KeyError(f"no input for {missing}; there are {sorted(inputs)}")
    shapes = {name: tuple(inputs[name].shape) for name in sequence_names}
    if len(set(shapes.values())) > 1 or len(next(iter(shapes.values()))) != 2:
        raise ValueError(f"sequences must share one shape [batch, length], got {shapes}")

    is_position = torch.stack([inputs[name] != padding_idx for name in sequence_names]).any(0)
    segment_ids, column = is_position.nonzero(as_tuple=True)
    offsets = torch.zeros(len(is_position) + 1, dtype=torch.int64, device=segment_ids.device)
    torch.cumsum(is_position.sum(1), 0, out=offsets[1:])
    return Batch(
        sparse={name: value for name, value in inputs.items() if name not in shapes},
        sequences={name: inputs[name][segment_ids, column] for name in sequence_names},
        offsets=offsets,
        segment_ids=segment_ids,
        label=label,
    )
