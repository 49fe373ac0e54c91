"""What a command says beside its results: sentences on standard error."""

import sys


def say(sentence: str) -> None:
    """Print a sentence on standard error, under the program's name."""
    print(f"din: {sentence}", file=sys.stderr, flush=True)
