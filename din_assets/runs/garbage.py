"""How often a process of ours looks for garbage, and that it looks for none when it ends.

What the imports of Dagster and torch make stays to the end. Looking through it again and again took
a seventh of a short run, and at the end, where the system takes everything back anyway, another
seventh: Python looks several times then, and frees object by object.
"""

import atexit
import gc

_NEW_OBJECTS = 100_000


def collect_seldom() -> None:
    """Let this process collect garbage less often: for one that holds a code location of ours."""
    gc.set_threshold(_NEW_OBJECTS, 20, 100)


def leave_at_end() -> None:
    """Let this process end without collecting what is there then: for one that is ours alone.

    Only what is closed by then is sure to be written, which Python does not promise otherwise.
    """
    # Once, however often it is called.
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)
