"""The environment variables that say something here, and those that were meant to."""

import difflib
from collections.abc import Iterable

_PREFIX = "DIN_"
READ = (
    "DIN_CSV",
    "DIN_ENGINE",
    "DIN_FRESH_WITHIN_HOURS",
    "DIN_HOME",
    "DIN_TABLES",
)
#: Of `din serve`'s own workers, and of the tests of kills.
_OF_OURS = ("DIN_SERVE", "DIN_FAULT_KILLS")


def without_effect(environment: Iterable[str]) -> list[str]:
    """Say of each variable that looks like one of ours and is none that it has no effect.

    Args:
        environment: Names of the variables that are set, ``os.environ``.
    """
    sentences: list[str] = []
    for name in sorted(environment):
        if name.startswith(_PREFIX) and name not in (*READ, *_OF_OURS):
            close = difflib.get_close_matches(name, READ, n=1, cutoff=0.8)
            hint = f"is {close[0]} meant?" if close else f"there are {', '.join(READ)}"
            sentences.append(f"the environment variable {name} has no effect; {hint}")
    return sentences
