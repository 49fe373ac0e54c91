"""How often a process of ours looks for garbage, and that it looks for none when it ends.

What the imports of Dagster and torch make stays to the end. Looking through it again and again took
a seventh of a short run, and once more at the end, where the system takes everything back anyway,
a fourteenth.
"""

import atexit
import gc

_NEW_OBJECTS = 100_000


def collect_seldom() -> None:
    """Let this process collect garbage less often, and leave at its end what is there then.

    For a process that is ours alone: it changes what holds for all code in it. Files are written
    and locks given back as ever, since whoever has them closes them.
    """
    gc.set_threshold(_NEW_OBJECTS, 20, 100)
    # Once, however often it is called.
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)
