"""What a terminal shows of a run: Dagster's log, with explained failures as sentences, once each.

Dagster prints a failure twice, with its stack and that of its cause, and a line for every step that
waits for a failed one. Here a failure that explains itself (:class:`dg.Failure`) is one line at the
end of the run's log. Whatever nobody foresaw keeps its stack. The UI and the run history show
everything.
"""

import copy
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
from dagster._core.execution import context_creation_job

from din_core.errors import DinError

#: What a configuration may set ``log_level`` to, in any case.
LEVELS = ("DEBUG", "INFO", "WARNING", "WARN", "ERROR", "CRITICAL", "FATAL")


class LogLevelError(DinError, ValueError):
    """There is no such level of the log."""


# By run: Dagster makes one logger for the run and another for its steps.
_explained: dict[str | None, dict[str, str]] = {}
_WAITS_FOR_A_FAILED_STEP = "Dependencies for step "


def _console_logger(init_context: dg.InitLoggerContext) -> logging.Logger:
    """Make Dagster's console logger and let its handlers write the shorter form."""
    refuse_unknown_level(init_context.logger_config)
    logger = dg.colored_console_logger.logger_fn(init_context)
    explained = _explained.setdefault(init_context.run_id, {})
    for handler in logger.handlers:
        handler.addFilter(_says_something_new)
        handler.setFormatter(_Sentences(handler.formatter or logging.Formatter(), explained))
    return logger


console_logger = dg.LoggerDefinition(
    _console_logger,
    config_schema=dg.colored_console_logger.config_schema,
    description="Dagster's coloured console logger; failures that explain themselves are sentences",
)


def refuse_unknown_level(config: Mapping[Any, Any]) -> None:
    """Refuse a level that there is not; Dagster takes any text until it makes the logger.

    Args:
        config: Configuration of the logger.

    Raises:
        LogLevelError: ``log_level`` is none of :data:`LEVELS`.
    """
    level = config.get("log_level", LEVELS[0])
    if not isinstance(level, str) or level.upper() not in LEVELS:
        raise LogLevelError(
            f"loggers: console: log_level is {level!r}, must be one of {', '.join(LEVELS)}"
        )


def use_by_default() -> None:
    """Let the runs of this process use :func:`console_logger` where none is configured.

    Dagster takes the loggers of a code location for runs that name one in ``loggers:``. All others
    get its own console logger, at level DEBUG and with every stack twice, and no definition or
    setting of an instance replaces that one; so the function that chooses it is replaced.
    """
    looked_up = (
        context_creation_job.__dict__
    )  # where the name is looked up, not where it is defined
    looked_up["default_system_loggers"] = _default_loggers


def _default_loggers(
    instance: dg.DagsterInstance | None,
) -> Sequence[tuple[Any, Mapping[str, object]]]:
    level = (instance.python_log_level if instance else None) or "INFO"
    return [(console_logger, {"name": "dagster", "log_level": level})]


def _says_something_new(record: logging.LogRecord) -> bool:
    """Whether to show a record; that steps below a failed one do not run says its last line."""
    return not str(_metadata(record).get("orig_message", "")).startswith(_WAITS_FOR_A_FAILED_STEP)


class _Sentences(logging.Formatter):
    """Formats as another formatter does, but for failures."""

    def __init__(self, inner: logging.Formatter, explained: dict[str, str]) -> None:
        """Wrap a formatter.

        Args:
            inner: The formatter.
            explained: Where the run's explanations are collected, by step.
        """
        super().__init__()
        self._inner = inner
        self._explained = explained

    def format(self, record: logging.LogRecord) -> str:
        event = _metadata(record).get("dagster_event")
        error = getattr(event and event.event_specific_data, "error", None)
        if event is None or error is None:
            return self._inner.format(record)
        sentence = _explanation(error)
        if event.is_run_failure:
            if sentence is not None and sentence not in self._explained.values():
                self._explained[""] = sentence
            elif sentence is None and event.job_failure_data.first_step_failure_event is None:
                return self._inner.format(record)
            _explained.pop(_metadata(record).get("run_id"), None)
            return self._inner.format(_without_error(record, self._lines()))
        if sentence is None:
            return self._inner.format(record)
        self._explained[event.step_key or ""] = sentence
        return self._inner.format(_without_error(record, []))

    def _lines(self) -> list[str]:
        return [f"{step}: {why}" if step else why for step, why in self._explained.items()]


def _without_error(record: logging.LogRecord, lines: list[str]) -> logging.LogRecord:
    """A copy of a record, since others write it, too; with lines in place of its stacks."""
    shorter = copy.copy(record)
    shorter.msg = "\n".join([record.getMessage().partition("\n\n")[0], *lines])
    shorter.args = ()
    return shorter


def _metadata(record: logging.LogRecord) -> dict[str, Any]:
    return getattr(record, "dagster_meta", None) or {}


def _explanation(error: Any) -> str | None:
    """The sentence of an error, or of one that caused it; None where nobody explained it."""
    while error is not None:
        if error.cls_name == dg.Failure.__name__:
            return error.message.partition(": ")[2].strip()
        error = error.cause
    return None
