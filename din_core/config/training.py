"""The training loop."""

from __future__ import annotations

from typing import Literal

from din_core.config.options import config_class, option
from din_core.config.sequences import NegativeSampling

Device = Literal["auto", "cpu", "cuda"]
LearningRateSchedule = Literal["constant", "cosine"]
Precision = Literal["auto", "float32", "bfloat16"]
Regularization = Literal["l2", "mini_batch_aware"]
TrainingNegatives = Literal["auto", "redrawn", "fixed"]
RedrawnSampling = Literal["as_table", NegativeSampling]
WarmStart = Literal["none", "last", "published"]


@config_class
class TrainingConfig:
    """The training loop (defaults: the tutorial's)."""

    n_epoch: int = option(5, "Passes over the training samples.", ge=1, le=1_000_000)
    batch_size: int = option(4096, "Samples in a step.", ge=1, lt=2**31)
    learning_rate: float = option(1e-3, "Adam's step size.", gt=0, lt=1e38)
    learning_rate_schedule: LearningRateSchedule = option(
        "constant",
        "'constant', or 'cosine' from the step size down to zero over the planned epochs. An "
        "embedding row makes up for steps it missed at the latest rate.",
    )
    weight_decay: float = option(
        1e-3,
        "Coupled L2 on dense weights and on the embedding rows that a batch gathers.",
        ge=0,
    )
    embedding_l2: float = option(
        0.0,
        "Further coupled L2 on all embedding rows; what it does to an idle row is made up for "
        "when that row is needed.",
        ge=0,
    )
    regularization: Regularization = option(
        "l2",
        "What `embedding_l2` is the strength of: that L2 ('l2'), or 'mini_batch_aware' "
        "regularization (paper, section 5.1).",
    )
    negatives: TrainingNegatives = option(
        "fixed",
        "'redrawn' every epoch, 'fixed' (those of the table `negatives`), or 'auto': redrawn where "
        "those of the table are sampled, fixed where they are logged.",
    )
    redrawn_sampling: RedrawnSampling = option(
        "as_table",
        "How redrawn negatives are sampled: 'as_table', that is by the table's "
        "`negative_sampling`, or by another one of its values.",
    )
    redrawn_per_positive: int | None = option(
        None,
        "Redrawn negatives for each positive; by default as many as the table has "
        "(`negatives_per_positive`).",
        ge=1,
        le=1_000,
    )
    ema_decay: float = option(
        0.0,
        "Decay of the exponential moving average of the weights that is evaluated and kept; 0 "
        "switches it off.",
        ge=0,
        lt=1,
    )
    earlystop_patience: int = option(
        2, "Epochs without a better validation AUC before training stops.", ge=1
    )
    seed: int = option(
        2022, "Seed of initial weights, order and redrawn negatives.", ge=0, lt=2**30
    )
    device: Device = option("auto", "'auto' takes CUDA where there is one.")
    precision: Precision = option(
        "auto",
        "'auto' takes bfloat16 where the hardware multiplies in it; on a processor only from two "
        "million training samples over all epochs, for less is over in seconds anyway.",
    )
    fused: bool = option(
        True,
        "Use compiled kernels (for activation units, embedding rows, and a whole DIN of ReLU or "
        "PReLU) where a C++ compiler is at hand and there are 200,000 training samples or more "
        "over all epochs.",
    )
    num_threads: int = option(
        0,
        "Threads of a step; 0 takes as many as the process has cores, by its affinity mask and "
        "its container's quota.",
        ge=0,
    )
    checkpoint_seconds: float = option(
        30.0,
        "Least time between two checkpoints, in seconds; 0 writes none.",
        ge=0,
        decides=False,
    )
    allow_untrained: bool = option(
        False,
        "Give a model also where there is nothing to learn a ranking from (no training sample, or "
        "samples of one label only), instead of failing; it cannot rank.",
    )

    warm_start: WarmStart = option(
        "none",
        "'published' starts from the published model: its dense weights, and its embedding rows by "
        "id. 'last' starts from the latest model, also where that was refused. 'none' starts from "
        "random weights; so do the others where no model fits, and say so.",
    )
    warm_start_epochs: int | None = option(
        None,
        "Passes over the training samples where training starts from another model; by default "
        "`n_epoch`, as where it starts from random weights.",
        ge=1,
        le=1_000_000,
    )

    def redrawn_choices(self) -> dict[str, str | int]:
        """Return what was chosen of redrawn negatives alone, by option."""
        choices: dict[str, str | int] = {}
        if self.redrawn_sampling != "as_table":
            choices["redrawn_sampling"] = self.redrawn_sampling
        if self.redrawn_per_positive is not None:
            choices["redrawn_per_positive"] = self.redrawn_per_positive
        return choices

    def without_effect(self) -> dict[str, str]:
        """Return what is chosen of what does not happen: redrawn negatives, L2, a warm start."""
        unused: dict[str, str] = {}
        if self.negatives == "fixed":
            for name in ("redrawn_sampling", "redrawn_per_positive"):
                unused[name] = (
                    "negatives is 'fixed', so none are redrawn: set negatives: redrawn, or leave "
                    f"{name} out"
                )
        if not self.embedding_l2:
            unused["regularization"] = (
                "embedding_l2, its strength, is 0: give it one, or leave regularization out"
            )
        if self.warm_start == "none":
            unused["warm_start_epochs"] = (
                "warm_start is 'none', so no training starts from another model: set warm_start: "
                "published or last, or leave warm_start_epochs out"
            )
        return unused
