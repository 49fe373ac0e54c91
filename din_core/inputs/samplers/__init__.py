"""Negative samplers by name: what training redraws each epoch, as SQL draws the table.

A sampler here and the file ``sql/sequences/negatives.<name>.sql`` give the same items for the same
``(seed, user, position, k)`` and the same log. A further one is a file beside these and a line in
:data:`SAMPLERS`.
"""

from __future__ import annotations

from collections.abc import Callable

from din_core.inputs.samplers.drawing import draw_negatives
from din_core.inputs.samplers.hashing import draw, epoch_seed
from din_core.inputs.samplers.popularity import PopularitySampler
from din_core.inputs.samplers.protocol import Draws, NegativeSampler, SamplingError
from din_core.inputs.samplers.same_category import SameCategorySampler
from din_core.inputs.samplers.uniform import UniformSampler
from din_core.inputs.samplers.visible_log import VisibleLog, first_events, seen_in_training

#: By the name that the option ``negative_sampling`` and the SQL file have.
SAMPLERS: dict[str, Callable[[VisibleLog], NegativeSampler]] = {
    "uniform": UniformSampler,
    "popularity": PopularitySampler,
    "same_category": SameCategorySampler,
}

__all__ = [
    "SAMPLERS",
    "Draws",
    "NegativeSampler",
    "SamplingError",
    "VisibleLog",
    "draw",
    "draw_negatives",
    "epoch_seed",
    "first_events",
    "seen_in_training",
]
