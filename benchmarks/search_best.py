"""Search the options of the preset ``best``: ``python -m benchmarks.search_best LOG.csv``.

Coordinate descent: one option after the other, each value tried with everything else as it is best
so far, and kept if the *validation* AUC is better by more than seeds differ. The test split is read
once, at the end, for the options that came out, over three seeds. Every trial is a line of JSON in
``--out``, so a search that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from din_core import metrics, presets, sources, store
from din_core.config import (
    DINConfig,
    SequenceConfig,
    SourceConfig,
    TrainingConfig,
    config_from_mapping,
)
from din_core.inputs import training_data
from din_core.inputs.flat_log import TrainingData
from din_core.tables import sequences
from din_core.training import loop
from din_core.training.prediction import predict

#: Gain of validation AUC that counts: about twice the spread between seeds.
LEAST_GAIN = 0.001

#: Values of each option, in the order in which they matter. Pairs belong together.
SPACE: list[list[dict[str, Any]]] = [
    [
        {"regularization": "l2", "embedding_l2": 2e-3},
        {"regularization": "l2", "embedding_l2": 1e-3},
        {"regularization": "l2", "embedding_l2": 5e-3},
        {"regularization": "mini_batch_aware", "embedding_l2": 0.2},
        {"regularization": "mini_batch_aware", "embedding_l2": 0.5},
        {"regularization": "mini_batch_aware", "embedding_l2": 1.0},
    ],
    [{"learning_rate_schedule": "constant"}, {"learning_rate_schedule": "cosine"}],
    [{"learning_rate": 2e-3}, {"learning_rate": 3e-3}, {"learning_rate": 5e-3}],
    [{"batch_size": 512}, {"batch_size": 1024}, {"batch_size": 2048}],
    [{"dropout": 0.0}, {"dropout": 0.1}, {"dropout": 0.3}],
    [{"activation": "relu"}, {"activation": "dice"}, {"activation": "prelu"}],
    [{"redrawn_per_positive": None}, {"redrawn_per_positive": 2}],
    [{"ema_decay": 0.998}, {"ema_decay": 0.99}, {"ema_decay": 0.0}],
    [{"embedding_init_std": 0.03}, {"embedding_init_std": 0.01}, {"embedding_init_std": 0.1}],
    [{"embed_dim": 32}, {"embed_dim": 16}, {"embed_dim": 64}],
    [{"use_user": False}, {"use_user": True}],
    [{"attention": "joint"}, {"attention": "per_feature"}],
]


def main() -> None:
    """Search, then report the test AUC of what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("log", help="CSV with user_id, item_id, time, cate_id")
    parser.add_argument("--n-epoch", type=int, default=presets.BEST.training.n_epoch)
    parser.add_argument("--out", type=Path, default=Path("data/search_best.jsonl"))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--report-only", action="store_true", help="only the preset's test AUC")
    wish = parser.parse_args()
    wish.out.parent.mkdir(parents=True, exist_ok=True)
    data = load(wish.log)
    options = {
        **dataclasses.asdict(presets.BEST.model),
        **dataclasses.asdict(presets.BEST.training),
        "n_epoch": wish.n_epoch,
        "num_threads": wish.threads,
    }
    trials = Trials(data, wish.out)
    if not wish.report_only:
        options = descend(trials, options)
    report(data, options)


def load(log: str) -> TrainingData:
    """From the CSV to training data, through the pipeline's own tables."""
    source = SourceConfig(path=log)
    with (
        tempfile.TemporaryDirectory() as folder,
        store.connect(Path(folder, "search.duckdb")) as con,
    ):
        with store.transaction(con):
            sources.ingest(con, source)
        sequences.build(con, source, SequenceConfig())
        return training_data.load(con)


class Trials:
    """Trials made so far, on disk."""

    def __init__(self, data: TrainingData, out: Path) -> None:
        self.data = data
        self.out = out
        self.known = {}
        if out.exists():
            for line in out.read_text().splitlines():
                trial = json.loads(line)
                self.known[_key(trial["options"])] = trial["val_auc"]

    def val_auc(self, options: dict[str, Any]) -> float:
        """Train with the options, or look up what came out last time."""
        if _key(options) not in self.known:
            started = time.monotonic()
            trained = train(self.data, options)
            assert trained.best is not None
            assert trained.best.val_auc is not None, "the log is too small to search on"
            trial = {
                "options": options,
                "val_auc": trained.best.val_auc,
                "best_epoch": trained.best_epoch,
                "seconds": round(time.monotonic() - started, 1),
            }
            with self.out.open("a") as file:
                file.write(json.dumps(trial) + "\n")
            self.known[_key(options)] = trained.best.val_auc
        return self.known[_key(options)]


def descend(trials: Trials, options: dict[str, Any]) -> dict[str, Any]:
    """One pass over the space."""
    best = trials.val_auc(options)
    print(f"start: validation AUC {best:.4f}", flush=True)
    for values in SPACE:
        for value in values:
            tried = {**options, **value}
            if _key(tried) == _key(options):
                continue
            auc = trials.val_auc(tried)
            print(f"  {value}: {auc:.4f} ({auc - best:+.4f})", flush=True)
            if auc > best + LEAST_GAIN:
                options, best = tried, auc
    print(f"found: validation AUC {best:.4f} with {json.dumps(options)}", flush=True)
    return options


def report(data: TrainingData, options: dict[str, Any]) -> None:
    """The test AUC, over three seeds."""
    aucs = []
    for seed in (2022, 2023, 2024):
        model = train(data, {**options, "seed": seed}).model
        scores = predict(model, data, "test")
        aucs.append(metrics.auc(scores["label"].to_numpy(), scores["score"].to_numpy()))
        print(f"seed {seed}: test AUC {aucs[-1]:.4f}", flush=True)
    print(f"test AUC {statistics.mean(aucs):.4f} ± {statistics.stdev(aucs):.4f}")


def train(data: TrainingData, options: dict[str, Any]) -> loop.TrainedModel:
    """Train once."""
    return loop.train(
        config_from_mapping(DINConfig, options),
        config_from_mapping(TrainingConfig, {**options, "checkpoint_seconds": 0}),
        data,
    )


def _key(options: dict[str, Any]) -> str:
    """Options that decide the result, completed by the defaults."""
    everything = {
        **dataclasses.asdict(config_from_mapping(DINConfig, options)),
        **dataclasses.asdict(config_from_mapping(TrainingConfig, options)),
    }
    return json.dumps(everything, sort_keys=True)


if __name__ == "__main__":
    main()
