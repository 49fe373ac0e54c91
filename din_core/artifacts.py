"""Files that a step leaves behind, addressed by their content: ``<root>/<asset>/<version>/``.

A folder is written under a temporary name and renamed when it is complete, so that a reader never
sees half of one and a killed writer leaves nothing but a temporary folder, which :func:`sweep`
removes. The same content has the same version and is kept once. Old versions stay until
:func:`prune`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path

_STAGING_PREFIX = ".staging-"


def digest(content: bytes) -> str:
    """Return the version of a content: the first 32 hex digits of its SHA-256."""
    return hashlib.sha256(content).hexdigest()[:32]


@contextlib.contextmanager
def staging(root: Path, asset: str) -> Generator[Path]:
    """Give a temporary folder beside the asset's versions; gone afterwards unless committed."""
    parent = root / asset
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=_STAGING_PREFIX, dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def commit(folder: Path, version: str) -> Path:
    """Make a staged folder the asset's ``version`` and return its final place.

    Where that version exists already its content is the same, and the staged copy is dropped.
    """
    target = folder.parent / version
    if not target.exists():
        folder.chmod(0o755)
        with contextlib.suppress(FileExistsError):
            os.rename(folder, target)  # noqa: PTH104  (Path.rename would overwrite an empty folder)
    return target


def sweep(root: Path) -> list[Path]:
    """Remove the staging folders of killed writers; call it while no other writer runs."""
    leftovers = sorted(root.glob(f"*/{_STAGING_PREFIX}*"))
    for leftover in leftovers:
        shutil.rmtree(leftover, ignore_errors=True)
    return leftovers


def prune(root: Path, keep: Mapping[str, str]) -> list[Path]:
    """Remove every version but the one that ``keep`` names for its asset.

    An asset that ``keep`` does not name is left alone.

    Returns:
        The folders that were removed.
    """
    removed = [
        version
        for asset, current in sorted(keep.items())
        for version in sorted((root / asset).glob("*"))
        if version.is_dir() and version.name != current and not version.name.startswith(".")
    ]
    for folder in removed:
        shutil.rmtree(folder)
    return removed
