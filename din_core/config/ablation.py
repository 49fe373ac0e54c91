"""What an ablation tries, and with how many seeds."""

from __future__ import annotations

from typing import Literal

from din_core.config.options import config_class, option

BasePreset = Literal["best", "default", "tutorial"]


@config_class
class AblationConfig:
    """How much an ablation tries."""

    base: BasePreset = option(
        "best", "Preset that the variants are compared with, each with one thing changed."
    )
    n_seeds: int = option(
        3, "Seeds that each variant is trained with, from the preset's on.", ge=1, le=100
    )
    max_epochs: int | None = option(
        None, "Epochs of a training at most; by default the preset's.", ge=1, le=1_000_000
    )
    quick: bool = option(
        False,
        "Two variants, one seed and two epochs, whatever the other options say: whether it works.",
    )
