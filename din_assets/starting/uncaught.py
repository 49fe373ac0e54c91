"""Errors that end a program of Dagster's before a run exists: the sentence, and no stack.

Dagster checks the types of options before it creates a run, so that a wrong one ends its commands
in a stack trace.
"""

import sys
from types import TracebackType
from typing import Any

import dagster as dg

from din_assets.names import in_plain_names
from din_assets.starting import config_errors, refresh_config
from din_core.errors import DinError


def explain_uncaught() -> None:
    """Let a program that ends in an error that explains itself end in its sentence, and no stack.

    ``dagster asset materialize`` and ``dg launch`` do so where the run configuration is wrong.
    """
    if sys.excepthook is not _explained:
        _others.append(sys.excepthook)
        sys.excepthook = _explained


_others: list[Any] = []


def _explained(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    try:
        if isinstance(error, dg.DagsterInvalidConfigError):
            refresh_config.check_names(in_plain_names(error.config_value))
            error = refresh_config.RunConfigError(config_errors.sentence(error))
    except DinError as refused:
        error = refused
    if isinstance(error, DinError):
        sys.stderr.write(f"Error: {error}\n")
    else:
        _others[-1](kind, error, traceback)
