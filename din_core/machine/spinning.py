"""How long a thread of torch spins at a barrier before it lets others have its core.

torch's OpenMP (libgomp) spins for milliseconds at the end of every operation. That costs nothing on
a machine of one's own. On one that others use too, the thread that they wait for may not be running
at all, and training falls to a tenth. A thousand turns are enough for a thread that is about to
arrive. libgomp reads its settings when it is loaded, with torch, so they must stand in the
environment before.
"""

from __future__ import annotations

import logging
from collections.abc import Container, MutableMapping

logger = logging.getLogger(__name__)

SETTING = "GOMP_SPINCOUNT"
TURNS = "1000"
#: Whoever has set one of these has decided.
_DECIDED_BY = (SETTING, "OMP_WAIT_POLICY")
_too_late = False


def limit_spinning(environment: MutableMapping[str, str], loaded: Container[str]) -> None:
    """Limit the spinning of threads that are not there yet, unless somebody has decided already.

    Args:
        environment: Where libgomp will look, ``os.environ``.
        loaded: Names of the modules that are imported already, ``sys.modules``.
    """
    global _too_late
    if any(name in environment for name in _DECIDED_BY):
        return
    if "torch" in loaded:
        _too_late = True
    else:
        environment[SETTING] = TURNS


def say_if_too_late() -> None:
    """Say, once in a process, that torch was loaded before its spinning could be limited."""
    global _too_late
    if _too_late:
        _too_late = False
        logger.warning(
            "torch was imported before din_core, so its threads spin while they wait, which is "
            "slow on a machine that others use too; import din_core first, or set %s=%s in the "
            "environment",
            SETTING,
            TURNS,
        )
