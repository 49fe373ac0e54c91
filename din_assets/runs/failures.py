"""Errors that explain themselves, as Dagster shows them: the sentence, and no stack."""

import contextlib
from collections.abc import Generator

import dagster as dg

from din_assets.runs.machine_errors import is_of_the_machine, of_the_disk
from din_core.errors import DinError


@contextlib.contextmanager
def as_dagster_failures() -> Generator[None]:
    """Turn an error that the library explains, or that the disk gives, into a clear failure.

    Raises:
        dg.Failure: Its description is the explanation. It names no cause, since Dagster would print
            the sentence once more with it.
    """
    try:
        yield
    except DinError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from None
    except OSError as error:
        if not is_of_the_machine(error):
            raise
        raise dg.Failure(description=of_the_disk(error), allow_retries=False) from None
