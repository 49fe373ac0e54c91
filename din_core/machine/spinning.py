"""How long a thread of torch spins at a barrier before it lets others have its core.

torch's OpenMP (libgomp) spins for milliseconds at the end of every operation. That costs nothing on
a machine of one's own. On one that others use too, the thread that they wait for may not be running
at all, and training falls to a tenth. A thousand turns are enough for a thread that is about to
arrive. libgomp reads its settings when it is loaded, with torch, so they must stand in the
environment before.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Container, Mapping, MutableMapping

logger = logging.getLogger(__name__)

SETTING = "GOMP_SPINCOUNT"
TURNS = "1000"
#: Whoever has set one of these has decided.
_DECIDED_BY = (SETTING, "OMP_WAIT_POLICY")
#: Turns that stand for leave to spin; libgomp's own number is 300,000.
_MANY_TURNS = 100_000
_TURNS_AS_WRITTEN = re.compile(
    r"\s*(?:infinit[ey]|\+?(?P<number>[0-9]+)\s*(?P<times>[kmgt]?))\s*", re.IGNORECASE
)
_TIMES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
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


def may_spin(environment: Mapping[str, str]) -> bool:
    """Say whether threads were given leave to spin, as on a machine that nobody else uses.

    Settings are read as libgomp reads them.

    Args:
        environment: Of this process, ``os.environ``.
    """
    if SETTING not in environment:
        return environment.get("OMP_WAIT_POLICY", "").strip().lower() == "active"
    turns = _TURNS_AS_WRITTEN.fullmatch(environment[SETTING])
    if turns is None:
        return False
    is_endless = turns["number"] is None
    return is_endless or int(turns["number"]) * _TIMES[turns["times"].lower()] >= _MANY_TURNS


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
