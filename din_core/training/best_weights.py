"""The weights of the epoch with the best validation AUC: what a run keeps, and when it stops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class BestWeights:
    """Keeps a copy of the best weights so far.

    Attributes:
        epoch: Whose they are, from 1; 0 before the first.
        auc: Its validation AUC; ``None`` where that is undefined.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self.auc: float | None = None
        self._tensors: dict[str, Tensor] = {}

    def offer(self, epoch: int, auc: float | None, model: nn.Module) -> bool:
        """Take the weights of an epoch if they are the best.

        Where no AUC is defined there is nothing to choose by, and the latest are taken.

        Args:
            epoch: Its number, from 1.
            auc: Its validation AUC.
            model: Has the weights.

        Returns:
            Whether they were taken.
        """
        if auc is not None and self.auc is not None and auc <= self.auc:
            return False
        self.epoch, self.auc = epoch, auc
        weights: dict[str, Tensor] = model.state_dict()
        self._tensors = {name: each.detach().clone() for name, each in weights.items()}
        return True

    def apply_to(self, model: nn.Module) -> None:
        """Give a model the best weights; before the first epoch it keeps its own."""
        if self._tensors:
            model.load_state_dict(self._tensors)

    def values(self) -> dict[str, Any]:
        """What :meth:`restore` needs beside :meth:`tensors`; JSON types."""
        return {"best_epoch": self.epoch, "best_auc": self.auc}

    def tensors(self) -> dict[str, Tensor]:
        """The weights, live."""
        return {f"best.{name}": each for name, each in self._tensors.items()}

    def restore(
        self, values: Mapping[str, Any], tensors: Mapping[str, Tensor], device: torch.device
    ) -> None:
        """Go back to what was the best in a checkpoint."""
        self.epoch, self.auc = values["best_epoch"], values["best_auc"]
        self._tensors = {
            name.removeprefix("best."): each.to(device)
            for name, each in tensors.items()
            if name.startswith("best.")
        }
