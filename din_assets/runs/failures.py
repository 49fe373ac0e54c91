"""Errors that explain themselves, as Dagster shows them: the sentence, and no stack."""

import contextlib
import errno
from collections.abc import Generator
from typing import Any

import dagster as dg
import duckdb
from dagster._core.errors import DagsterExecutionInterruptedError

from din_assets.runs.machine_errors import is_of_the_machine, of_the_disk
from din_core.errors import DinError

#: How often a step that reads or publishes a file is tried again.
IO_RETRIES = 2
_WAIT_SECONDS = 5
_INTERRUPTED_QUERY = "Query interrupted"
#: What a network's disk says for a moment. No room, no permission and no file stay so.
_MAY_PASS = frozenset(
    (
        errno.EAGAIN,
        errno.EBUSY,
        errno.ECONNRESET,
        errno.EIO,
        errno.ESTALE,
        errno.ETIMEDOUT,
    )
)


@contextlib.contextmanager
def as_dagster_failures(*, io_retries_left: int = 0) -> Generator[None]:
    """Turn an error that the library explains, or that the disk gives, into a clear failure.

    Args:
        io_retries_left: How often the step may be tried again where a disk fails in a way that may
            pass. It is none for a step that computes: what it would do again is the same.

    Raises:
        DagsterExecutionInterruptedError: A query was interrupted, of which DuckDB makes an error.
        dg.RetryRequested: The step is tried again.
        dg.Failure: Its description is the explanation. It names no cause, since Dagster would print
            the sentence once more with it.
    """
    try:
        yield
    except DinError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from None
    except (duckdb.InterruptException, RuntimeError) as error:
        if isinstance(error, RuntimeError) and str(error) != _INTERRUPTED_QUERY:
            raise
        raise DagsterExecutionInterruptedError(_INTERRUPTED_QUERY) from None
    except OSError as error:
        if error.errno in _MAY_PASS and io_retries_left > 0:
            raise dg.RetryRequested(IO_RETRIES, seconds_to_wait=_WAIT_SECONDS) from error
        if not is_of_the_machine(error):
            raise
        raise dg.Failure(description=of_the_disk(error), allow_retries=False) from None


def explanation(error: Any) -> str | None:
    """Return the sentence of an error, or of one that caused it; None where nobody explained it.

    Args:
        error: As Dagster's events carry it.
    """
    while error is not None:
        if error.cls_name == dg.Failure.__name__:
            return error.message.partition(": ")[2].strip()
        error = error.cause
    return None


def last_line(error: Any) -> str:
    """Return the last line of an error that nobody explained, or of the one that caused it."""
    while error.cause is not None:
        error = error.cause
    return error.message.strip().splitlines()[-1]
