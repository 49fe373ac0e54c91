"""The story of a run, for a terminal: a line an asset, with its main figure and its time.

It is told from the run's events. A step that takes long says so every ten seconds; where a line can
be drawn over, it is drawn with a bar and the time left. A failure that explains itself is one line,
the last one; whatever nobody foresaw keeps its stack.
"""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from din_assets.names import name_of, step_of
from din_assets.runs.executor import INTERRUPTED
from din_assets.runs.failures import explanation, last_line
from din_assets.runs.figures import duration, main_figure
from din_assets.runs.progress import Progress, told_by
from din_assets.runs.terminal import Terminal
from din_core.escaping import printable_lines

_SILENCE_SECONDS = 10.0
_REDRAWN_SECONDS = 1.0
_NAME, _FIGURE = 24, 36
_WAITS_FOR_A_FAILED_STEP = "Dependencies for step "
_WELL_ENDED = (dg.DagsterEventType.RUN_SUCCESS, dg.DagsterEventType.RUN_CANCELED)
_INTERRUPTIONS = ("DagsterExecutionInterruptedError", "KeyboardInterrupt")


@dataclass
class Checks:
    """What became of the checks of a run, by name.

    Attributes:
        passed: Those that passed.
        warned: Those that failed and stop nothing.
        failed: Those that failed and forbid a commit.
    """

    passed: list[str] = field(default_factory=list[str])
    warned: list[str] = field(default_factory=list[str])
    failed: list[str] = field(default_factory=list[str])

    def __len__(self) -> int:
        return len(self.passed) + len(self.warned) + len(self.failed)

    def summary(self) -> str:
        """Return them in a line, as ``18 checks: 16 passed, 2 warned (names)``."""
        n_checks = len(self)
        parts = [f"{len(self.passed)} passed"]
        if self.warned:
            parts.append(f"{len(self.warned)} warned ({', '.join(self.warned)})")
        if self.failed:
            parts.append(f"{len(self.failed)} failed ({', '.join(self.failed)})")
        return f"{n_checks} check{'' if n_checks == 1 else 's'}: {', '.join(parts)}"


@dataclass
class _Step:
    name: str
    began: float
    figures: dict[str, str] = field(default_factory=dict[str, str])
    progress: Progress | None = None
    progress_at: float = 0.0
    seconds: float = 0.0


class Story:
    """Tells a run to a terminal.

    Attributes:
        terminal: Where it is told.
        checks: What became of its checks so far.
        failures: Why steps failed, by step; ``""`` is the run itself.
    """

    def __init__(
        self, terminal: Terminal | None = None, *, ends_in_its_failures: bool = True
    ) -> None:
        """Begin a story.

        Args:
            terminal: Where it is told.
            ends_in_its_failures: Whether the reasons of a failure are its last lines. It is false
                for a command that ends in them itself, and tells of each step by
                :meth:`tell_step`.
        """
        self.terminal = terminal or Terminal()
        self.checks = Checks()
        self.failures: dict[str, str] = {}
        self._is_alone = ends_in_its_failures
        self._made: _Step | None = None
        self._told: set[str] = set()
        self._step: _Step | None = None
        self._said_at = time.monotonic()
        self._ticking: threading.Event | None = None

    def close(self) -> None:
        """End it: nothing is drawn any more."""
        if self._ticking is not None:
            self._ticking.set()
            self._ticking = None
        self._step = None
        self.terminal.erase()

    def tell(self, sentence: str) -> None:
        """Tell a sentence of the command; the run's own log does not repeat it.

        Args:
            sentence: What is said.
        """
        self._told.add(sentence)
        self._say(f"din: {printable_lines(sentence)}")

    def has_told(self, sentence: str) -> bool:
        """Say whether a sentence was told already, by the command or in a warning of the run.

        A warning may say more than the sentence, which then begins with a capital: that of a check
        says what to do as well.
        """
        return any(sentence.casefold() in told.casefold() for told in self._told)

    def hear(self, record: logging.LogRecord, level: int) -> None:
        """Tell what a record of the run's log says.

        Args:
            record: The record.
            level: The least level of what is told; lines of assets are of level INFO.
        """
        meta: Mapping[str, Any] = getattr(record, "dagster_meta", None) or {}
        event: Any = meta.get("dagster_event")
        if event is not None:
            self._of_event(event, record, level)
        elif record.levelno >= level:
            self._of_message(record, str(meta.get("orig_message") or record.getMessage()), meta)

    def _of_message(self, record: logging.LogRecord, message: str, meta: Mapping[str, Any]) -> None:
        # That steps below a failed one do not run says the last line.
        if message.startswith(_WAITS_FOR_A_FAILED_STEP) or message in self._told:
            return None
        progress = told_by(record)
        if progress is not None and self._step is not None:
            self._step.progress, self._step.progress_at = progress, time.monotonic()
            if self.terminal.is_interactive:
                return self._draw()
        step = step_of(meta.get("step_key") or "")
        shown = printable_lines(message)
        if record.levelno >= logging.WARNING:
            self._told.add(message)
            name = logging.getLevelName(record.levelno)
            colour = "yellow" if record.levelno < logging.ERROR else "red"
            said = self.terminal.wrapped(f"{f'{step}: ' if step else ''}{shown}", indent="")
            self._say(f"{self.terminal.styled(name, colour)} {said}")
        else:
            self._say(self.terminal.styled(self.terminal.wrapped(shown, indent="  "), "dim"))
        return None

    def _of_event(self, event: Any, record: logging.LogRecord, level: int) -> None:
        told = level <= logging.INFO
        if event.is_step_start:
            self._begin(step_of(event.step_key), draws=told)
        elif event.is_step_materialization and self._step is not None:
            made = event.step_materialization_data.materialization
            self._step.figures[name_of(made.asset_key)] = main_figure(made.metadata)
        elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            self._count(event.asset_check_evaluation_data)
        elif event.is_step_success:
            self._end(event, told=told)
        elif event.is_step_failure:
            self._failed(event, record)
        elif event.event_type == dg.DagsterEventType.STEP_UP_FOR_RETRY and level <= logging.WARNING:
            self._tried_again(event)
        elif event.is_run_failure:
            self._run_failed(event, record)
        elif event.event_type in _WELL_ENDED:
            self.close()
        if level <= logging.DEBUG:
            self._say(f"{logging.getLevelName(record.levelno)} {record.getMessage()}")

    def _begin(self, step: str, *, draws: bool) -> None:
        self._step = _Step(step, time.monotonic())
        self._said_at = time.monotonic()
        if draws and self._ticking is None:
            self._ticking = threading.Event()
            threading.Thread(target=self._tick, args=(self._ticking,), daemon=True).start()

    def _tick(self, ended: threading.Event) -> None:
        while not ended.wait(_REDRAWN_SECONDS):
            if self.terminal.is_interactive:
                self._draw()
            elif time.monotonic() - self._said_at >= _SILENCE_SECONDS and (line := self._working()):
                self._say(line)

    def _draw(self) -> None:
        if line := self._working():
            self.terminal.draw(line)

    def _working(self) -> str:
        """What is at work, since when, how far it is; empty between two steps."""
        if (step := self._step) is None:
            return ""
        now = time.monotonic()
        line = f"  {step.name}: working, {duration(now - step.began)}"
        if (progress := step.progress) is None:
            return line
        left = progress.seconds_left
        if left is None and progress.share > 0:
            left = (step.progress_at - step.began) * (1 - progress.share) / progress.share
        bar = f" {self.terminal.bar(progress.share)}" if self.terminal.is_interactive else ""
        line += f"{bar} {progress.at or f'{progress.share:.0%}'}"
        if left is not None:
            about = "at most" if progress.at_most else "about"
            line += f", {about} {duration(left - (now - step.progress_at))} left"
        return line

    def _count(self, evaluation: Any) -> None:
        if evaluation.passed:
            self.checks.passed.append(evaluation.check_name)
        elif evaluation.severity == dg.AssetCheckSeverity.WARN:
            self.checks.warned.append(evaluation.check_name)
        else:
            self.checks.failed.append(evaluation.check_name)

    def _end(self, event: Any, *, told: bool) -> None:
        self._made, self._step = self._step, None
        self.terminal.erase()
        if self._made is None or not told:
            self._made = None
            return
        self._made.seconds = event.step_success_data.duration_ms / 1000
        if self._is_alone:
            self.tell_step()

    def tell_step(self, note: str = "") -> None:
        """Tell of the step that came to its end last, unless that was done.

        Args:
            note: What else its lines say.
        """
        step, self._made = self._made, None
        if step is None:
            return
        for asset, figure in step.figures.items():
            line = f"{asset:<{_NAME}} {figure:<{_FIGURE}} {step.seconds:6.1f} s"
            self._say(f"{line}  {self.terminal.styled(note, 'dim')}" if note else line)

    def _failed(self, event: Any, record: logging.LogRecord) -> None:
        error = event.event_specific_data.error
        self._step = None
        self.terminal.erase()
        if error is not None and error.cls_name in _INTERRUPTIONS:
            return
        sentence = explanation(error)
        self._say(self.terminal.styled(f"{step_of(event.step_key or ''):<{_NAME}} failed", "red"))
        if sentence is None:
            self._say(record.getMessage())
            sentence = f"{last_line(error)} (the stack is above)"
        self.failures[step_of(event.step_key or "")] = sentence

    def _tried_again(self, event: Any) -> None:
        why, wait = event.event_specific_data.error, event.event_specific_data.seconds_to_wait
        said = f"{step_of(event.step_key)}: {last_line(why)}"
        begun = self.terminal.styled("WARNING", "yellow")
        self._say(f"{begun} {said}; it is tried again in {wait or 0:.0f} s")

    def _run_failed(self, event: Any, record: logging.LogRecord) -> None:
        self.close()
        data = event.job_failure_data
        if data.error is not None and data.error.cls_name not in _INTERRUPTIONS:
            sentence = explanation(data.error)
            if sentence is None and data.first_step_failure_event is None:
                self._say(record.getMessage())
                sentence = f"{last_line(data.error)} (the stack is above)"
            if sentence is not None and sentence not in self.failures.values():
                self.failures[""] = sentence
        elif data.error is not None:
            self.failures[""] = INTERRUPTED
        if self._is_alone:
            for line in self.failure_lines() or [record.getMessage()]:
                self._say(printable_lines(line))

    def failure_lines(self) -> list[str]:
        """Return why the run failed: a line for each step that did."""
        return [f"{step}: {why}" if step else why for step, why in self.failures.items()]

    def _say(self, text: str) -> None:
        self._said_at = time.monotonic()
        self.terminal.write(text)
