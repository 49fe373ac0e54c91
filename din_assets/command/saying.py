"""What a command says beside its results: sentences on standard error."""

import contextlib
import sys

from din_core.escaping import printable_lines


def say(sentence: str) -> None:
    """Print a sentence on standard error, under the program's name.

    Where it cannot be written the command goes on, and its status tells of it at the end.
    """
    with contextlib.suppress(OSError):
        print(f"din: {printable_lines(sentence)}", file=sys.stderr, flush=True)
