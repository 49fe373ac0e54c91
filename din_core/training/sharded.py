"""Training that streams a log: each process reads its own shards of the Parquet tables.

A shard is the users of one bucket below a :class:`din_core.engines.parquet_tables.ParquetRoot`. One
pass at the beginning tells how many samples each has, and what must be known of all users; from
then on every process plans every epoch (:mod:`din_core.inputs.streams`) and reads what falls to it:
a shard for each of its streams, and the next one while it trains. The loop is that of
:mod:`din_core.training.loop`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import numpy as np
import numpy.typing as npt
import torch

from din_core.config import SequenceConfig, TrainingConfig
from din_core.inputs import streams
from din_core.inputs.batches import BatchGatherer
from din_core.inputs.epochs import EpochPlanner
from din_core.inputs.log_numbers import refuse_of_all_users
from din_core.inputs.shard_summaries import ShardSummary, facts_of, moments_of, summarize
from din_core.inputs.shards import Shards
from din_core.network.batch import concatenated
from din_core.network.hardware import choose_device
from din_core.training import distributed, feed, loop
from din_core.training.lanes import one_ahead
from din_core.training.logs import ValidationFigures
from din_core.training.prediction import score
from din_core.training.regularization import occurrences

if TYPE_CHECKING:
    from din_core.config import LogNumber, ModelConfig
    from din_core.engines.parquet_tables import ParquetRoot
    from din_core.inputs.flat_log import Int64, SplitName, TrainingData
    from din_core.network.batch import Batch
    from din_core.network.kernels import NetworkKernel
    from din_core.network.models import ClickModel
    from din_core.training.regularization import Counts
    from din_core.training.reports import EpochReport, TrainedModel
    from din_core.training.warm_start import Predecessor


class RunOptions(TypedDict, total=False):
    """What :func:`din_core.training.loop.train` takes beside network, loop and log."""

    on_epoch: Callable[[EpochReport], None] | None
    on_warning: Callable[[str], object]
    checkpoint_dir: Path | str | None
    tensorboard_dir: Path | str | None
    kernel_cache: Path | str | None
    program_version: str
    predecessor: Predecessor | None


def train(
    model_config: ModelConfig,
    training_config: TrainingConfig,
    root: ParquetRoot,
    *,
    n_streams: int,
    sequences: SequenceConfig | None = None,
    threads: int | None = None,
    memory_limit: str | None = None,
    temp_directory: Path | str | None = None,
    **options: Unpack[RunOptions],
) -> TrainedModel:
    """Train a network on the Parquet tables below a root, a few shards in memory at a time.

    Each of *N* processes (:mod:`din_core.training.distributed`) holds a shard for each of its
    ``n_streams / N`` streams and one more that comes next. The samples of an epoch are those of the
    whole log, in an order that is shuffled within a shard, and from shard to shard. With the same
    ``n_streams``, *N* processes make the steps that one makes with a ``batch_size`` *N* times as
    large, within rounding (and without dropout, of which each process draws its own).

    Args:
        model_config: The network.
        training_config: The loop; ``batch_size`` is of one process.
        root: Of the tables.
        n_streams: Into how many streams of shards an epoch is cut: a multiple of the processes, at
            most the buckets of the root and the samples of a step.
        sequences: How the table ``negatives`` was sampled, where training is to redraw likewise;
            the tables themselves do not say.
        threads: DuckDB's, which reads the shards; by default as many as torch has.
        memory_limit: DuckDB's, as of :func:`din_core.store.connect`.
        temp_directory: Where DuckDB spills, likewise.
        **options: As of :func:`din_core.training.loop.train`.

    Returns:
        The model with the weights of the epoch with the best validation AUC, in every process.

    Raises:
        TrainingError: ``n_streams`` cannot be, or ``sequences`` is needed; and as
            :func:`din_core.training.loop.train`.
        LogNumbersError: A number of the log that no shard can tell.
        EngineError: The tables cannot be read.
        TrainingDataError: One of them is missing.
    """

    def open_log() -> _ShardedLog:
        log_numbers = model_config.log_numbers
        refuse_of_all_users(log_numbers)
        shards = Shards(
            root,
            sequences or SequenceConfig(),
            with_times=bool(log_numbers),
            threads=threads or torch.get_num_threads(),
            memory_limit=memory_limit,
            temp_directory=temp_directory,
        )
        _refuse_streams(n_streams, shards.number, training_config.batch_size)
        if sequences is None and not shards.labelled:
            _refuse_unknown_negatives(training_config)
        return _ShardedLog(shards, training_config, n_streams)

    return loop.train(model_config, training_config, open_log, **options)


class _ShardedLog:
    """A log of which every process reads some shards, and knows what was found out of all."""

    def __init__(self, shards: Shards, config: TrainingConfig, n_streams: int) -> None:
        self._config, self._n_streams = config, n_streams
        # Each process looks at its share of the shards, all of them know what was seen.
        own = range(distributed.rank(), shards.number, distributed.world_size())
        found: list[ShardSummary] = []
        item_counts: Int64 | None = None
        for data in _read(shards, ("train", "val"), own):
            summary, counts = summarize(data, config)
            found.append(summary)
            item_counts = counts if item_counts is None or counts is None else item_counts + counts
        gathered = distributed.gather_objects((shards.versions(), found))
        if len({versions for versions, _ in gathered}) > 1:
            raise loop.TrainingError(
                "the processes found different versions of the tables: they were made again while "
                "training began; train again"
            )
        of_all = [summary for _, summaries in gathered for summary in summaries]
        self.summaries = sorted(of_all, key=lambda each: each.number)
        if item_counts is not None:
            device = choose_device(config.device)
            summed = distributed.sum_over_processes(torch.as_tensor(item_counts).to(device))
            item_counts = summed.cpu().numpy()
        self.vocabulary = moments_of(self.summaries).put_into(shards.catalogue.vocabulary)
        self.facts = facts_of(self.summaries)
        self._shards = shards.knowing(self.vocabulary, item_counts)

    def fingerprint(self) -> str:
        """SHA-256 of all shards, and of how they are dealt."""
        of_shards = [each.fingerprint for each in self.summaries]
        text = json.dumps([self._n_streams, self.vocabulary.to_dict(), of_shards])
        return hashlib.sha256(text.encode()).hexdigest()

    def supply(self, device: torch.device, log_numbers: Sequence[LogNumber]) -> _ShardSupply:
        """Give batches for a model; see :meth:`din_core.training.logs.Log.supply`."""
        nothing = np.zeros(0, dtype=np.int32)
        nobody = self._shards.nobody()
        context, time = nobody.samples["train"].context, nobody.samples["train"].time
        columns = {"user": nothing, "item": nothing, "start": nothing, "end": nothing}
        columns |= {"label": nothing.astype(np.int8)}
        columns |= {} if context is None else {"context": context}
        columns |= {} if time is None else {"time": time}
        empty = BatchGatherer(nobody, device, log_numbers).gather(
            **{name: torch.as_tensor(each).to(device) for name, each in columns.items()},
            n_positions=0,
        )
        return _ShardSupply(
            self._shards, self.summaries, self._config, self._n_streams, device, log_numbers, empty
        )


@dataclass(frozen=True)
class _ShardSupply:
    shards: Shards
    summaries: Sequence[ShardSummary]
    config: TrainingConfig
    n_streams: int
    device: torch.device
    log_numbers: Sequence[LogNumber]
    nothing: Batch

    def epoch(self, number: int) -> _ShardEpoch:
        return _ShardEpoch(self, number)

    def validate(
        self, model: ClickModel, n_threads: int, kernel: NetworkKernel | None
    ) -> ValidationFigures:
        """Score the validation samples of some shards; the first process sees all scores."""
        sizes, n_ranks = [each.facts.n_val for each in self.summaries], distributed.world_size()
        own = streams.deal(sizes, n_ranks, n_ranks, seed=0, epoch=0).shards[distributed.rank()]
        scored: list[torch.Tensor] = [torch.zeros(0, 2)]
        for data in _read(self.shards, ("val",), own):
            samples = data.samples["val"]
            gatherer = BatchGatherer(data, self.device, self.log_numbers)
            scores = score(model, gatherer, samples, self.device, n_threads, kernel)
            scored.append(torch.as_tensor(np.column_stack([samples.label, scores])))
        everything = distributed.rows_at_first(torch.cat(scored).to(self.device))
        figures = ValidationFigures(0)
        if everything is not None:
            label, scores = everything.cpu().numpy().T
            figures = ValidationFigures.of(label.astype(np.int8), np.ascontiguousarray(scores))
        return distributed.from_first(figures)


class _ShardEpoch:
    """An epoch of which this process runs some streams."""

    def __init__(self, supply: _ShardSupply, number: int) -> None:
        self._supply, self._number = supply, number
        config, n_ranks = supply.config, distributed.world_size()
        self._streams = streams.deal(
            [each.n_planned for each in supply.summaries],
            supply.n_streams,
            config.batch_size * n_ranks,
            seed=config.seed,
            epoch=number,
        )
        self._own = range(distributed.rank(), supply.n_streams, n_ranks)
        self.samples_of_steps: npt.NDArray[np.int64] = self._streams.samples_of_steps

    def batches(self, first: int) -> Iterator[Batch]:
        steps = range(first, len(self.samples_of_steps))
        needed = self._streams.openings(first, self._own)
        reading: dict[int, tuple[int, feed.PlanReader]] = {}
        with (
            self._supply.shards.opened() as read,
            contextlib.closing(one_ahead(partial(self._open, read), needed)) as opened,
        ):

            def batch(step: int) -> Batch:
                parts: list[Batch] = []
                for stream in self._own:
                    of_step = self._streams.parts(step, stream)
                    for shard, rows in of_step:
                        if stream not in reading or reading[stream][0] != shard:
                            reading.pop(stream, None)  # before the next but one is read
                            reading[stream] = shard, next(opened)
                        parts.append(reading[stream][1].batch(rows))
                    if not of_step:
                        reading.pop(stream, None)
                return concatenated(parts) if parts else self._supply.nothing

            yield from feed.during_the_step_before(batch, steps, self._supply.device)

    def occurrences(self) -> Mapping[str, Counts]:
        total: dict[str, Counts] = {}
        own = range(distributed.rank(), self._supply.shards.number, distributed.world_size())
        for data in _read(self._supply.shards, ("train",), own):
            plan = EpochPlanner(data, self._supply.config).plan(self._number)
            for name, counts in occurrences(data, plan).items():
                total[name] = total[name] + counts if name in total else counts
        device = self._supply.device
        for name, counts in total.items():
            summed = distributed.sum_over_processes(torch.as_tensor(counts).to(device))
            total[name] = summed.cpu().numpy()
        return total

    def _open(
        self, read: Callable[[int, Collection[SplitName]], TrainingData], shard: int
    ) -> feed.PlanReader:
        supply = self._supply
        data = read(shard, ("train",))
        plan = EpochPlanner(data, supply.config).plan(self._number)
        expected = supply.summaries[shard].n_planned
        if len(plan) != expected:
            raise loop.TrainingError(
                f"shard {shard} has {len(plan)} samples in epoch {self._number + 1}, and "
                f"{expected} were counted: its negative sampler draws more in one epoch than in "
                "another, or its files were changed"
            )
        gatherer = BatchGatherer(data, supply.device, supply.log_numbers)
        return feed.PlanReader(plan, gatherer, supply.device)


def _read(
    shards: Shards, splits: Collection[SplitName], numbers: Iterable[int]
) -> Generator[TrainingData]:
    """Read some shards, each while the caller works with the one before."""
    with (
        shards.opened() as read,
        contextlib.closing(one_ahead(lambda number: read(number, splits), numbers)) as opened,
    ):
        yield from opened


def _refuse_streams(n_streams: int, n_shards: int, batch_size: int) -> None:
    n_ranks = distributed.world_size()
    if n_streams < 1 or n_streams % n_ranks:
        raise loop.TrainingOptionsError(
            f"n_streams is {n_streams}, and {n_ranks} processes share them: choose a multiple of "
            f"{n_ranks}"
        )
    if n_streams > n_shards:
        raise loop.TrainingOptionsError(
            f"n_streams is {n_streams}, and the users lie in {n_shards} buckets, so that a stream "
            "would have none: choose fewer streams or processes, or make the tables with more "
            "buckets"
        )
    if n_streams > batch_size * n_ranks:
        raise loop.TrainingOptionsError(
            f"n_streams is {n_streams}, and a step has {batch_size * n_ranks} samples, so that a "
            "stream would give none: raise batch_size"
        )


def _refuse_unknown_negatives(config: TrainingConfig) -> None:
    asks = config.redrawn_sampling == "as_table" or config.redrawn_per_positive is None
    if config.negatives != "fixed" and asks:
        raise loop.TrainingOptionsError(
            f"negatives is {config.negatives!r}, and it is not said how those of the table were "
            "sampled: hand over sequences, or set redrawn_sampling and redrawn_per_positive"
        )
