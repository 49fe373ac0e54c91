"""How an epoch over shards is cut into steps: a function of sizes and seeds alone.

An epoch runs along some streams, each a row of shards one behind the other. Step *s* takes the
*s*-th slice of every stream. The number of streams is fixed, and a process runs as many of them as
fall to it, so two processes make the steps that one makes. Nobody needs to see a row for this, only
how many samples each shard has. A stream that has come to its end adds nothing to a step. No
tensors here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Part(NamedTuple):
    """What a step takes of one shard.

    Attributes:
        shard: Its number.
        rows: Which samples of the shard's own order.
    """

    shard: int
    rows: slice


@dataclass(frozen=True)
class Streams:
    """An epoch over shards.

    Attributes:
        sizes: Samples of each shard.
        shards: By stream, the numbers of its shards in their order.
        widths: By stream, the samples that it gives to a step.
    """

    sizes: Sequence[int]
    shards: Sequence[Sequence[int]]
    widths: Sequence[int]

    @cached_property
    def samples_of_steps(self) -> npt.NDArray[np.int64]:
        """Samples of each step over all streams, int64 ``[steps]``."""
        lengths = np.array([end[-1] for end in self._ends])
        widths = np.array(self.widths)
        steps = np.arange(int(np.max(-(-lengths // widths), initial=0)))
        return np.clip(lengths - steps[:, None] * widths, 0, widths).sum(axis=1)

    def parts(self, step: int, stream: int) -> list[Part]:
        """Say which samples a stream gives to a step; none where it is at its end."""
        ends, shards = self._ends[stream], self.shards[stream]
        begin = step * self.widths[stream]
        stop = min(begin + self.widths[stream], int(ends[-1]))
        found: list[Part] = []
        place = int(np.searchsorted(ends, begin, side="right")) - 1
        while begin < stop:
            first, until = int(ends[place]), min(stop, int(ends[place + 1]))
            found.append(Part(shards[place], slice(begin - first, until - first)))
            begin, place = until, place + 1
        return found

    def openings(self, first: int, streams: Iterable[int]) -> list[int]:
        """List the shards that are needed from a step on, in the order in which they are.

        Args:
            first: The step.
            streams: Those that are run, in the order in which a step takes them.
        """
        needed: list[tuple[int, int]] = []
        for stream in streams:
            ends, width = self._ends[stream].tolist(), self.widths[stream]
            for shard, begin, end in zip(self.shards[stream], ends[:-1], ends[1:], strict=True):
                if end > first * width:
                    needed.append((max(first, begin // width), shard))
        # Within a step the order of the streams stays.
        return [shard for _, shard in sorted(needed, key=lambda each: each[0])]

    @cached_property
    def _ends(self) -> list[npt.NDArray[np.int64]]:
        """By stream, 0 and the sample behind each of its shards."""
        return [
            np.cumsum([0, *(self.sizes[shard] for shard in of_stream)]).astype(np.int64)
            for of_stream in self.shards
        ]


def deal(sizes: Sequence[int], n_streams: int, n_samples: int, *, seed: int, epoch: int) -> Streams:
    """Deal the shards of an epoch to streams that are as long as each other, as far as can be.

    Args:
        sizes: Samples of each shard in this epoch; one without any is nobody's.
        n_streams: Streams.
        n_samples: Samples of a step over all streams, at least ``n_streams``.
        seed: Of the order.
        epoch: Its number, from 0.

    Example:
        >>> streams = deal([3, 0, 5, 4], 2, 4, seed=1, epoch=0)
        >>> streams.shards, streams.samples_of_steps.tolist()
        ([[2], [0, 3]], [4, 4, 3, 1])
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(sizes))
    streams: list[list[int]] = [[] for _ in range(n_streams)]
    lengths = [0] * n_streams
    stream_of: dict[int, int] = {}
    # The longest first, so that a short one is left for what is uneven at the end.
    for shard in sorted(order.tolist(), key=lambda shard: -sizes[shard]):
        shortest = lengths.index(min(lengths))
        stream_of[shard] = shortest
        lengths[shortest] += sizes[shard]
    for shard in order.tolist():
        if sizes[shard]:
            streams[stream_of[shard]].append(shard)
    widths = [n_samples // n_streams + (each < n_samples % n_streams) for each in range(n_streams)]
    return Streams(sizes, streams, widths)
