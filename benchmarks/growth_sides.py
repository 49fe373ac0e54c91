"""The side of the growth case: a log that grows by the day, a model each day, cold and warm.

Runs in a process of its own (:mod:`benchmarks.side`) and imports what it needs.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.clock import Clock
    from din_core.config import TrainingConfig
    from din_core.inputs.flat_log import TrainingData
    from din_core.training.loop import TrainedModel

_START = 0.7  # of the log's rows, by time: what is there on the day before the first


def growth(
    clock: Clock,
    csv: str,
    preset: str,
    warm: Mapping[str, Mapping[str, Any]],
    n_days: int,
    days_in_all: int,
    max_epochs: int | None = None,
) -> dict[str, Any]:
    """Train on a log of each day: from random weights, and from the model of the day before.

    Args:
        clock: Of this process.
        csv: The whole log, ``user_id, item_id, time`` and the rest.
        preset: The network, and how a model is trained from random weights.
        warm: By name of a way to go on, the options of training that differ; each has a chain of
            models of its own, which begins with the same one.
        n_days: Days that are measured.
        days_in_all: Days that the last 30% of the rows are cut into, each with as many.
        max_epochs: At most so many from random weights.
    """
    from din_core import presets

    chosen = {"best": presets.BEST, "default": presets.DEFAULT}[preset]
    cold = dataclasses.replace(chosen.training, checkpoint_seconds=0)
    if max_epochs is not None:
        cold = dataclasses.replace(cold, n_epoch=min(cold.n_epoch, max_epochs))
    clock.start()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        before: dict[str, Path] = {}
        days = enumerate(_days(Path(csv), Path(place), n_days, days_in_all))
        for day, (log, since) in days:
            data, folder = _tables(log)
            sides = {"cold": cold}
            if day:
                sides |= {
                    name: dataclasses.replace(cold, warm_start="last", **options)
                    for name, options in warm.items()
                }
            for name, training in sides.items():
                of_side = folder / name
                trained, figures = _trained(chosen.model, training, data, folder, before.get(name))
                rows.append({"day": day, "side": name, **figures, **_aucs(trained, data, since)})
                _save(of_side, folder, trained, chosen.model, data)
                before[name] = of_side
            if not day:
                before = dict.fromkeys(warm, before["cold"])
            before.pop("cold", None)
    clock.stop()
    return {
        "preset": preset,
        "warm": {name: dict(each) for name, each in warm.items()},
        "days": rows,
    }


def _days(csv: Path, place: Path, n_days: int, days_in_all: int) -> Iterator[tuple[Path, float]]:
    """Write the log as it is on each day; yield it with the time that the day begins at."""
    lines = csv.read_text(encoding="utf-8").splitlines()
    column = lines[0].split(",").index("time")
    body = sorted(lines[1:], key=lambda line: float(line.split(",")[column]))  # stable
    begin = round(_START * len(body))
    for day in range(n_days + 1):
        first = begin + round((day - 1) / days_in_all * (len(body) - begin)) if day else 0
        last = begin + round(day / days_in_all * (len(body) - begin))
        folder = place / str(day)
        folder.mkdir()
        log = folder / "log.csv"
        log.write_text("\n".join([lines[0], *body[:last]]) + "\n", encoding="utf-8")
        yield log, float(body[first].split(",")[column])


def _tables(log: Path) -> tuple[TrainingData, Path]:
    """Build the tables of a day; return what training takes, and a folder with the vocabularies."""
    from din_core import sources, store
    from din_core.config import SequenceConfig, SourceConfig
    from din_core.inputs import times, training_data
    from din_core.serving import vocabularies
    from din_core.tables import sequences

    source = SourceConfig(path=str(log))
    with store.connect(log.with_name("pipeline.duckdb")) as con:
        with store.transaction(con):
            sources.ingest(con, source)
        sequences.build(con, source, SequenceConfig())
        data = times.with_times(con, training_data.load(con))
        vocabularies.write(con, log.parent, with_users=False)
    log.unlink()
    return data, log.parent


def _trained(
    network: Any, training: TrainingConfig, data: TrainingData, folder: Path, before: Path | None
) -> tuple[TrainedModel, dict[str, Any]]:
    from din_core.serving import predecessors
    from din_core.training.loop import train

    begin, cpu_begin = time.perf_counter(), time.process_time()
    start = before and predecessors.read(before, before.parent.name, folder, data.vocabulary)
    trained = train(network, training, data, predecessor=start)
    shares = trained.taken_over.shares() if trained.taken_over else {}
    return trained, {
        "seconds": round(time.perf_counter() - begin, 2),
        "cpu_seconds": round(time.process_time() - cpu_begin, 2),
        "epochs": len(trained.history),
        "best_epoch": trained.best_epoch,
        "val_auc": trained.best.val_auc if trained.best else None,
        "items_taken_over": shares.get("target_item_idx"),
    }


def _aucs(trained: TrainedModel, data: TrainingData, since: float) -> dict[str, Any]:
    """AUC on the test rows of the day's log, and on those of them that came on that very day."""
    from din_core import metrics
    from din_core.training.prediction import predict

    scores = predict(trained.model, data, "test")["score"].to_numpy()
    test = data.samples["test"]
    assert test.time is not None
    is_new = test.time >= since
    return {
        "test_auc": metrics.auc(test.label, scores),
        "test_auc_new": metrics.auc(test.label[is_new], scores[is_new]),
        "test_rows": len(test),
        "test_rows_new": int(is_new.sum()),
    }


def _save(folder: Path, day: Path, trained: TrainedModel, network: Any, data: TrainingData) -> None:
    """Keep a model for the next day, with the vocabularies of its own."""
    from din_core.serving import saved_models, vocabularies

    about = {"epochs": trained.epochs_so_far}
    saved_models.save_model(folder, trained.model, network, data.vocabulary, about)
    (folder / vocabularies.FOLDER).symlink_to(day / vocabularies.FOLDER)
