"""What is known of each shard after one pass over all of them: enough to plan any epoch.

Processes share the pass and exchange the summaries, so that none sees all rows.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from din_core.inputs.epochs import EpochPlanner
from din_core.inputs.log_facts import LogFacts
from din_core.inputs.normalization import LogMoments
from din_core.inputs.training_data import moments

if TYPE_CHECKING:
    from din_core.config import TrainingConfig
    from din_core.inputs.flat_log import Int64, TrainingData


@dataclass(frozen=True, kw_only=True)
class ShardSummary:
    """One shard.

    Attributes:
        number: Its number.
        facts: How large it is.
        n_planned: Samples that it has in any epoch, negatives included.
        moments: Of its numbers.
        fingerprint: Of all that training reads of it.
    """

    number: int
    facts: LogFacts
    n_planned: int
    moments: LogMoments
    fingerprint: str


def summarize(data: TrainingData, config: TrainingConfig) -> tuple[ShardSummary, Int64 | None]:
    """Sum up a shard.

    Args:
        data: The shard, with its training and validation samples.
        config: Of the loop.

    Returns:
        Its summary; and how many of its events that training may see each item has, int64
        ``[I + 1]``, or ``None`` where no negatives are redrawn.

    Raises:
        SamplingError: The negatives that are asked for cannot be had from this log.
    """
    assert data.share is not None
    planner = EpochPlanner(data, config)
    summary = ShardSummary(
        number=data.share.number,
        facts=LogFacts.of(data, planner),
        n_planned=planner.n_planned,
        moments=moments(data),
        fingerprint=data.fingerprint(),
    )
    return summary, None if planner.visible is None else planner.visible.item_counts


def facts_of(summaries: Sequence[ShardSummary]) -> LogFacts:
    """Put the facts of all shards together."""
    return functools.reduce(operator.add, (each.facts for each in summaries))


def moments_of(summaries: Sequence[ShardSummary]) -> LogMoments:
    """Put the moments of all shards together, in their order: sums of floats depend on it."""
    return functools.reduce(operator.add, (each.moments for each in summaries))
