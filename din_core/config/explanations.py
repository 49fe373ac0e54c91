"""Which answers of a model are explained."""

from __future__ import annotations

from din_core.config.options import config_class, option


@config_class
class ExplanationConfig:
    """Which answers of a model are explained."""

    n_users: int = option(
        200,
        "Users of the test split whose latest samples are explained, event by event: with "
        "leave-one-out the test positive and its negatives.",
        ge=1,
        lt=2**30,
    )
    seed: int = option(2022, "Seed of the hash that picks them.", ge=0, lt=2**30)
