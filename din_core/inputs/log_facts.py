"""How large a log is, and which labels it has: whether a ranking can be learnt from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from din_core.inputs.epochs import EpochPlanner
    from din_core.inputs.flat_log import TrainingData


@dataclass(frozen=True, kw_only=True)
class LogFacts:
    """What training says of a log, whole or in shards.

    Attributes:
        labelled: Whether its negatives are logged.
        n_events: Events of all users.
        longest: Those of the user who has most.
        n_train: Training samples of the tables.
        n_val: Validation samples.
        n_samples: Training samples of an epoch before any negative is drawn.
        labels: Those of the samples of an epoch.
        val_labels: Those of the validation samples.
        negatives: Which ones an epoch has, in words.
    """

    labelled: bool
    n_events: int
    longest: int
    n_train: int
    n_val: int
    n_samples: int
    labels: frozenset[int]
    val_labels: frozenset[int]
    negatives: str

    @classmethod
    def of(cls, data: TrainingData, planner: EpochPlanner) -> LogFacts:
        """Count.

        Args:
            data: The log, or a share of it.
            planner: Of its epochs.
        """
        val = data.samples["val"]
        return cls(
            labelled=data.labelled,
            n_events=len(data.event_items),
            longest=int(np.diff(data.user_offsets).max(initial=0)),
            n_train=len(data.samples["train"]),
            n_val=len(val),
            n_samples=planner.n_samples,
            labels=planner.labels,
            val_labels=frozenset(np.unique(val.label).tolist()),
            negatives=planner.negatives,
        )

    def __add__(self, other: LogFacts) -> LogFacts:
        """Put two shares of a log together."""
        return LogFacts(
            labelled=self.labelled,
            n_events=self.n_events + other.n_events,
            longest=max(self.longest, other.longest),
            n_train=self.n_train + other.n_train,
            n_val=self.n_val + other.n_val,
            n_samples=self.n_samples + other.n_samples,
            labels=self.labels | other.labels,
            val_labels=self.val_labels | other.val_labels,
            negatives=self.negatives,
        )
