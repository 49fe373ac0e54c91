"""What the loop asks of a log, and the log that lies in memory as a whole.

A log is opened before the network is made, which needs its vocabulary; once that has its device,
the log gives the epochs. The log in shards is :mod:`din_core.training.sharded`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from din_core import metrics
from din_core.inputs.batches import BatchGatherer
from din_core.inputs.epochs import EpochPlan, EpochPlanner
from din_core.inputs.log_facts import LogFacts
from din_core.training import distributed, feed
from din_core.training.prediction import score
from din_core.training.regularization import occurrences

if TYPE_CHECKING:
    import torch

    from din_core.config import LogNumber, TrainingConfig
    from din_core.inputs.flat_log import TrainingData
    from din_core.network.batch import Batch
    from din_core.network.kernels import NetworkKernel
    from din_core.network.models import ClickModel
    from din_core.network.vocabulary import Vocabulary
    from din_core.training.regularization import Counts


@dataclass(frozen=True)
class ValidationFigures:
    """How a model does on the validation samples.

    Attributes:
        n_samples: How many there are.
        n_broken: How many scores are NaN or infinite; the other figures are undefined then.
        auc: ``None`` where undefined.
        logloss: Likewise.
    """

    n_samples: int
    n_broken: int = 0
    auc: float | None = None
    logloss: float | None = None

    @classmethod
    def of(
        cls, label: npt.NDArray[np.integer], scores: npt.NDArray[np.floating]
    ) -> ValidationFigures:
        """Measure.

        Args:
            label: 1 or 0, ``[N]``.
            scores: Probabilities, ``[N]``.
        """
        n_broken = int(np.count_nonzero(~np.isfinite(scores)))
        if n_broken:
            return cls(len(scores), n_broken)
        return cls(len(scores), 0, metrics.auc(label, scores), metrics.logloss(label, scores))


class Epoch(Protocol):
    """The steps of an epoch, of which each process has its share."""

    @property
    def samples_of_steps(self) -> npt.NDArray[np.int64]:
        """Samples of each step over all processes, int64 ``[steps]``."""
        ...

    def batches(self, first: int) -> Iterator[Batch]:
        """Give this process's share of each step, from some step on; may be without samples."""
        ...

    def occurrences(self) -> Mapping[str, Counts]:
        """Count each id in the epoch; see :func:`din_core.training.regularization.occurrences`."""
        ...


class Supply(Protocol):
    """Batches of a log, for a model."""

    def epoch(self, number: int) -> Epoch:
        """Plan an epoch.

        Args:
            number: From 0.
        """
        ...

    def validate(
        self, model: ClickModel, n_threads: int, kernel: NetworkKernel | None
    ) -> ValidationFigures:
        """Measure a model on the validation samples; the same in every process."""
        ...


class Log(Protocol):
    """A log, before there is a model."""

    @property
    def vocabulary(self) -> Vocabulary:
        """How many ids there are, and by what numbers are measured."""
        ...

    @property
    def facts(self) -> LogFacts:
        """How large it is."""
        ...

    def fingerprint(self) -> str:
        """SHA-256 of all that decides which batches come out."""
        ...

    def supply(self, device: torch.device, log_numbers: Sequence[LogNumber]) -> Supply:
        """Give batches for a model.

        Args:
            device: Where it is.
            log_numbers: Those that it takes.
        """
        ...


class WholeLog:
    """A log that every process holds as a whole; each takes its share of a step.

    Args:
        data: The log.
        config: Of the loop.

    Raises:
        SamplingError: The negatives that are asked for cannot be had from this log.
    """

    def __init__(self, data: TrainingData, config: TrainingConfig) -> None:
        self._data, self._config = data, config
        self._planner = EpochPlanner(data, config)
        self.vocabulary = data.vocabulary
        self.facts = LogFacts.of(data, self._planner)

    def fingerprint(self) -> str:
        """SHA-256 of the log."""
        return self._data.fingerprint()

    def supply(self, device: torch.device, log_numbers: Sequence[LogNumber]) -> _WholeSupply:
        """Give batches for a model; see :meth:`Log.supply`."""
        gatherer = BatchGatherer(self._data, device, log_numbers)
        return _WholeSupply(self._data, self._planner, gatherer, device, self._config.batch_size)


@dataclass(frozen=True)
class _WholeSupply:
    data: TrainingData
    planner: EpochPlanner
    gatherer: BatchGatherer
    device: torch.device
    batch_size: int

    def epoch(self, number: int) -> _WholeEpoch:
        return _WholeEpoch(self, self.planner.plan(number))

    def validate(
        self, model: ClickModel, n_threads: int, kernel: NetworkKernel | None
    ) -> ValidationFigures:
        samples = self.data.samples["val"]
        scores = score(model, self.gatherer, samples, self.device, n_threads, kernel)
        return ValidationFigures.of(samples.label, scores)


class _WholeEpoch:
    def __init__(self, supply: _WholeSupply, plan: EpochPlan) -> None:
        self._supply, self._plan = supply, plan
        steps = plan.steps(supply.batch_size, distributed.world_size(), distributed.rank())
        self._shares, n_samples = zip(*steps, strict=True)
        self.samples_of_steps = np.array(n_samples)

    def batches(self, first: int) -> Iterator[Batch]:
        supply = self._supply
        return feed.batches(self._plan, self._shares[first:], supply.gatherer, supply.device)

    def occurrences(self) -> Mapping[str, Counts]:
        return occurrences(self._supply.data, self._plan)
