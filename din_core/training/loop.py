"""The training loop: mini-batches, early stopping, the best weights kept, checkpoints on the way.

:func:`train` is all that others call. What an epoch holds is :mod:`din_core.inputs.epochs`'s
business, how weights move :mod:`din_core.training.optimizers`'s, what is written to disk
:mod:`din_core.training.state`'s.
Shapes: B samples of a step, M samples of an epoch.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args, get_origin, get_type_hints

import numpy as np
import torch
from torch import Tensor

from din_core import metrics
from din_core.config import ModelConfig, TrainingConfig
from din_core.errors import DinError, RefusedOptionsError
from din_core.inputs.batches import BatchGatherer
from din_core.inputs.epochs import EpochPlan, EpochPlanner
from din_core.inputs.training_data import TrainingData
from din_core.machine.spinning import say_if_too_late
from din_core.network.batch import Batch
from din_core.network.hardware import ChosenPrecision, choose_device, choose_precision, seeded
from din_core.network.kernels import use_fused_units
from din_core.network.layers.dice import synchronize_statistics
from din_core.network.models import build_model
from din_core.training import distributed
from din_core.training.lanes import Lanes, number_of_lanes, one_ahead
from din_core.training.learner import Learner, samples_are_independent
from din_core.training.prediction import score
from din_core.training.regularization import occurrences
from din_core.training.reports import (
    EpochReport,
    TrainedModel,
    event_writer,
    nothing_to_rank_by,
    warnings_about,
)
from din_core.training.state import (
    TrainingState,
    fingerprint,
    load_state,
    save_state,
    sweep,
)

if TYPE_CHECKING:
    from din_core.network.layers.attention import ActivationUnit
    from din_core.network.models import DIN

__all__ = ["EpochReport", "TrainedModel", "TrainingError", "train"]

#: Training samples over all epochs below which compiling a kernel takes longer than it saves.
WORTH_COMPILING = 200_000

_LOG = logging.getLogger(__name__)


class TrainingError(DinError, RuntimeError):
    """Training cannot go on; the message says where it was and what to change."""


class TrainingOptionsError(TrainingError, RefusedOptionsError):
    """Training cannot go on with these options."""


def train(
    model_config: ModelConfig,
    training_config: TrainingConfig,
    data: TrainingData,
    *,
    on_epoch: Callable[[EpochReport], None] | None = None,
    on_warning: Callable[[str], object] = _LOG.warning,
    checkpoint_dir: Path | str | None = None,
    tensorboard_dir: Path | str | None = None,
    kernel_cache: Path | str | None = None,
    program_version: str = "",
) -> TrainedModel:
    """Train a network on a log.

    On the CPU the same arguments give the same weights, bit for bit, on the same machine with the
    same number of threads; also when the run was killed on the way and started again with the same
    ``checkpoint_dir``. (A GPU adds gradients in any order, so there it is within rounding.) The
    state of a finished run stays there too, and the same call then returns the same result at once:
    who has the model safe removes the state with :func:`din_core.training.state.clear_state`.

    Args:
        model_config: The network.
        training_config: The loop.
        data: The log.
        on_epoch: Called after each epoch (not again for those before a restart).
        on_warning: Told at once what the user should know, such as a damaged state that is not
            used; what the figures are worth stands in the result.
        checkpoint_dir: Where the run keeps its state, also when it is over; ``None`` keeps none.
        tensorboard_dir: Where TensorBoard event files go; ``None`` writes none.
        kernel_cache: Where compiled kernels are kept; ``~/.cache/din_core`` by default.
        program_version: Of the code that trains; state written by another code version is ignored.

    Returns:
        The model with the weights of the epoch with the best validation AUC.

    Raises:
        TrainingError: An option out of its range, a loss that is not finite, or a log without
            training samples of both labels (unless ``allow_untrained``).
        HardwareError: A device that is not there.
    """
    _check(training_config)
    say_if_too_late()
    with seeded(training_config.seed, training_config.num_threads):
        directory = Path(checkpoint_dir) if checkpoint_dir is not None else None
        kernels = Path(kernel_cache) if kernel_cache is not None else None
        run = _Run(model_config, training_config, data, directory, kernels, program_version)
        with (
            run,
            event_writer(tensorboard_dir if distributed.rank() == 0 else None) as write,
        ):
            run.resume(on_warning)
            for report in run.progress.history:  # of the run that this one goes on from
                write(report)

            def tell(report: EpochReport) -> None:
                write(report)
                if on_epoch is not None:
                    on_epoch(report)

            run.train(tell)
        return run.result()


@dataclass
class _Progress:
    """Where a run is: JSON types only, for the state's header."""

    epoch: int = 0
    step: int = 0
    best_epoch: int = 0
    best_auc: float | None = None
    seconds: float = 0.0  # spent on this epoch before
    history: list[EpochReport] = field(default_factory=list[EpochReport])

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> _Progress:
        history = [EpochReport(**each) for each in values["history"]]
        progress = cls(**{name: value for name, value in values.items() if name != "history"})
        progress.history = history
        return progress


class _Run:
    """A training run: where it is, what was best so far, and the state it can go on from."""

    def __init__(
        self,
        model_config: ModelConfig,
        config: TrainingConfig,
        data: TrainingData,
        directory: Path | None,
        kernel_cache: Path | None,
        program_version: str,
    ) -> None:
        self.config = config
        self.data = data
        self.planner = EpochPlanner(data, config)
        if not config.allow_untrained:
            _refuse_untrained(data, config, self.planner)
        self.device = choose_device(config.device)
        self.n_threads = torch.get_num_threads()
        self.precision: ChosenPrecision = choose_precision(
            config.precision, self.device, len(data.samples["train"]) * config.n_epoch
        )
        self.gatherer = BatchGatherer(data, self.device)
        model = build_model(model_config, data.vocabulary).to(self.device)
        synchronize_statistics(model, distributed.world_size() > 1)
        self.is_fused = self._fuse(model, kernel_cache)
        self.progress = _Progress()
        self.best_weights: dict[str, Tensor] = {}
        self.losses = torch.zeros(0, device=self.device)
        self.directory = directory
        self.fingerprint = (
            "" if directory is None else self._fingerprint(model_config, program_version)
        )
        self.started = self.saved_at = time.monotonic()
        self.lanes = self._open_lanes(model)
        try:
            self.learner = Learner(model, config, self.precision, lanes=self.lanes)
        except BaseException:
            self.lanes.close()
            raise

    def _fuse(self, model: DIN, kernel_cache: Path | None) -> bool:
        """Let the activation units run as compiled kernels where that is wanted and pays."""
        n_samples = len(self.data.samples["train"]) * self.config.n_epoch
        if not self.config.fused or self.device.type != "cpu" or n_samples < WORTH_COMPILING:
            return False
        return use_fused_units(model, self.precision, kernel_cache) > 0

    def _open_lanes(self, model: DIN) -> Lanes:
        """Let shares of a step run side by side where its samples have nothing in common."""
        number = 1
        if self.device.type == "cpu" and samples_are_independent(model):
            number = number_of_lanes(self.config.batch_size, self.n_threads)
        lanes = Lanes(number, self.n_threads // number)
        torch.set_num_threads(self.n_threads // number)  # beside lanes more would only wait
        return lanes

    def __enter__(self) -> None:
        """Close the lanes at the end of the block."""

    def __exit__(self, *_: object) -> None:
        self.lanes.close()

    def train(self, tell: Callable[[EpochReport], None]) -> None:
        """Run the epochs that are left, and keep how it ended."""
        if self._is_over():
            return
        while not self._is_over():
            started = self.started = time.monotonic() - self.progress.seconds
            epoch = self.progress.epoch
            plan = self.planner.plan(epoch)
            if self.config.regularization == "mini_batch_aware":
                self.learner.begin_epoch(occurrences(self.data, plan))
            self._run_steps(plan)
            trained = time.monotonic()
            with self.learner.evaluated_weights():
                self._close_epoch(plan, trained - started, started)
            tell(self.progress.history[-1])
        self._save()

    def _run_steps(self, plan: EpochPlan) -> None:
        """Run the steps of an epoch that are left."""
        steps = list(
            plan.steps(self.config.batch_size, distributed.world_size(), distributed.rank())
        )
        if self.progress.step == 0:
            self.losses = torch.zeros(len(steps), device=self.device)
        left = range(self.progress.step, len(steps))
        batches = self._batches(plan, [steps[step][0] for step in left])
        for step, batch in zip(left, batches, strict=True):
            n_samples = steps[step][1]
            share = (self.progress.epoch + step / len(steps)) / self.config.n_epoch
            loss = self.learner.step(batch, n_samples, self._learning_rate(share))
            distributed.sum_over_processes(loss)
            self.losses[step] = loss
            self.progress.step = step + 1
            if self.device.type == "cpu":  # on a GPU this would wait for the step
                self._check_losses(step)
            self._save_if_due()
        self._check_losses(0)

    def _batches(self, plan: EpochPlan, shares: Sequence[slice]) -> Iterator[Batch]:
        """Gather the batches of some steps: on the CPU during the step before.

        On a GPU the whole epoch is moved there at once: a copy within a step would wait for it.
        """
        if self.device.type != "cpu":
            resident = {
                name: torch.as_tensor(values).to(self.device)
                for name, values in plan.columns().items()
            }
            for rows in shares:
                yield self.gatherer.gather(
                    **{name: column[rows] for name, column in resident.items()},
                    n_positions=plan.n_positions(rows),
                )
            return

        def gathered(rows: slice) -> Batch:
            columns = {name: torch.as_tensor(each) for name, each in plan.columns(rows).items()}
            n_positions = int((columns["end"] - columns["start"]).sum())
            return self.gatherer.gather(**columns, n_positions=n_positions)

        yield from one_ahead(gathered, shares)

    def _close_epoch(self, plan: EpochPlan, seconds: float, started: float) -> None:
        """Measure the weights, keep them if they are the best, and go on to the next epoch."""
        samples, progress = self.data.samples["val"], self.progress
        scores = score(self.learner.model, self.gatherer, samples, self.device, self.n_threads)
        if not np.isfinite(scores).all():
            raise TrainingOptionsError(
                f"epoch {self.progress.epoch + 1}: {np.count_nonzero(~np.isfinite(scores))} of "
                f"{len(scores)} validation scores are NaN or infinite (learning_rate "
                f"{self.config.learning_rate}, precision {self.precision}); lower learning_rate"
            )
        val_auc = metrics.auc(samples.label, scores)
        is_best = val_auc is None or progress.best_auc is None or val_auc > progress.best_auc
        progress.epoch += 1
        progress.step = 0
        progress.seconds = 0.0
        if is_best:
            progress.best_auc, progress.best_epoch = val_auc, progress.epoch
            self.best_weights = _copy(self.learner.model.state_dict())
        duration = time.monotonic() - started
        progress.history.append(
            EpochReport(
                epoch=progress.epoch,
                n_epoch=self.config.n_epoch,
                train_loss=self._mean_loss(len(plan)),
                val_auc=val_auc,
                val_logloss=metrics.logloss(samples.label, scores),
                samples_per_second=len(plan) / seconds,
                seconds=duration,
                eta_seconds=duration * (self.config.n_epoch - progress.epoch),
                is_best=is_best,
            )
        )

    def _is_over(self) -> bool:
        progress = self.progress
        return (
            self.planner.n_samples == 0
            or progress.epoch >= self.config.n_epoch
            or progress.epoch - progress.best_epoch >= self.config.earlystop_patience
        )

    def result(self) -> TrainedModel:
        """Give the model its best weights, and say how it came by them."""
        model = self.learner.model
        if self.best_weights:
            model.load_state_dict(self.best_weights)
        for unit in model.units:
            # What is kept must run where no compiler is.
            cast("ActivationUnit", unit).kernel = None
        history = self.progress.history
        seconds = sum(report.seconds for report in history)
        samples = [report.samples_per_second for report in history]
        return TrainedModel(
            model=model.cpu().eval(),
            history=history,
            best_epoch=self.progress.best_epoch,
            seconds=seconds,
            samples_per_second=float(np.median(samples)) if samples else 0.0,
            precision=self.precision,
            device=str(self.device),
            activation_unit="fused" if self.is_fused else "plain",
            warnings=warnings_about(
                self.data, self.config, self.planner.redraws, self.planner.labels()
            ),
        )

    def _learning_rate(self, share: float) -> float:
        """Step size after a share of the planned steps, from 0 to 1."""
        if self.config.learning_rate_schedule == "cosine":
            return self.config.learning_rate * (1 + math.cos(math.pi * share)) / 2
        return self.config.learning_rate

    def _mean_loss(self, n_samples: int) -> float:
        """Mean over the samples; each step's loss is a mean over its own."""
        size = self.config.batch_size * distributed.world_size()
        weights = torch.full_like(self.losses, size)
        weights[-1] = n_samples - size * (len(weights) - 1)
        return float((self.losses.double() * weights).sum() / n_samples)

    def _check_losses(self, first: int) -> None:
        """Stop where the loss of a finished step is NaN or infinite."""
        done = self.losses[first : self.progress.step]
        if bool(torch.isfinite(done).all()):
            return
        step = first + int((~torch.isfinite(done)).nonzero()[0])
        raise TrainingOptionsError(
            f"epoch {self.progress.epoch + 1}, step {step + 1} of {len(self.losses)}: the loss is "
            f"{float(self.losses[step])} (learning_rate {self.config.learning_rate}, precision "
            f"{self.precision}); lower learning_rate"
            + (", or set precision to 'float32'" if self.precision != "float32" else "")
        )

    def _fingerprint(self, model_config: ModelConfig, program_version: str) -> str:
        circumstances = {
            "program": program_version,
            "device": str(self.device),
            "precision": self.precision,
            "fused": self.is_fused,
            "threads": self.n_threads,
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "world_size": distributed.world_size(),
        }
        return fingerprint(model_config, self.config, self.data.fingerprint(), circumstances)

    def _save_if_due(self) -> None:
        if time.monotonic() >= self.saved_at + self.config.checkpoint_seconds:
            self._save()

    def _save(self) -> None:
        """Write the state, where the run keeps one."""
        if self.directory is None or not self.config.checkpoint_seconds:
            return
        self._check_losses(0)
        if distributed.rank() == 0:
            tensors = {**self.learner.state(), "losses": self.losses, "rng": torch.get_rng_state()}
            if self.device.type == "cuda":
                tensors["cuda_rng"] = torch.cuda.get_rng_state()
            tensors |= {f"best.{name}": each for name, each in self.best_weights.items()}
            seconds = time.monotonic() - self.started
            state = TrainingState(tensors, asdict(self.progress) | {"seconds": seconds})
            save_state(self.directory, state, self.fingerprint)
        self.saved_at = time.monotonic()

    def resume(self, on_warning: Callable[[str], object]) -> None:
        """Go on from the state of an earlier run, where there is one that can be used."""
        if self.directory is None:
            return
        if distributed.rank() == 0:
            sweep(self.directory)
        state = load_state(self.directory, self.fingerprint, on_warning)
        if state is None:
            return
        self.learner.restore(state.tensors)
        self.progress = _Progress.from_values(dict(state.values))
        self.losses = state.tensors["losses"].to(self.device)
        self.best_weights = {
            name.removeprefix("best."): each.to(self.device)
            for name, each in state.tensors.items()
            if name.startswith("best.")
        }
        torch.set_rng_state(state.tensors["rng"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state.tensors["cuda_rng"])
        _LOG.info(
            "going on at epoch %d, step %d, from %s",
            self.progress.epoch + 1,
            self.progress.step + 1,
            self.directory,
        )


def _copy(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: each.detach().clone() for name, each in tensors.items()}


def _refuse_untrained(data: TrainingData, config: TrainingConfig, planner: EpochPlanner) -> None:
    cause = nothing_to_rank_by(data, config, planner.redraws, planner.labels())
    if cause is not None:
        raise TrainingError(
            f"there is nothing to train a model on: {cause}. With allow_untrained (ops: din_model: "
            "config) the run goes on, with a model that cannot rank"
        )


def _check(config: TrainingConfig) -> None:
    """Refuse options that would fail later and less clearly."""
    for name, kind in get_type_hints(TrainingConfig).items():
        allowed = get_args(kind)
        if get_origin(kind) is Literal and getattr(config, name) not in allowed:
            raise TrainingOptionsError(
                f"{name} is {getattr(config, name)!r}, must be one of {allowed}"
            )
    in_range = {
        "n_epoch": config.n_epoch >= 1,
        "batch_size": config.batch_size >= 1,
        "learning_rate": 0 < config.learning_rate < math.inf,
        "ema_decay": 0 <= config.ema_decay < 1,
        "earlystop_patience": config.earlystop_patience >= 1,
        "negatives_per_positive": config.negatives_per_positive >= 0,
        "weight_decay": 0 <= config.weight_decay < math.inf,
        "embedding_l2": 0 <= config.embedding_l2 < math.inf,
        "checkpoint_seconds": 0 <= config.checkpoint_seconds < math.inf,
        "num_threads": config.num_threads >= 0,
        "seed": 0 <= config.seed < 2**30,
    }
    for name, is_right in in_range.items():
        if not is_right:
            raise TrainingOptionsError(
                f"{name} is {getattr(config, name)}; its range is in the description of "
                "TrainingConfig"
            )
