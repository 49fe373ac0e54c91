"""Named choices of network and training; the run-config files in ``din_assets/presets`` match them.

``tutorial`` is torch-rechub's DIN tutorial, which is what the dataclasses default to. ``best`` was
selected on validation only (``benchmarks/search_best.py``): product inputs beside the attention's
output, sampled negatives redrawn every epoch, and an average of the weights. ``default`` is
``best`` with fewer epochs, for an answer within a minute or two. ``trends`` is ``best`` with
numbers that the log itself says and a bias for each of the latest positions, for a log in which
popularity and tastes move (``docs/evidence.md``).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from din_core.config import DINConfig, ModelConfig, TrainingConfig


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A network and how it is trained.

    Attributes:
        model: The network.
        training: The loop.
    """

    model: ModelConfig = field(default_factory=DINConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)


TUTORIAL = Preset()

BEST = Preset(
    model=DINConfig(
        embed_dim=32,
        attention_dims=(64, 32),
        attention="joint",
        activation="relu",
        product_inputs=True,
        use_user=False,
        embedding_init_std=0.03,
    ),
    training=TrainingConfig(
        n_epoch=36,
        batch_size=1024,
        learning_rate=3e-3,
        weight_decay=0.0,
        embedding_l2=2e-3,
        negatives="auto",
        ema_decay=0.998,
        earlystop_patience=5,
    ),
)

DEFAULT = Preset(model=BEST.model, training=replace(BEST.training, n_epoch=10))

TRENDS = Preset(
    model=replace(
        BEST.model,
        position_bias=50,
        log_numbers=(
            "trend_90_days",
            "trend_365_days",
            "days_since_item_event",
            "days_since_last_event",
            "same_moment_events",
        ),
    ),
    training=BEST.training,
)
