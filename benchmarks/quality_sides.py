"""The sides of the case ``quality``: each fitted on the same log, its AUC by the same function."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.clock import Clock
    from din_core.inputs.flat_log import TrainingData

#: The library that a side is of.
LIBRARIES = {"bpr": "implicit", "lightgbm": "lightgbm", "sasrec": "torch-rechub"}


def quality(
    clock: Clock, csv: str, peer: str, seed: int, max_epochs: int | None = None
) -> dict[str, Any]:
    """Fit one side on a log and measure it.

    Args:
        clock: Of this process.
        csv: The log.
        peer: One of :data:`benchmarks.quality_cases.SIDES`.
        seed: Of what is random in it.
        max_epochs: At most so many, of what is trained in epochs.
    """
    from din_core import metrics

    data = _load(csv)
    clock.start()
    scores, settings = _scores(data, peer, seed, max_epochs)
    clock.stop()
    val, test = data.samples["val"], data.samples["test"]
    library = LIBRARIES.get(peer)
    return {
        "val_auc": metrics.auc(val.label, scores["val"]),
        "test_auc": metrics.auc(test.label, scores["test"]),
        "test_gauc": metrics.gauc(test.label, scores["test"], test.user),
        "library": f"{library} {importlib.metadata.version(library)}" if library else "",
        "settings": settings,
    }


def _scores(
    data: TrainingData, peer: str, seed: int, max_epochs: int | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    if peer.startswith("ours_"):
        return _ours(data, peer.removeprefix("ours_"), seed, max_epochs)
    if peer == "sasrec":
        from benchmarks.sasrec_peer import sasrec

        return sasrec(data, seed, **({} if max_epochs is None else {"max_epochs": max_epochs}))
    from benchmarks.quality_peers import PEERS

    return PEERS[peer](data, seed)


def _ours(
    data: TrainingData, name: str, seed: int, max_epochs: int | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    from din_core import presets
    from din_core.training.loop import train
    from din_core.training.prediction import predict

    preset = {"best": presets.BEST, "default": presets.DEFAULT}[name]
    n_epoch = min(preset.training.n_epoch, max_epochs or preset.training.n_epoch)
    loop = dataclasses.replace(preset.training, seed=seed, n_epoch=n_epoch, checkpoint_seconds=0)
    trained = train(preset.model, loop, data)
    scores = {
        split: predict(trained.model, data, split)["score"].to_numpy() for split in ("val", "test")
    }
    return scores, {"best_epoch": trained.best_epoch, "epochs": len(trained.history)}


def _load(csv: str) -> TrainingData:
    """From the CSV to training data, through the pipeline's own tables."""
    from din_core import sources, store
    from din_core.config import SequenceConfig, SourceConfig
    from din_core.inputs import times, training_data
    from din_core.tables import sequences

    source = SourceConfig(path=csv)
    with (
        tempfile.TemporaryDirectory() as folder,
        store.connect(Path(folder, "quality.duckdb")) as con,
    ):
        with store.transaction(con):
            sources.ingest(con, source)
        sequences.build(con, source, SequenceConfig())
        return times.with_times(con, training_data.load(con))
