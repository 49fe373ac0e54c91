"""Our accuracy beside that of other DINs: ``python -m benchmarks.peers --log long --out x.json``.

The pipeline builds a log's samples once. Every side trains on the same train samples (the table's
targets and negatives, histories of at most 50), stops on the same validation samples, and its
scores of the same test samples go through the same :func:`din_core.metrics.auc`. Peers run in
environments of their own (:mod:`benchmarks.peer_sides`). ``ours_default`` and ``ours_best`` are the
presets, which draw the *training* negatives anew in every epoch, a part of their recipe;
``ours_best_fixed`` is ``best`` on the table's negatives, as the peers have them, ``ours_plain`` the
paper's network (no product inputs) with redrawn negatives, and ``ours_tutorial`` torch-rechub's
configuration. Each run is added to ``--out`` as soon as it is done.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import peer_settings
from benchmarks.machine import describe_machine, load_average
from benchmarks.peer_arrays import Padding, write_arrays
from din_core import metrics, presets, sources, store
from din_core.config import SequenceConfig, SourceConfig
from din_core.datasets.synthetic import LONG_DRIFTING, SHORT_LARGE_CATALOGUE, generate, write_csv
from din_core.inputs import training_data
from din_core.inputs.flat_log import TrainingData
from din_core.tables import sequences
from din_core.training import loop
from din_core.training.prediction import predict

_SIDES_FILE = Path(__file__).with_name("peer_sides.py")
_GENERATED = {"long": LONG_DRIFTING, "short": SHORT_LARGE_CATALOGUE}
_FIRST_SEED = 2022
_SAME_AUC = 1e-4

#: What each library's attention masks: FuxiCTR pads on the left, DeepCTR-Torch counts from it.
_PADDING: dict[str, Padding] = {"fuxictr": "left", "deepctr": "right"}
_PEERS = {
    "fuxictr": ("fuxictr", peer_settings.fuxictr_settings),
    "fuxictr_bars": ("fuxictr", peer_settings.fuxictr_bars_settings),
    "deepctr": ("deepctr", peer_settings.deepctr_settings),
}
_FIXED = dataclasses.replace(presets.BEST.training, negatives="fixed")
_PLAIN = presets.Preset(
    model=dataclasses.replace(presets.BEST.model, product_inputs=False),
    training=dataclasses.replace(
        presets.BEST.training, n_epoch=14, learning_rate=1e-3, embedding_l2=5e-3
    ),
)
_OURS = {
    "ours_tutorial": presets.TUTORIAL,
    "ours_plain": _PLAIN,
    "ours_default": presets.DEFAULT,
    "ours_best": presets.BEST,
    "ours_best_fixed": dataclasses.replace(presets.BEST, training=_FIXED),
}
_DEFAULT_SIDES = ("fuxictr", "deepctr", "ours_best_fixed", "ours_best")

Entry = dict[str, Any]


def main() -> None:
    """Run every side with every seed, then print the table."""
    wish = _parse()
    entries: list[Entry] = []
    with tempfile.TemporaryDirectory(prefix="peers-") as name:
        folder = Path(name)
        data, log = prepare(wish, folder)
        print(json.dumps(log), flush=True)
        for seed in range(_FIRST_SEED, _FIRST_SEED + wish.seeds):
            for side in wish.sides:
                entry = {"log": log, "side": side, "seed": seed}
                if side in _OURS:
                    entry |= run_ours(side, data, seed, wish)
                else:
                    entry |= run_peer(side, data, seed, wish, folder)
                entry["load_average"] = load_average()
                print(in_words(entry), flush=True)
                entries.append(entry)
                add_entry(wish.out, {**entry, "machine": describe_machine()})
    print("\n" + table(entries))


def prepare(wish: argparse.Namespace, folder: Path) -> tuple[TrainingData, dict[str, Any]]:
    """Build a log's samples through the pipeline's own tables; return them and what they are."""
    csv = write_log(wish, folder)
    source, options = SourceConfig(path=str(csv)), SequenceConfig()
    with store.connect(folder / "peers.duckdb") as con:
        with store.transaction(con):
            sources.ingest(con, source)
        sequences.build(con, source, options)
        data = training_data.load(con)
    for library in {_PEERS[side][0] for side in wish.sides if side in _PEERS}:
        write_arrays(folder / f"{library}.npz", data, options.max_history, _PADDING[library])
    return data, {
        "name": wish.log if wish.log in ("grocery", *_GENERATED) else Path(wish.log).name,
        "users": data.vocabulary.n_users,
        "items": data.vocabulary.n_items,
        "events": len(data.event_items),
        "samples": {split: len(samples) for split, samples in data.samples.items()},
    }


def write_log(wish: argparse.Namespace, folder: Path) -> Path:
    """Write the log asked for as CSV, of its first ``--users`` users only where that is given."""
    if config := _GENERATED.get(wish.log):
        if wish.users:
            config = dataclasses.replace(config, n_users=wish.users)
        write_csv(generate(config), folder / "log.csv")
        return folder / "log.csv"
    csv = wish.grocery if wish.log == "grocery" else Path(wish.log)
    if not wish.users:
        return csv
    rows = pd.read_csv(csv)
    kept = rows["user_id"].drop_duplicates().iloc[: wish.users]
    rows[rows["user_id"].isin(kept)].to_csv(folder / "log.csv", index=False)
    return folder / "log.csv"


def run_ours(side: str, data: TrainingData, seed: int, wish: argparse.Namespace) -> Entry:
    """Train one of our presets and score."""
    preset = _OURS[side]
    config = dataclasses.replace(
        preset.training,
        seed=seed,
        n_epoch=min(preset.training.n_epoch, wish.max_epochs),
        num_threads=wish.threads,
        device="cpu",
        checkpoint_seconds=0,
    )
    begin = time.perf_counter()
    trained = loop.train(preset.model, config, data)
    seconds = time.perf_counter() - begin
    scores = {
        split: predict(trained.model, data, split)["score"].to_numpy() for split in ("val", "test")
    }
    return {
        "outcome": "ok",
        "embed_dim": preset.model.embed_dim,
        "best_epoch": trained.best_epoch,
        "epochs": len(trained.history),
        "seconds": round(seconds, 1),
        **aucs(data, scores),
        "val_aucs": [each.val_auc for each in trained.history],
        "precision": trained.precision,
        "settings": {**dataclasses.asdict(preset.model), **dataclasses.asdict(config)},
    }


def run_peer(
    side: str, data: TrainingData, seed: int, wish: argparse.Namespace, folder: Path
) -> Entry:
    """Let a peer train and score in its own environment; that it fails is a result, too."""
    library, settings_of = _PEERS[side]
    settings = settings_of()
    settings["epochs"] = min(settings["epochs"], wish.max_epochs)
    scores_path = folder / f"{side}.{seed}.scores.npz"
    python: Path = getattr(wish, f"{library}_python")
    options = json.dumps({"seed": seed, "settings": settings})
    # Isolated: the modules that lie beside the file must not be taken for the peer's.
    command = [
        str(python.absolute()),
        "-I",
        str(_SIDES_FILE),
        library,
        str(folder / f"{library}.npz"),
    ]
    threads = str(wish.threads)
    try:
        ended = subprocess.run(
            [*command, str(scores_path), options],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            timeout=wish.timeout_minutes * 60,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"outcome": "timeout", "settings": settings}
    if ended.returncode:
        last_lines = "\n".join(ended.stderr.strip().splitlines()[-12:])
        return {"outcome": "failed", "message": last_lines, "settings": settings}
    with np.load(scores_path) as saved:
        report = json.loads(str(saved["report"]))
        scores = {split: saved[split] for split in ("val", "test")}
    figures = aucs(data, scores)
    # That the peer found the same says that its rows are still those of our labels.
    if abs(max(report["val_aucs"]) - (figures["val_auc"] or 0.0)) > _SAME_AUC:
        raise RuntimeError(f"{side} saw {max(report['val_aucs'])}, its scores say {figures}")
    return {
        "outcome": "ok",
        "embed_dim": settings["embedding_dim"],
        "best_epoch": int(np.argmax(report["val_aucs"])) + 1,
        "epochs": len(report["val_aucs"]),
        "seconds": round(report["seconds"], 1),
        **figures,
        "val_aucs": report["val_aucs"],
        "library": report["library"],
        "torch": report["torch"],
        "precision": "float32",
        "settings": settings,
    }


def aucs(data: TrainingData, scores: Mapping[str, Any]) -> dict[str, float | None]:
    """Return ``val_auc`` and ``test_auc``: for every side the same labels and the same function."""
    return {
        "val_auc": metrics.auc(data.samples["val"].label, scores["val"]),
        "test_auc": metrics.auc(data.samples["test"].label, scores["test"]),
    }


def add_entry(out: Path, entry: Entry) -> None:
    """Append a run to the JSON list in a file."""
    entries = json.loads(out.read_text()) if out.exists() else []
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps([*entries, entry], indent=1) + "\n")


def in_words(entry: Entry) -> str:
    """Tell of a run that is done, in a line."""
    if entry["outcome"] != "ok":
        return f"{entry['side']}, seed {entry['seed']}: {entry['outcome']} {entry.get('message')}"
    return (
        f"{entry['side']}, seed {entry['seed']}: validation AUC {entry['val_auc']:.4f}, "
        f"test AUC {entry['test_auc']:.4f}, epoch {entry['best_epoch']} of {entry['epochs']}, "
        f"{entry['seconds']:.0f} s"
    )


def table(entries: Sequence[Entry]) -> str:
    """Return the sides as a Markdown table, means over the seeds."""
    lines = [
        "| side | embed | epochs to best | val AUC | test AUC | training seconds |",
        "|---|---|---|---|---|---|",
    ]
    for side in dict.fromkeys(entry["side"] for entry in entries):
        runs = [entry for entry in entries if entry["side"] == side]
        done = [entry for entry in runs if entry["outcome"] == "ok"]
        if not done:
            lines.append(f"| {side} | | | | {runs[-1]['outcome']} | |")
            continue
        tests = [entry["test_auc"] for entry in done]
        spread = f" ± {statistics.stdev(tests):.4f}" if len(tests) > 1 else ""
        epochs = ", ".join(str(entry["best_epoch"]) for entry in done)
        val = statistics.mean(entry["val_auc"] for entry in done)
        seconds = statistics.mean(entry["seconds"] for entry in done)
        lines.append(
            f"| {side} | {done[0]['embed_dim']} | {epochs} | {val:.4f} "
            f"| {statistics.mean(tests):.4f}{spread} | {seconds:.0f} |"
        )
    return "\n".join(lines)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Our accuracy beside that of other DINs.")
    parser.add_argument("--log", default="grocery", help="grocery, long, short or a CSV")
    parser.add_argument("--grocery", type=Path, help="amazon_grocery.csv, for --log grocery")
    parser.add_argument("--sides", nargs="+", choices=[*_PEERS, *_OURS], default=_DEFAULT_SIDES)
    parser.add_argument("--seeds", type=int, default=1, help="runs of each side")
    parser.add_argument("--out", type=Path, default=Path("data/peers.json"))
    parser.add_argument("--fuxictr-python", type=Path, help="of the environment with fuxictr")
    parser.add_argument("--deepctr-python", type=Path, help="of the one with deepctr-torch")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--timeout-minutes", type=float, default=180.0, help="of a peer's run")
    parser.add_argument("--users", type=int, default=0, help="only so many: does everything work?")
    parser.add_argument("--max-epochs", type=int, default=1_000, help="fewer than a side's own")
    wish = parser.parse_args()
    if wish.log == "grocery" and wish.grocery is None:
        parser.error("--log grocery needs --grocery PATH of the CSV")
    for library in {_PEERS[side][0] for side in wish.sides if side in _PEERS}:
        if getattr(wish, f"{library}_python") is None:
            parser.error(f"side {library} needs --{library}-python, or leave it out of --sides")
    return wish


if __name__ == "__main__":
    main()
