"""The sides of the GPU cases: training there beside training here, and what the GPU waits for.

Each function runs in a process of its own (:mod:`benchmarks.side`) and imports what it needs. Where
there is no GPU they run on the CPU, to see that all works; :mod:`benchmarks.gpu_cases` allows that
in a quick run only.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.training_sides import theirs_training

if TYPE_CHECKING:
    import torch

    from benchmarks.clock import Clock
    from din_core.inputs.flat_log import TrainingData


def gpu_there(clock: Clock) -> dict[str, Any]:
    """Say which GPU there is; the name is empty where there is none."""
    import torch

    clock.start()
    is_there = torch.cuda.is_available()
    clock.stop()
    return {
        "name": torch.cuda.get_device_name() if is_there else "",
        "memory_gb": round(torch.cuda.get_device_properties(0).total_memory / 2**30)
        if is_there
        else 0,
        "torch": torch.__version__,
    }


def gpu_agreement(
    clock: Clock, database: str, model: Mapping[str, Any], training: Mapping[str, Any], epochs: int
) -> dict[str, Any]:
    """Train the same network on the CPU and on the GPU, in float32, and compare.

    Args:
        clock: Of this process.
        database: The database that a sequence case built.
        model: Fields of ``DINConfig``.
        training: Fields of ``TrainingConfig``.
        epochs: Epochs.
    """
    from din_core import metrics
    from din_core.config import DINConfig, TrainingConfig, config_from_mapping
    from din_core.training.loop import train
    from din_core.training.prediction import predict

    data = _log(database)
    figures: dict[str, Any] = {}
    clock.start()
    for side in ("cpu", _device()):
        options = {**training, **_whole(epochs), "device": side, "precision": "float32"}
        trained = train(
            config_from_mapping(DINConfig, model),
            config_from_mapping(TrainingConfig, options),
            data,
        )
        scores = predict(trained.model, data, "test")
        # The CPU comes first: on a machine without a GPU the second one has the same name.
        name = "cpu" if "cpu" not in figures else "gpu"
        figures[name] = {
            "train_loss": [report.train_loss for report in trained.history],
            "val_auc": [report.val_auc for report in trained.history],
            "test_auc": metrics.auc(scores["label"].to_numpy(), scores["score"].to_numpy()),
            "device": trained.device,
        }
    clock.stop()
    return figures


def gpu_training(
    clock: Clock, database: str, model: Mapping[str, Any], training: Mapping[str, Any], epochs: int
) -> dict[str, Any]:
    """Train on the GPU; then one epoch more, watched: kernels, and waits of the host.

    Args:
        clock: Of this process.
        database: The database that a sequence case built.
        model: Fields of ``DINConfig``.
        training: Fields of ``TrainingConfig``.
        epochs: Epochs, at least 2; the first is not counted.
    """
    from din_core.config import DINConfig, TrainingConfig, config_from_mapping
    from din_core.training.loop import train

    data = _log(database)
    device = _device()
    network = config_from_mapping(DINConfig, model)
    clock.start()
    config = config_from_mapping(TrainingConfig, {**training, **_whole(epochs), "device": device})
    trained = train(network, config, data)
    clock.stop()
    peak_mb = _peak_mb(device)
    once = config_from_mapping(TrainingConfig, {**training, **_whole(1), "device": device})
    with _watched(device) as seen:
        train(network, once, data)
    steady = trained.history[1:]
    n_samples = len(data.samples["train"])
    epoch_seconds = statistics.median(n_samples / each.samples_per_second for each in steady)
    return {
        "samples_per_s": statistics.median(each.samples_per_second for each in steady),
        "epoch_seconds": epoch_seconds,
        "validated_epoch_seconds": statistics.median(each.seconds for each in steady),
        "val_auc": [each.val_auc for each in trained.history],
        "precision": trained.precision,
        "device": trained.device,
        "gpu_peak_mb": peak_mb,
        **seen,
        "gpu_busy_share": min(1.0, seen["kernel_seconds"] / epoch_seconds),
    }


def theirs_on_gpu(clock: Clock, **options: Any) -> dict[str, Any]:
    """Train torch-rechub's DIN on the GPU for some steps; see ``theirs_training``."""
    return theirs_training(clock, **options, device=_device())


def _log(database: str) -> TrainingData:
    from din_core import store
    from din_core.inputs import training_data

    with store.connect(database, read_only=True) as con:
        return training_data.load(con)


def _device() -> str:
    import torch  # after din_core, which tells torch's threads how long to spin

    return "cuda" if torch.cuda.is_available() else "cpu"


def _peak_mb(device: str) -> float:
    import torch

    return torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else 0.0


def _whole(epochs: int) -> dict[str, Any]:
    """So many epochs whatever comes, and nothing written."""
    return {"n_epoch": epochs, "earlystop_patience": epochs, "checkpoint_seconds": 0}


@contextmanager
def _watched(device: str) -> Generator[dict[str, Any]]:
    """Count steps, kernels, their time, and waits of the host, from the first step to the last."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    from din_core.training.learner import Learner

    seen: dict[str, Any] = {"steps": 0, "waits": 0, "wait_sites": {}, "kernels": 0}
    plain_step, plain_evaluated = Learner.step, Learner.evaluated_weights
    begun: list[float] = []
    activities = [ProfilerActivity.CUDA] if device == "cuda" else [ProfilerActivity.CPU]
    profiler = profile(activities=activities)
    heard: list[warnings.WarningMessage] = []

    def step(*args: Any, **kwargs: Any) -> torch.Tensor:
        if not begun:
            profiler.start()
            begun.append(time.perf_counter())
            if device == "cuda":
                torch.cuda.set_sync_debug_mode("warn")
        seen["steps"] += 1
        return plain_step(*args, **kwargs)

    def evaluated(*args: Any, **kwargs: Any) -> Any:
        if device == "cuda":
            torch.cuda.set_sync_debug_mode("default")
        seen["launch_seconds"] = time.perf_counter() - begun[0]
        if device == "cuda":
            torch.cuda.synchronize()
        profiler.stop()
        return plain_evaluated(*args, **kwargs)

    Learner.step, Learner.evaluated_weights = step, evaluated  # the loop tells of epochs only
    try:
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            yield seen
    finally:
        Learner.step, Learner.evaluated_weights = plain_step, plain_evaluated
    for each in heard:
        if "synchroniz" in str(each.message):
            seen["waits"] += 1
            site = f"{each.filename.rpartition('/')[2]}:{each.lineno}"
            seen["wait_sites"][site] = seen["wait_sites"].get(site, 0) + 1
    kinds = profiler.key_averages()
    of_kernels = {
        each.key[:80]: (each.count, each.self_device_time_total / 1e6)
        for each in kinds
        if each.self_device_time_total
    }
    seen["kernels"] = sum(count for count, _ in of_kernels.values())
    seen["kernel_seconds"] = sum(seconds for _, seconds in of_kernels.values())
