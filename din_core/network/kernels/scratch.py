"""Memory that serves one step after the other.

What belongs here: large buffers that the kernels fill themselves. Taken anew for every step, they
would come from the system, which clears them page by page: a tenth of a step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

_SPARE = 1.1  # batches differ a little in their number of positions


class Scratch:
    """Buffers not in use. Copies and pickles of it are empty."""

    def __init__(self) -> None:
        self._free: list[Tensor] = []

    def lease(self, shape: Sequence[int], dtype: torch.dtype) -> Lease:
        """Lend an uninitialised tensor for as long as the lease lives.

        Args:
            shape: Its shape.
            dtype: Its type.
        """
        n_bytes = math.prod(shape) * dtype.itemsize
        try:
            memory = self._free.pop()
        except IndexError:  # asked for, not looked at before: another lane may take the last one
            memory = torch.empty(0, dtype=torch.uint8)
        if len(memory) < n_bytes:
            memory = torch.empty(int(n_bytes * _SPARE), dtype=torch.uint8)
        return Lease(self._free, memory, memory[:n_bytes].view(dtype).view(*shape))

    def __reduce__(self) -> tuple[type[Scratch], tuple[Any, ...]]:
        return Scratch, ()


class Lease:
    """A tensor that returns to where it was lent from when nobody holds the lease any more."""

    def __init__(self, free: list[Tensor], memory: Tensor, tensor: Tensor) -> None:
        self.tensor = tensor
        self._free = free
        self._memory = memory

    def __del__(self) -> None:
        self._free.append(self._memory)
