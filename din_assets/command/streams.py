"""Where a command writes: standard output and error, whatever the caller made of them."""

import io
import os
import sys
from typing import TextIO


def make_writable() -> None:
    """Let everything be printed: to a stream that was closed, and in an encoding that lacks it.

    A descriptor that the caller closed (``>&-``) leads to nowhere from here on. It would go to the
    next file that is opened, a database perhaps, with whatever a library prints.
    A character that the terminal's encoding does not have is written as Python writes it in a text.
    What is unbuffered (``PYTHONUNBUFFERED``) is written line by line: it would forget that
    something could not be written.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free, and so this one
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _by_line(sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _by_line(sys.stderr)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def _by_line(stream: TextIO) -> TextIO:
    """Return a stream that keeps what it could not write, in the place of an unbuffered one."""
    if not (isinstance(stream, io.TextIOWrapper) and stream.write_through):
        return stream
    return open(
        stream.fileno(),
        "w",
        buffering=1,
        encoding=stream.encoding,
        errors=stream.errors,
        closefd=False,
    )


def output_is_stuck() -> bool:
    """Whether what was printed still waits to be written, and cannot be."""
    try:
        sys.stdout.flush()
    except OSError:
        return True
    return False


def write_out() -> OSError | None:
    """Write what was printed or said and waits; where it cannot be, drop it and return why."""
    unwritten: list[OSError] = []
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            _lead_nowhere(stream)
            unwritten.append(error)
    return unwritten[0] if unwritten else None


def told(error: OSError) -> str:
    """Say in a sentence that what was printed cannot be written."""
    return f"the output cannot be written: {error.strerror}"


def lead_output_nowhere() -> None:
    """Drop what is not written yet, which Python would try again at exit."""
    _lead_nowhere(sys.stdout)


def _lead_nowhere(stream: TextIO) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
