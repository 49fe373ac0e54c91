"""How far a step is, told beside its log, so that a terminal can draw it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from din_core.training.reports import EpochReport

#: Where a record of the log carries it.
_ATTRIBUTE = "din_progress"


@dataclass(frozen=True)
class Progress:
    """How far a step is.

    Attributes:
        share: What is done of it, 0 to 1.
        seconds_left: Estimate of the time left; None where the share is all that is known.
        at_most: Whether that estimate is a bound, since the step may end earlier.
        at: What it has come to, in two words.
    """

    share: float
    seconds_left: float | None = None
    at_most: bool = False
    at: str = ""


class InfoLog(Protocol):
    """A step's log."""

    def info(self, msg: object, *, extra: dict[str, object] | None = None) -> None:
        """Say something, with what a handler may want to know beside it."""
        ...


def tell(log: InfoLog, message: str, progress: Progress) -> None:
    """Write a line of a step's log that says how far the step is.

    Args:
        log: The step's log.
        message: What the UI shows, and a terminal that draws nothing.
        progress: The same as numbers.
    """
    log.info(message, extra={_ATTRIBUTE: progress})


def tell_epoch(log: InfoLog, report: "EpochReport", *, of: str = "") -> None:
    """Write a line of a training's log for an epoch.

    Args:
        log: The step's log.
        report: The epoch.
        of: What the line begins with: which model is trained.
    """
    auc = "" if report.val_auc is None else f", validation AUC {report.val_auc:.4f}"
    share = report.epoch / report.n_epoch
    progress = Progress(
        share, report.eta_seconds, at_most=True, at=f"epoch {report.epoch}/{report.n_epoch}{auc}"
    )
    tell(log, f"{of}{report.summary()}", progress)


def told_by(record: Any) -> Progress | None:
    """Return how far a step is by a record of its log; None where it does not say."""
    return getattr(record, _ATTRIBUTE, None)
