"""Files that a step leaves behind, addressed by their content: ``<root>/<asset>/<version>/``.

A folder is written under a temporary name and renamed when it is complete and on the disk, so that
a reader never sees half of one and a killed writer leaves nothing but a temporary folder, which
:func:`sweep` removes. Its manifest lists every file with size and SHA-256: what happens to a file
afterwards is found (:func:`din_core.manifests.damage_of`) and never served. The same content has
the same version and is kept once. Old versions stay until :func:`prune`.

Beside the versions of an asset that other programs open, ``current`` leads to the one that they
should (:func:`point_to`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from din_core import folders_in_use, manifests
from din_core.atomic_files import sync, sync_tree
from din_core.errors import DinError
from din_core.manifests import damage_of

#: Beside an asset's versions: a link to one of them, or a file of one line with its name.
CURRENT = "current"

_STAGING_PREFIX = ".staging-"


class DamagedArtifactError(DinError, RuntimeError):
    """An artifact is not what was committed; the message names the file and says the way out."""


def digest(content: bytes) -> str:
    """Return the version of a content: the first 32 hex digits of its SHA-256."""
    return hashlib.sha256(content).hexdigest()[:32]


@contextlib.contextmanager
def staging(root: Path, asset: str) -> Generator[Path]:
    """Give a temporary folder beside the asset's versions; gone afterwards unless committed."""
    parent = root / asset
    parent.mkdir(parents=True, exist_ok=True)
    folder = _temporary(parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def commit(folder: Path, version: str, about: Mapping[str, Any] | None = None) -> Path:
    """Make a staged folder the asset's ``version``, with a manifest, and return its final place.

    Where that version exists already and is whole, its content is the same, and the staged copy is
    dropped. A damaged one is replaced.

    Args:
        folder: From :func:`staging`, complete.
        version: Hash of the content.
        about: What the manifest says of the content beside its files; JSON types.
    """
    target = folder.parent / version
    if os.path.lexists(target) and damage_of(target) is None:
        return target
    manifests.write(folder, version, about)
    folder.chmod(0o755)
    sync_tree(folder)
    if os.path.lexists(target):
        # Not removed before the new one is complete; a kill in between leaves no version, and what
        # has none is made again.
        damaged = _temporary(folder.parent)
        target.rename(damaged / version)
        folder.rename(target)
        shutil.rmtree(damaged, ignore_errors=True)
    else:
        folder.rename(target)
    sync(folder.parent)
    return target


def require_whole(folder: Path) -> Path:
    """Return an artifact's folder, or refuse it.

    Raises:
        DamagedArtifactError: A file is damaged, missing or one too many.
    """
    if (damage := damage_of(folder)) is not None:
        raise DamagedArtifactError(
            f"{damage}; materialize {folder.parent.name} again, which replaces it (din run "
            "does that by itself)"
        )
    return folder


def point_to(version: Path) -> None:
    """Let ``current``, beside an asset's versions, lead to one of them; at once, for every reader.

    It is a relative link, so that the whole may be moved, and where links are not to be had a file
    with the version's name.

    Args:
        version: As :func:`commit` returned it.
    """
    temporary = _temporary(version.parent)
    try:
        link = temporary / CURRENT
        try:
            link.symlink_to(version.name, target_is_directory=True)
        except (OSError, NotImplementedError):
            link.write_text(version.name + "\n", encoding="utf-8")
        pointer = version.parent / CURRENT
        if pointer.is_dir() and not pointer.is_symlink():
            pointer.rename(temporary / "copied")  # of a link, by a copy that followed it
        link.replace(pointer)
        sync(version.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def pointed_to(root: Path, asset: str) -> str | None:
    """Return the version that an asset's ``current`` leads to.

    None where there is none, and where it is damaged: what is not the name of something beside it
    is no version.
    """
    pointer = root / asset / CURRENT
    try:
        if pointer.is_symlink():
            version = pointer.readlink().as_posix()
        else:
            version = pointer.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return None if version in ("", ".", "..") or "/" in version else version


def sweep(root: Path) -> list[Path]:
    """Remove the staging folders of killed writers; call it while no other writer runs."""
    leftovers = sorted(root.glob(f"*/{_STAGING_PREFIX}*"))
    for leftover in leftovers:
        shutil.rmtree(leftover, ignore_errors=True)
    return leftovers


@dataclass(frozen=True)
class Pruned:
    """What became of old versions.

    Attributes:
        removed: Folders that are gone, or would be.
        in_use: Folders that stay, since a process reads from them.
    """

    removed: list[Path]
    in_use: list[Path]


def prune(root: Path, keep: Mapping[str, Collection[str]], *, dry_run: bool = False) -> Pruned:
    """Remove every version but those that ``keep`` names for its asset, and those in use.

    An asset that ``keep`` does not name is left alone.

    Args:
        root: The artifacts' root.
        keep: Versions that stay, by asset.
        dry_run: Say what would be removed, and remove nothing.
    """
    pruned = Pruned([], [])
    for folder in _not_kept(root, keep):
        with folders_in_use.alone_with(folder) as is_alone:
            if not is_alone:
                pruned.in_use.append(folder)
                continue
            if not dry_run:
                shutil.rmtree(folder)
            pruned.removed.append(folder)
    return pruned


def _not_kept(root: Path, keep: Mapping[str, Collection[str]]) -> list[Path]:
    return [
        version
        for asset, kept in sorted(keep.items())
        for version in sorted((root / asset).glob("*"))
        if version.is_dir()
        and not version.is_symlink()
        and version.name not in (*kept, CURRENT)
        and not version.name.startswith(".")
    ]


def _temporary(parent: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix=_STAGING_PREFIX, dir=parent))
