"""What training tells: reports of epochs, the result, warnings, TensorBoard's event files."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from din_core.network.layers.attention import ActivationUnit
from din_core.training.event_files import EventFile

if TYPE_CHECKING:
    from din_core.inputs.log_facts import LogFacts
    from din_core.network.hardware import ChosenPrecision
    from din_core.network.models import ClickModel
    from din_core.network.vocabulary import Vocabulary
    from din_core.training.warm_start import TakenOver

#: Below this many validation samples an AUC says little.
FEW_SAMPLES = 1_000
_IN_EVENTS = ("train_loss", "val_auc", "val_logloss", "samples_per_second")


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """One epoch.

    Attributes:
        epoch: Its number, from 1.
        n_epoch: The number of the last one, if nothing stops training earlier.
        train_loss: Mean logloss over the training samples while weights moved; ``None`` without
            training samples.
        val_auc: AUC on the validation samples; ``None`` where undefined.
        val_logloss: Their logloss; ``None`` without any.
        samples_per_second: Training samples per second, validation not counted.
        seconds: Duration, validation included.
        eta_seconds: Estimate of the time left if training does not stop early.
        is_best: Whether no earlier epoch had a better validation AUC.
    """

    epoch: int
    n_epoch: int
    train_loss: float | None
    val_auc: float | None
    val_logloss: float | None
    samples_per_second: float
    seconds: float
    eta_seconds: float
    is_best: bool

    def metrics(self) -> dict[str, float]:
        """Every number that is defined, by name."""
        return {name: float(value) for name, value in asdict(self).items() if value is not None}

    def summary(self) -> str:
        """The epoch in one line, for a terminal."""
        loss = "-" if self.train_loss is None else f"{self.train_loss:.4f}"
        auc = "-" if self.val_auc is None else f"{self.val_auc:.4f}"
        best = " (best so far)" if self.is_best else ""
        return (
            f"epoch {self.epoch}/{self.n_epoch}: training loss {loss}, validation AUC {auc}{best}, "
            f"{self.samples_per_second:,.0f} samples/s, at most {self.eta_seconds:.0f} s left"
        )


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """The result of a training run.

    Attributes:
        model: With the best weights (averaged ones where asked for), in evaluation mode, on the
            CPU.
        vocabulary: Of the log: how many ids there are, and by what numbers are measured.
        history: All epochs.
        best_epoch: Epoch whose weights were kept, from 1; 0 where there was nothing to train on.
        seconds: Duration of all epochs.
        samples_per_second: Training samples per second of training, validation not counted.
        precision: What products were computed in.
        device: Where.
        activation_unit: ``fused`` or ``plain``, of a model that has any.
        negatives: Which ones it saw: ``fixed``, ``logged``, or how they were redrawn.
        epochs_so_far: Epochs behind the weights, those of its predecessors included.
        taken_over: What it started from; ``None`` where that was random weights.
        warnings: What a reader of the figures should know, as sentences.
    """

    model: ClickModel
    vocabulary: Vocabulary
    history: list[EpochReport]
    best_epoch: int
    seconds: float
    samples_per_second: float
    precision: ChosenPrecision
    device: str
    activation_unit: Literal["fused", "plain"] = "plain"
    negatives: str = "fixed"
    epochs_so_far: int = 0
    taken_over: TakenOver | None = None
    warnings: list[str] = field(default_factory=list[str])

    @property
    def best(self) -> EpochReport | None:
        """Report of the epoch whose weights were kept."""
        return self.history[self.best_epoch - 1] if self.best_epoch else None

    def metrics(self) -> dict[str, Any]:
        """What is worth seeing beside the model."""
        best = self.best.metrics() if self.best else {}
        kept = {
            name: best[name] for name in ("val_auc", "val_logloss", "train_loss") if name in best
        }
        has_units = any(isinstance(each, ActivationUnit) for each in self.model.modules())
        return {
            **kept,
            "best_epoch": self.best_epoch,
            "epochs": len(self.history),
            "training_seconds": self.seconds,
            "samples_per_second": self.samples_per_second,
            "precision": self.precision,
            "device": self.device,
            **({"activation_unit": self.activation_unit} if has_units else {}),
            "negatives": self.negatives,
            **({} if self.taken_over is None else self.taken_over.metrics()),
            "n_parameters": sum(each.numel() for each in self.model.parameters()),
        }


def nothing_to_rank_by(facts: LogFacts) -> str | None:
    """Say why no ranking can be learnt from a log.

    Args:
        facts: Of the log.

    Returns:
        The cause and the way out, as a sentence without its full stop; ``None`` where the samples
        have both labels.
    """
    labels = facts.labels
    if len(labels) > 1:
        return None
    if not labels and not facts.n_events and facts.labelled:
        return (
            "no training sample: no row of a user that is kept has label 1 (lower "
            "min_interactions, or check label_col and its coding)"
        )
    if not labels and not facts.n_events:
        return (
            "no training sample: the log has no event of a user that is kept (lower "
            "min_interactions)"
        )
    if not labels:
        return (
            f"no training sample: every user has too few events, {facts.longest} at most "
            "(leave_one_out takes four of a user; a temporal split takes two before val_from)"
        )
    if 1 not in labels:
        return "all training samples have label 0 (check label_col and its coding)"
    if facts.labelled:
        return "all training samples have label 1: no impression that was not taken is in the log"
    return (
        "all training samples have label 1: no negative was drawn, because negatives_per_positive "
        "is 0 (raise it, or redraw some with redrawn_per_positive) or because every user has "
        "interacted with every item"
    )


def warnings_about(facts: LogFacts) -> list[str]:
    """Say what keeps the figures of a training run from meaning much.

    Args:
        facts: Of the log.

    Returns:
        Sentences; none for a log that is large enough.
    """
    warnings: list[str] = []
    if cause := nothing_to_rank_by(facts):
        warnings.append(f"{cause}; the model cannot rank")
    if not facts.n_val:
        warnings.append(
            "no validation sample: training could not stop early, and the weights of the last "
            "epoch were kept"
        )
    elif len(facts.val_labels) < 2:
        warnings.append(
            "all validation samples have the same label, so their AUC is undefined: training "
            "could not stop early, and the weights of the last epoch were kept"
        )
    elif facts.n_val < FEW_SAMPLES:
        warnings.append(
            f"{facts.n_val} validation samples are too few to choose an epoch by their AUC"
        )
    return warnings


@contextmanager
def event_writer(directory: Path | str | None) -> Generator[Callable[[EpochReport], None]]:
    """Write reports as TensorBoard scalars.

    Args:
        directory: Where the event files go; ``None`` writes none.

    Yields:
        A function that takes a report.
    """
    if directory is None:
        yield lambda _report: None
        return
    with EventFile(directory) as events:

        def write(report: EpochReport) -> None:
            figures = {name: getattr(report, name) for name in _IN_EVENTS}
            known = {name: value for name, value in figures.items() if value is not None}
            events.write(known, report.epoch)

        yield write
