"""Where options are written, for sentences that name one.

The library says ``user_col=userId``. Whoever reads that in a terminal or on the page of a run has
to know where it goes.
"""

import contextlib
import re
from collections.abc import Collection, Generator

from din_core.sources.errors import SourceError


def with_place(sentence: str, step: str, options: Collection[str]) -> str:
    """Return a sentence with the place of the first option that it gives a value, if it does.

    Args:
        sentence: What is wrong, with the way out.
        step: The step that has the options.
        options: Their names.
    """
    given = re.search(rf"\b({'|'.join(map(re.escape, options))})=('[^']*'|[^\s,;]+)", sentence)
    if given is None:
        return sentence
    option, value = given.groups()
    return (
        f"{sentence} (options of {step} go into a file for `din run -c`, or into the launchpad: "
        f"ops: {{{step}: {{config: {{{option}: {value}}}}}}})"
    )


@contextlib.contextmanager
def saying_the_place(step: str, options: Collection[str]) -> Generator[None]:
    """Let an error of the source say where the options that it names are written.

    Args:
        step: The step that has the options.
        options: Their names.
    """
    try:
        yield
    except SourceError as error:
        raise SourceError(with_place(str(error), step, options)) from error
