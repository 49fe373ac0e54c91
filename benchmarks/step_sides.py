"""The side of the step cases: some training steps on a large log, and where their time goes.

Runs in a process of its own (:mod:`benchmarks.side`) and imports what it needs.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from benchmarks.clock import Clock
    from din_core.inputs.flat_log import TrainingData


class _EnoughStepsError(Exception):
    """The loop has made as many steps as were asked for."""


def ours_steps(
    clock: Clock,
    database: str,
    model: Mapping[str, Any],
    training: Mapping[str, Any],
    steps: int,
    spread: int = 1,
) -> dict[str, Any]:
    """Train for some steps of the first epoch; the first step is not counted.

    Args:
        clock: Of this process.
        database: The database that a sequence case built.
        model: Fields of ``DINConfig``.
        training: Fields of ``TrainingConfig``.
        steps: Steps, at least 2.
        spread: Multiply every item's index, so that the vocabulary is so many times as large and
            everything else stays the same.
    """
    import statistics

    from din_core import store
    from din_core.config import DINConfig, TrainingConfig, config_from_mapping
    from din_core.inputs import training_data
    from din_core.training.learner import Learner
    from din_core.training.loop import train

    with store.connect(database, read_only=True, memory_limit="2GB") as con:
        data = training_data.load(con)
    data = spread_items(data, spread)
    config = config_from_mapping(
        TrainingConfig, {**training, "n_epoch": 1, "checkpoint_seconds": 0}
    )
    begins: list[float] = []
    ends: list[float] = []
    plain_step = Learner.step

    def timed_step(*args: Any, **kwargs: Any) -> torch.Tensor:
        begins.append(time.perf_counter())
        loss = plain_step(*args, **kwargs)
        ends.append(time.perf_counter())
        if len(ends) == steps:
            raise _EnoughStepsError
        return loss

    Learner.step = timed_step
    clock.start()
    begin = time.perf_counter()
    try:
        train(config_from_mapping(DINConfig, model), config, data)
    except _EnoughStepsError:
        clock.stop()
    if len(ends) < steps:
        raise ValueError(
            f"an epoch has {len(ends)} steps, {steps} were asked for: use a larger log"
        )
    whole = [after - before for before, after in itertools.pairwise(ends)]
    waiting = [after - before for before, after in zip(ends, begins[1:], strict=False)]
    return {
        "step_seconds": statistics.median(whole),
        "waiting_share": sum(waiting) / sum(whole),
        "time_to_first_step_s": ends[0] - begin,
        "items": data.vocabulary.n_items,
        "samples": sum(len(samples) for samples in data.samples.values()),
    }


def spread_items(data: TrainingData, factor: int) -> TrainingData:
    """Multiply the index of every item: a larger vocabulary, of which as much is used."""
    import numpy as np

    def spread(index: Any) -> Any:
        wide = np.zeros(data.vocabulary.n_items * factor + 1, dtype=index.dtype)
        wide[::factor] = index
        return wide

    return dataclasses.replace(
        data,
        vocabulary=dataclasses.replace(data.vocabulary, n_items=data.vocabulary.n_items * factor),
        event_items=data.event_items * np.int32(factor),
        item_attributes={name: spread(of) for name, of in data.item_attributes.items()},
        samples={
            split: dataclasses.replace(samples, item=samples.item * np.int32(factor))
            for split, samples in data.samples.items()
        },
    )
