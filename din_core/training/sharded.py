"""Training that streams a log: each process reads its own shards of the Parquet tables.

A shard is the users of one bucket below a :class:`din_core.engines.parquet_tables.ParquetRoot`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from din_core.training.reports import EpochReport, TrainedModel

if TYPE_CHECKING:
    from din_core.config import ModelConfig, SequenceConfig, TrainingConfig
    from din_core.engines.parquet_tables import ParquetRoot
    from din_core.training.warm_start import Predecessor

_LOG = logging.getLogger(__name__)


def train(
    model_config: ModelConfig,
    training_config: TrainingConfig,
    root: ParquetRoot,
    *,
    n_streams: int,
    sequences: SequenceConfig | None = None,
    on_epoch: Callable[[EpochReport], None] | None = None,
    on_warning: Callable[[str], object] = _LOG.warning,
    checkpoint_dir: Path | str | None = None,
    tensorboard_dir: Path | str | None = None,
    kernel_cache: Path | str | None = None,
    program_version: str = "",
    predecessor: Predecessor | None = None,
) -> TrainedModel:
    """Train a network on the Parquet tables below a root, a few shards in memory at a time.

    Args:
        model_config: The network.
        training_config: The loop; ``batch_size`` is of one process.
        root: Of the tables.
        n_streams: Into how many streams of shards an epoch is cut. A multiple of the processes, and
            at most the buckets of the root. The result depends on it, and not on the processes.
        sequences: How the table ``negatives`` was sampled; training redraws likewise.
        on_epoch: As of :func:`din_core.training.loop.train`, and all that follow.
    """
    raise NotImplementedError
