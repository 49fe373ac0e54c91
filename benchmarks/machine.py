"""What the figures were measured on: no names, no paths, only what makes a difference."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

_PACKAGES = (
    "torch-rechub",
    "torch",
    "duckdb",
    "pysail",
    "pyspark",
    "pyarrow",
    "pandas",
    "numpy",
)
_INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve", "bf16")


def describe_machine() -> dict[str, Any]:
    """Return the processor's model, its cores and instruction sets, and the memory in GiB."""
    cpu = _key_values(Path("/proc/cpuinfo"))
    flags = set((cpu.get("flags") or cpu.get("Features") or "").split())
    memory_kb = _key_values(Path("/proc/meminfo")).get("MemTotal", "0 kB").split()[0]
    return {
        "cpu": cpu.get("model name") or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(int(memory_kb) / 2**20, 1),
        "isa": [name for name in _INSTRUCTIONS if name in flags],
        "system": f"{platform.system()} {platform.machine()}",
    }


def describe_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that matter; those missing are left out."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def load_average() -> float:
    """Return how many processes wanted a core in the last minute, this one included."""
    return round(os.getloadavg()[0], 2)


def _key_values(path: Path) -> dict[str, str]:
    """Read ``key : value`` lines; of repeated keys the first."""
    found: dict[str, str] = {}
    if path.exists():
        for line in path.read_text().splitlines():
            key, _, value = line.partition(":")
            found.setdefault(key.strip(), value.strip())
    return found
