"""What a training went through, kept beside its model: a curve that can be drawn again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from din_core.training.reports import EpochReport

FILE = "history.json"
#: What does not depend on the machine's speed.
_KEPT = ("epoch", "train_loss", "val_auc", "val_logloss", "is_best")


def write(folder: Path, history: Iterable[EpochReport]) -> None:
    """Write the epochs of a training to a file in the model's folder."""
    epochs = [{name: getattr(each, name) for name in _KEPT} for each in history]
    (folder / FILE).write_text(json.dumps(epochs, indent=1) + "\n", encoding="utf-8")


def read(folder: Path) -> list[Mapping[str, Any]]:
    """Return the epochs, in their order: ``epoch, train_loss, val_auc, val_logloss, is_best``.

    Empty for a model that an earlier version of this program trained.
    """
    try:
        return json.loads((folder / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
