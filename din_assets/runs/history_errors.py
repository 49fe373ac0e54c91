"""What SQLite says when the run history cannot be read or written, in a sentence."""

import contextlib
from collections.abc import Generator

import sqlalchemy.exc

from din_core.errors import DinError

WAY_OUT = (
    "Dagster keeps its run history there: make the folder writable, or make room, or let "
    "DAGSTER_HOME name another one, with a copy of dagster.yaml in it"
)
# SQLITE_READONLY, _IOERR, _CORRUPT, _FULL, _CANTOPEN, _NOTADB: the file or its disk is at fault, no
# statement. Dagster has an answer to other errors, such as a table that is missing.
_OF_THE_FILE = frozenset({8, 10, 11, 13, 14, 26})


class RunHistoryError(DinError):
    """The run history cannot be used; the message says the way out."""


@contextlib.contextmanager
def explained(url: str) -> Generator[None]:
    """Let an error of a file of the history be a sentence.

    Args:
        url: The file, as SQLAlchemy names it.

    Raises:
        RunHistoryError: The file cannot be read or written.
    """
    try:
        yield
    except sqlalchemy.exc.DatabaseError as error:
        code = getattr(error.orig, "sqlite_errorcode", None)
        if code is None or code & 0xFF not in _OF_THE_FILE:
            raise
        place = url.removeprefix("sqlite:///")
        raise RunHistoryError(f"{place}: {error.orig}; {WAY_OUT}") from error
