"""How far a step is, told beside its log, so that a terminal can draw it."""

from dataclasses import dataclass
from typing import Any, Protocol

#: Where a record of the log carries it.
_ATTRIBUTE = "din_progress"


@dataclass(frozen=True)
class Progress:
    """How far a step is.

    Attributes:
        share: What is done of it, 0 to 1.
        seconds_left: Estimate of the time left; None where the share is all that is known.
        at_most: Whether that estimate is a bound, since the step may end earlier.
    """

    share: float
    seconds_left: float | None = None
    at_most: bool = False


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


def told_by(record: Any) -> Progress | None:
    """Return how far a step is by a record of its log; None where it does not say."""
    return getattr(record, _ATTRIBUTE, None)
