"""Trains each variant with each seed, and keeps what is finished, so that a kill costs little.

A finished trial is a file named by all that decides its result: options, log, code. It is not done
again while that stays the same. A training that was killed goes on from its checkpoint.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from din_core import metrics
from din_core.atomic_files import replacing
from din_core.inputs.batches import BatchGatherer
from din_core.inputs.other_samples import split_by_time, with_max_history
from din_core.training import loop
from din_core.training.prediction import score

if TYPE_CHECKING:
    from din_core.config import ModelConfig, TrainingConfig
    from din_core.evaluation.ablation.variants import Variant
    from din_core.inputs.flat_log import TrainingData

_FIGURES = ("val_auc", "test_auc", "test_gauc", "test_logloss", "epochs", "best_epoch", "seconds")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One variant trained with one seed.

    Attributes:
        variant: What was tried.
        seed: Of weights, order and redrawn negatives.
        val_auc: Of the epoch that was chosen by it; ``None`` where it is undefined.
        test_auc: Of that epoch, likewise.
        test_gauc: Likewise.
        test_logloss: Likewise.
        epochs: That were trained.
        best_epoch: The one that was kept.
        seconds: That training took, over all restarts.
        scores: Of the test samples in their order, float32 ``[N]``.
    """

    variant: Variant
    seed: int
    val_auc: float | None
    test_auc: float | None
    test_gauc: float | None
    test_logloss: float | None
    epochs: int
    best_epoch: int
    seconds: float
    scores: npt.NDArray[np.float32]


def run(
    variants: Sequence[Variant],
    seeds: Sequence[int],
    model: ModelConfig,
    training: TrainingConfig,
    data: TrainingData,
    folder: Path,
    *,
    program_version: str = "",
    tell: Callable[[str], object] = lambda _: None,
) -> list[Trial]:
    """Train what is not finished yet.

    Every variant is trained with the first seed before any with the second, so that a run that is
    stopped has something to say of each.

    Args:
        variants: What is tried.
        seeds: With each of these.
        model: The base's network.
        training: The base's loop; its seed is not taken.
        data: The log, with times.
        folder: Where finished trials and checkpoints are kept.
        program_version: Of the code that trains; what another one left is not taken.
        tell: Told of each trial, and how long those that are left will take.

    Returns:
        All trials, by variant, then seed.

    Raises:
        DinError: As :func:`din_core.training.loop.train`; finished trials stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = data.fingerprint()
    jobs = {(variant.name, seed): variant for seed in seeds for variant in variants}
    files = {
        (name, seed): folder / f"{_key(variant, seed, model, training, log, program_version)}.npz"
        for (name, seed), variant in jobs.items()
    }
    found = {
        (name, seed): trial
        for (name, seed), variant in jobs.items()
        if (trial := _read(files[name, seed], variant, seed)) is not None
    }
    waiting = [job for job in jobs if job not in found]
    if found:
        tell(f"{len(found)} of {len(jobs)} trials were finished before")
    begin = time.monotonic()
    for number, job in enumerate(waiting, start=1):
        variant, (_, seed) = jobs[job], job
        trial = _train(variant, seed, model, training, data, files[job], program_version)
        _write(files[job], trial)
        found[job] = trial
        left = (time.monotonic() - begin) / number * (len(waiting) - number)
        tell(
            f"{variant.name}, seed {seed}: validation AUC {_shown(trial.val_auc)}, test AUC "
            f"{_shown(trial.test_auc)}, {trial.seconds:.0f} s; {len(waiting) - number} trials left"
            + (f", about {_duration(left)}" if left else "")
        )
    return [found[variant.name, seed] for variant in variants for seed in seeds]


def samples_of(variant: Variant, data: TrainingData) -> TrainingData:
    """Return the log as a variant takes it."""
    if variant.max_history is not None:
        data = with_max_history(data, variant.max_history)
    if variant.temporal is not None:
        data = split_by_time(data, *variant.temporal)
    return data


def _train(
    variant: Variant,
    seed: int,
    model: ModelConfig,
    training: TrainingConfig,
    data: TrainingData,
    file: Path,
    program_version: str,
) -> Trial:
    own = samples_of(variant, data)
    checkpoint = file.with_suffix(".checkpoint")
    trained = loop.train(
        variant.network(model),
        dataclasses.replace(variant.loop(training), seed=seed),
        own,
        checkpoint_dir=checkpoint,
        program_version=program_version,
    )
    shutil.rmtree(checkpoint, ignore_errors=True)
    test = own.samples["test"]
    device = next(trained.model.parameters()).device
    scores = score(trained.model, BatchGatherer.of(trained.model, own), test, device)
    best = trained.best
    return Trial(
        variant=variant,
        seed=seed,
        val_auc=None if best is None else best.val_auc,
        test_auc=metrics.auc(test.label, scores),
        test_gauc=metrics.gauc(test.label, scores, test.user),
        test_logloss=metrics.logloss(test.label, scores),
        epochs=len(trained.history),
        best_epoch=trained.best_epoch,
        seconds=trained.seconds,
        scores=scores,
    )


def _key(
    variant: Variant,
    seed: int,
    model: ModelConfig,
    training: TrainingConfig,
    log: str,
    program_version: str,
) -> str:
    decisive = [
        dataclasses.asdict(variant.network(model)),
        dataclasses.asdict(dataclasses.replace(variant.loop(training), seed=seed)),
        [variant.max_history, variant.temporal],
        log,
        program_version,
    ]
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:32]


def _write(file: Path, trial: Trial) -> None:
    figures = {name: getattr(trial, name) for name in _FIGURES}
    with replacing(file) as temporary, temporary.open("wb") as opened:
        np.savez(opened, scores=trial.scores, figures=np.array(json.dumps(figures)))


def _read(file: Path, variant: Variant, seed: int) -> Trial | None:
    """A finished trial; ``None`` where there is none, or a damaged one, which is done again."""
    try:
        with file.open("rb") as opened, np.load(opened) as saved:
            figures: dict[str, Any] = json.loads(str(saved["figures"]))
            return Trial(variant=variant, seed=seed, scores=saved["scores"], **figures)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
