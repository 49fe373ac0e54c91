"""Errors that explain themselves, as Dagster shows them: the sentence, and no stack."""

import contextlib
import errno
from collections.abc import Generator

import dagster as dg

from din_core.errors import DinError

_OF_THE_MACHINE = frozenset(
    (
        errno.EACCES,
        errno.EDQUOT,
        errno.EEXIST,
        errno.EFBIG,
        errno.EIO,
        errno.ENOSPC,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
    )
)


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


def is_of_the_machine(error: OSError) -> bool:
    """Whether an error says that a file or folder cannot be written, and not that code is wrong."""
    return error.errno in _OF_THE_MACHINE


def of_the_disk(error: OSError) -> str:
    """Say in a sentence what the system says of a file or folder."""
    return (
        f"{error.filename or 'a file'}: {error.strerror}; results go to the folder that DIN_HOME "
        "names, which must be writable and have room"
    )
