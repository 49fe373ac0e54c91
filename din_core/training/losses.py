"""The losses of an epoch's steps: kept on the device, so that reading one never waits for it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


class EpochLosses:
    """One number a step.

    Attributes:
        values: Mean loss over the samples of each step, ``[steps]``, on the device.
        n_done: Steps that are done.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.begin(0)

    def begin(self, n_steps: int) -> None:
        """Begin an epoch."""
        self.values = torch.zeros(n_steps, device=self._device)
        self.n_done = 0

    def restore(self, values: Tensor, n_done: int) -> None:
        """Go back into the middle of an epoch."""
        self.values, self.n_done = values.to(self._device), n_done

    def add(self, loss: Tensor) -> None:
        """Take in the loss of the next step."""
        self.values[self.n_done] = loss
        self.n_done += 1

    def mean(self, samples_of_steps: npt.NDArray[np.int64]) -> float:
        """Mean over the samples of the epoch.

        Args:
            samples_of_steps: How many each step had, ``[steps]``.
        """
        weights = torch.as_tensor(samples_of_steps, dtype=torch.float64).to(self._device)
        return float((self.values.double() * weights).sum() / weights.sum())

    def first_broken(self, *, latest_only: bool = False) -> int | None:
        """Return the first done step whose loss is NaN or infinite, from 0.

        Args:
            latest_only: Look at the latest step only. On a GPU any look waits for the steps.
        """
        first = max(0, self.n_done - 1) if latest_only else 0
        is_finite = torch.isfinite(self.values[first : self.n_done])
        if bool(is_finite.all()):
            return None
        return first + int((~is_finite).nonzero()[0])
