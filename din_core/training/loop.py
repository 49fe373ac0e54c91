"""The training loop: epochs of mini-batches until the validation AUC no longer rises.

:func:`train` is all that others call. What an epoch holds is :mod:`din_core.training.logs`'s
business, how weights move :mod:`din_core.training.learner`'s, which weights are kept
:mod:`din_core.training.best_weights`'s, what lies on disk :mod:`din_core.training.checkpoints`'s.
Shapes: M samples of an epoch.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from din_core.config import ModelConfig, TrainingConfig, validate
from din_core.errors import DinError, RefusedOptionsError
from din_core.inputs.flat_log import TrainingData
from din_core.inputs.log_facts import LogFacts
from din_core.machine.spinning import say_if_too_late
from din_core.network.hardware import seeded
from din_core.network.layers.attention import drop_kernels
from din_core.network.models import build_model
from din_core.training import distributed
from din_core.training.best_weights import BestWeights
from din_core.training.checkpoints import Checkpoint, Checkpoints, fingerprint
from din_core.training.learner import Learner
from din_core.training.logs import Epoch, Log, WholeLog
from din_core.training.losses import EpochLosses
from din_core.training.placement import Placement, placed
from din_core.training.reports import (
    EpochReport,
    TrainedModel,
    event_writer,
    nothing_to_rank_by,
    warnings_about,
)
from din_core.training.warm_start import Predecessor, TakenOver, start_from

__all__ = ["EpochReport", "TrainedModel", "TrainingError", "train"]

_LOG = logging.getLogger(__name__)


class TrainingError(DinError, RuntimeError):
    """Training cannot go on; the message says where it was and what to change."""


class TrainingOptionsError(TrainingError, RefusedOptionsError):
    """Training cannot go on with these options."""


def train(
    model_config: ModelConfig,
    training_config: TrainingConfig,
    data: TrainingData | Callable[[], Log],
    *,
    on_epoch: Callable[[EpochReport], None] | None = None,
    on_warning: Callable[[str], object] = _LOG.warning,
    checkpoint_dir: Path | str | None = None,
    tensorboard_dir: Path | str | None = None,
    kernel_cache: Path | str | None = None,
    program_version: str = "",
    predecessor: Predecessor | None = None,
) -> TrainedModel:
    """Train a network on a log.

    On the CPU the same arguments give the same weights, bit for bit, on the same machine with the
    same number of threads; also when the run was killed on the way and started again with the same
    ``checkpoint_dir``. (A GPU adds gradients in any order, so there it is within rounding.) The
    state of a finished run stays there too, and the same call then returns the same result at once:
    who has the model safe removes it with :func:`din_core.training.checkpoints.clear_checkpoint`.

    Args:
        model_config: The network.
        training_config: The loop.
        data: The log; or what opens one that is not in memory as a whole, called when the random
            numbers and the threads are set.
        on_epoch: Called after each epoch (not again for those before a restart).
        on_warning: Told at once what the user should know, such as a damaged state that is not
            used; what the figures are worth stands in the result.
        checkpoint_dir: Where the run keeps its state, also when it is over; ``None`` keeps none.
        tensorboard_dir: Where TensorBoard event files go; ``None`` writes none.
        kernel_cache: Where compiled kernels are kept; ``~/.cache/din_core`` by default.
        program_version: Of the code that trains; state written by another code version is ignored.
        predecessor: A model to start from, in ``warm_start_epochs``. One that does not fit is said
            and not taken. Without one, training starts from random weights, whatever
            ``warm_start`` says.

    Returns:
        The model with the weights of the epoch with the best validation AUC.

    Raises:
        OptionsError: An option of the network or of the loop that must not be what it is.
        SamplingError: Negatives that cannot be redrawn as asked for.
        TrainingError: A loss that is not finite, or a log without training samples of both labels
            (unless ``allow_untrained``).
        HardwareError: A device that is not there.
    """
    validate(model_config)
    validate(training_config)
    say_if_too_late()
    with seeded(training_config.seed, training_config.num_threads):
        log = data() if callable(data) else WholeLog(data, training_config)
        if not training_config.allow_untrained:
            _refuse_untrained(log.facts)
        model = build_model(model_config, log.vocabulary)
        taken_over = start_from(model, model_config, predecessor, on_warning)
        if taken_over is not None:
            n_epoch = training_config.warm_start_epochs or training_config.n_epoch
            training_config = replace(training_config, n_epoch=n_epoch)
        n_samples = log.facts.n_train * training_config.n_epoch
        kernels = Path(kernel_cache) if kernel_cache is not None else None
        with placed(model, training_config, n_samples, kernels) as placement:
            checkpoints = None
            if checkpoint_dir is not None:
                circumstances = placement.circumstances(program_version)
                if predecessor is not None and taken_over is not None:
                    circumstances["predecessor"] = predecessor.fingerprint()
                checkpoints = Checkpoints(
                    Path(checkpoint_dir),
                    fingerprint(model_config, training_config, log.fingerprint(), circumstances),
                    training_config.checkpoint_seconds,
                    on_warning,
                )
            learner = Learner(
                model,
                training_config,
                placement.precision,
                lanes=placement.lanes,
                row_kernel=placement.row_kernel,
                network_kernel=placement.network_kernel,
                new_rows=None if taken_over is None else taken_over.new_rows,
            )
            run = _Run(training_config, log, learner, placement, checkpoints, taken_over)
            with event_writer(tensorboard_dir if distributed.rank() == 0 else None) as write:
                run.resume()
                for report in run.history:  # of the run that this one goes on from
                    write(report)

                def tell(report: EpochReport) -> None:
                    write(report)
                    if on_epoch is not None:
                        on_epoch(report)

                run.train(tell)
            return run.result()


class _Run:
    """A training run: where it is, and the steps and epochs that take it further."""

    def __init__(
        self,
        config: TrainingConfig,
        log: Log,
        learner: Learner,
        placement: Placement,
        checkpoints: Checkpoints | None,
        taken_over: TakenOver | None,
    ) -> None:
        self.config = config
        self.facts, self.vocabulary = log.facts, log.vocabulary
        self.learner = learner
        self.placement = placement
        self.checkpoints = checkpoints
        self.taken_over = taken_over
        self.first_epoch = 0 if taken_over is None else taken_over.first_epoch
        self.supply = log.supply(placement.device, learner.model.log_numbers)
        self.best = BestWeights()
        self.losses = EpochLosses(placement.device)
        self.epoch = 0  # finished ones; the steps of the present one are `losses.n_done`
        self.history: list[EpochReport] = []
        self.seconds = 0.0  # spent on the present epoch before a restart
        self.started = time.monotonic()

    def train(self, tell: Callable[[EpochReport], None]) -> None:
        """Run the epochs that are left, and keep how it ended."""
        if self._is_over():
            return
        while not self._is_over():
            self.started = time.monotonic() - self.seconds
            epoch = self.supply.epoch(self.first_epoch + self.epoch)
            if self.config.regularization == "mini_batch_aware":
                self.learner.begin_epoch(epoch.occurrences())
            self._run_steps(epoch)
            trained = time.monotonic()
            with self.learner.evaluated_weights():
                self._close_epoch(epoch, trained - self.started)
            tell(self.history[-1])
        if self.checkpoints is not None:
            self._save(self.checkpoints)

    def _run_steps(self, epoch: Epoch) -> None:
        """Run the steps of an epoch that are left."""
        samples_of_steps = epoch.samples_of_steps.tolist()
        n_steps = len(samples_of_steps)
        if self.losses.n_done == 0:
            self.losses.begin(n_steps)
        left = range(self.losses.n_done, n_steps)
        for step, batch in zip(left, epoch.batches(left.start), strict=True):
            share = (self.epoch + step / n_steps) / self.config.n_epoch
            loss = self.learner.step(batch, samples_of_steps[step], self._learning_rate(share))
            self.losses.add(distributed.sum_over_processes(loss))
            if self.placement.device.type == "cpu":  # on a GPU this would wait for the step
                self._check_losses(latest_only=True)
            if self.checkpoints is not None and self.checkpoints.is_due():
                self._save(self.checkpoints)
        self._check_losses()

    def _close_epoch(self, epoch: Epoch, training_seconds: float) -> None:
        """Measure the weights, keep them if they are the best, and go on to the next epoch."""
        model, place = self.learner.model, self.placement
        val = self.supply.validate(model, place.n_threads, place.network_kernel)
        if val.n_broken:
            raise TrainingOptionsError(
                f"epoch {self.epoch + 1}: {val.n_broken} of {val.n_samples} validation scores are "
                f"NaN or infinite (learning_rate {self.config.learning_rate}, precision "
                f"{place.precision}); lower learning_rate"
            )
        self.epoch += 1
        is_best = self.best.offer(self.epoch, val.auc, model)
        seconds = time.monotonic() - self.started
        samples_of_steps = epoch.samples_of_steps
        self.history.append(
            EpochReport(
                epoch=self.epoch,
                n_epoch=self.config.n_epoch,
                train_loss=self.losses.mean(samples_of_steps),
                val_auc=val.auc,
                val_logloss=val.logloss,
                samples_per_second=int(samples_of_steps.sum()) / training_seconds,
                seconds=seconds,
                eta_seconds=seconds * (self.config.n_epoch - self.epoch),
                is_best=is_best,
            )
        )
        self.losses.begin(0)
        self.seconds = 0.0

    def _is_over(self) -> bool:
        return (
            self.facts.n_samples == 0
            or self.epoch >= self.config.n_epoch
            or self.epoch - self.best.epoch >= self.config.earlystop_patience
        )

    def _learning_rate(self, share: float) -> float:
        """Step size after a share of the planned steps, from 0 to 1."""
        if self.config.learning_rate_schedule == "cosine":
            return self.config.learning_rate * (1 + math.cos(math.pi * share)) / 2
        return self.config.learning_rate

    def _check_losses(self, *, latest_only: bool = False) -> None:
        """Stop where the loss of a finished step is NaN or infinite."""
        step = self.losses.first_broken(latest_only=latest_only)
        if step is None:
            return
        precision = self.placement.precision
        raise TrainingOptionsError(
            f"epoch {self.epoch + 1}, step {step + 1} of {len(self.losses.values)}: the loss is "
            f"{float(self.losses.values[step])} (learning_rate {self.config.learning_rate}, "
            f"precision {precision}); lower learning_rate"
            + (", or set precision to 'float32'" if precision != "float32" else "")
        )

    def _save(self, checkpoints: Checkpoints) -> None:
        """Write a checkpoint; a broken run gets none."""
        self._check_losses()
        values: dict[str, Any] = {
            "epoch": self.epoch,
            "step": self.losses.n_done,
            "seconds": time.monotonic() - self.started,
            "history": [asdict(report) for report in self.history],
            **self.best.values(),
        }
        tensors = {**self.learner.state(), **self.best.tensors(), "losses": self.losses.values}
        checkpoints.save(Checkpoint(tensors, values))

    def resume(self) -> None:
        """Go on from the checkpoint of an earlier run, where there is one that can be used."""
        checkpoint = None if self.checkpoints is None else self.checkpoints.load()
        if checkpoint is None:
            return
        values, tensors = checkpoint.values, checkpoint.tensors
        self.learner.restore(tensors)
        self.best.restore(values, tensors, self.placement.device)
        self.losses.restore(tensors["losses"], values["step"])
        self.epoch, self.seconds = values["epoch"], values["seconds"]
        self.history = [EpochReport(**each) for each in values["history"]]
        _LOG.info("going on at epoch %d, step %d", self.epoch + 1, self.losses.n_done + 1)

    def result(self) -> TrainedModel:
        """Give the model its best weights, and say how it came by them."""
        model = self.learner.model
        self.best.apply_to(model)
        drop_kernels(model)
        rates = [report.samples_per_second for report in self.history]
        return TrainedModel(
            model=model.cpu().eval(),
            vocabulary=self.vocabulary,
            history=self.history,
            best_epoch=self.best.epoch,
            seconds=sum(report.seconds for report in self.history),
            samples_per_second=float(np.median(rates)) if rates else 0.0,
            precision=self.placement.precision,
            device=str(self.placement.device),
            activation_unit="fused" if self.placement.is_fused else "plain",
            negatives=self.facts.negatives,
            epochs_so_far=self.first_epoch + self.epoch,
            taken_over=self.taken_over,
            warnings=warnings_about(self.facts),
        )


def _refuse_untrained(facts: LogFacts) -> None:
    cause = nothing_to_rank_by(facts)
    if cause is not None:
        raise TrainingError(
            f"there is nothing to train a model on: {cause}. With allow_untrained (ops: din_model: "
            "config) the run goes on, with a model that cannot rank"
        )
