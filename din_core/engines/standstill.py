"""A warning where nobody works on what an engine was asked.

Spark keeps a question until a worker is free. Where all of them are gone, or others have them, it
waits without an end, and says so nowhere but in the log of its server.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Protocol

_PATIENCE_SECONDS = 30.0


class Stage(Protocol):
    """A stage of a question, as the client tells of it."""

    @property
    def stage_id(self) -> int:
        """Its number, which grows."""
        ...

    @property
    def num_completed_tasks(self) -> int:
        """Tasks of it that came to an end, failed ones as well."""
        ...

    @property
    def done(self) -> bool:
        """Whether it came to its end; one whose result was there before never does."""
        ...


class Standstill:
    """Hears from the client how far its questions are, each few seconds, and when to warn.

    Args:
        engine: The engine in words.
        warn: Told once for each time that nobody works.
        clock: Seconds, which grow.
    """

    def __init__(
        self,
        engine: str,
        warn: Callable[[str], object],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine, self._warn, self._clock = engine, warn, clock
        self._began: float | None = None
        self._completed = -1
        self._is_told = False

    def __call__(
        self,
        stages: Iterable[Stage] | None,
        inflight_tasks: int,
        operation_id: str | None,  # noqa: ARG002 (one question at a time is asked)
        done: bool,
    ) -> None:
        """Hear of a question; the arguments are those of the client's ``ProgressHandler``."""
        stages = list(stages or ())
        completed = sum(stage.num_completed_tasks for stage in stages)
        if done or inflight_tasks or completed != self._completed or not _waits(stages):
            self._began, self._completed, self._is_told = None, completed, False
            return
        now = self._clock()
        if self._began is None:
            self._began = now
        elif not self._is_told and now - self._began >= _PATIENCE_SECONDS:
            self._is_told = True
            self._warn(
                f"nobody has worked on what {self._engine} was asked for {_PATIENCE_SECONDS:.0f} "
                "s: its workers are gone, or busy with others' work; its own log says more. The "
                "run goes on when one is free; Ctrl-C ends it, and the tables that were complete "
                "stay"
            )


def _waits(stages: list[Stage]) -> bool:
    """Whether tasks wait for a worker. Where none do, the server itself is at work."""
    last = max((stage.stage_id for stage in stages if stage.done), default=-1)
    return any(
        not stage.done and (stage.num_completed_tasks > 0 or stage.stage_id > last)
        for stage in stages
    )
