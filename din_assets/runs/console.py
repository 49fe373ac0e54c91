"""What a terminal shows of a run: its story (:mod:`story`), in the place of Dagster's log.

Dagster writes a line for each event, begun by the date, the job and the run's id, a failure twice,
with its stack and that of its cause, and a line for every step that waits for a failed one. The UI
and the run history keep everything.
"""

import contextlib
import logging
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import dagster as dg
from dagster._core.execution import context_creation_job

from din_assets.runs.story import Story
from din_core.errors import WrongRequestError

#: What a configuration may set ``log_level`` to, in any case.
LEVELS = ("DEBUG", "INFO", "WARNING", "WARN", "ERROR", "CRITICAL", "FATAL")


class LogLevelError(WrongRequestError):
    """There is no such level of the log."""


# By run: Dagster makes one logger for the run and another for its steps.
_stories: dict[str | None, Story] = {}
_ENDS = (
    dg.DagsterEventType.RUN_SUCCESS,
    dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterEventType.RUN_CANCELED,
)
_told_by_command: list[Story] = []


@contextlib.contextmanager
def told_as(story: Story) -> Generator[Story]:
    """Let the runs of this block be told as one story, which the caller has the end of."""
    _told_by_command.append(story)
    try:
        yield story
    finally:
        _told_by_command.remove(story)
        story.close()


def _console_logger(init_context: dg.InitLoggerContext) -> logging.Logger:
    """Make a logger that tells the run's story."""
    config = init_context.logger_config
    refuse_unknown_level(config)
    if _told_by_command:
        story = _told_by_command[-1]
    else:
        story = _stories.setdefault(init_context.run_id, Story())
    level = logging.getLevelNamesMapping()[str(config.get("log_level", "INFO")).upper()]
    # Events are of level DEBUG, and the story is made of them.
    logger = logging.Logger(config.get("name", "dagster"), level=logging.DEBUG)
    logger.addHandler(_Telling(story, level))
    return logger


class _Telling(logging.Handler):
    """Hands the records of a run to its story."""

    def __init__(self, story: Story, told_from: int) -> None:
        super().__init__()
        self._story = story
        self._told_from = told_from

    def emit(self, record: logging.LogRecord) -> None:
        # Whoever read it may have gone, which is no reason to end the run.
        with contextlib.suppress(BrokenPipeError):
            self._story.hear(record, self._told_from)
        meta: Mapping[str, Any] = getattr(record, "dagster_meta", None) or {}
        event: Any = meta.get("dagster_event")
        if event is not None and event.event_type in _ENDS:
            _stories.pop(meta.get("run_id"), None)


console_logger = dg.LoggerDefinition(
    _console_logger,
    config_schema=dg.colored_console_logger.config_schema,
    description="The story of a run: a line an asset, warnings, failures as sentences",
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
