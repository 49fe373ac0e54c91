"""The cores and the memory that this process may use, which can be less than the machine has.

A container's quota and a process's affinity mask say how much of a machine is there for it. Whoever
counts the machine's cores instead starts threads that wait for each other, and whoever counts its
memory is killed for taking too much.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")


def cores(*, cgroups: Path = _CGROUPS, own: Path = _OWN_CGROUPS) -> int:
    """Count the cores that this process may keep busy: by its affinity mask and its quota.

    Args:
        cgroups: Where control groups are mounted (version 1 or 2).
        own: The file that says which of them this process is in.

    Returns:
        At least 1. A quota of two and a half cores counts as two.
    """
    quotas = [
        quota
        for folder in _folders("cpu", cgroups, own)
        if (quota := _quota_v2(folder / "cpu.max") or _quota_v1(folder)) is not None
    ]
    return max(1, int(min([_affinity(), *quotas])))


def memory(*, cgroups: Path = _CGROUPS, own: Path = _OWN_CGROUPS) -> int:
    """Return the bytes of memory that this process may use: the machine's, or its group's limit.

    Args:
        cgroups: As of :func:`cores`.
        own: As of :func:`cores`.
    """
    limits = [
        limit
        for folder in _folders("memory", cgroups, own)
        for name in ("memory.max", "memory.limit_in_bytes")
        if (limit := _integer(folder / name)) is not None
    ]
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *limits])


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _folders(controller: str, cgroups: Path, own: Path) -> Iterator[Path]:
    """Folders of this process's groups, each followed by those around it: all limits hold."""
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        # Version 1 has a tree for each controller, version 2 one for all. Within a container the
        # path may be the host's, of which nothing but the root is mounted.
        for root in [cgroups / controllers, cgroups / controller] if controllers else [cgroups]:
            group = root / path.lstrip("/")
            yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(root))


def _quota_v2(path: Path) -> float | None:
    try:
        quota, period = path.read_text(encoding="utf-8").split()
        return int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # no such group, or "max"
        return None


def _quota_v1(folder: Path) -> float | None:
    quota, period = (_integer(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    return quota / period if quota is not None and period and quota > 0 else None


def _integer(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # no such group, or "max"
        return None
