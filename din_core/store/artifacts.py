"""Files that a step leaves behind, addressed by their content: ``<root>/<asset>/<version>/``.

A folder is written under a temporary name and renamed when it is complete and on the disk, so that
a reader never sees half of one and a killed writer leaves nothing but a temporary folder, which
:func:`sweep` removes. Its manifest lists every file with size and SHA-256: what happens to a file
afterwards is found by :func:`damage_of` and never served. The same content has the same version and
is kept once. Old versions stay until :func:`prune`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, cast

from din_core.atomic_files import sync, sync_tree
from din_core.errors import DinError

MANIFEST = "manifest.json"

_FORMAT = 1
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


def commit(folder: Path, version: str) -> Path:
    """Make a staged folder the asset's ``version``, with a manifest, and return its final place.

    Where that version exists already and is whole, its content is the same, and the staged copy is
    dropped. A damaged one is replaced.
    """
    target = folder.parent / version
    if os.path.lexists(target) and damage_of(target) is None:
        return target
    (folder / MANIFEST).write_bytes(_manifest(version, _files_in(folder)))
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


def damage_of(folder: Path) -> str | None:
    """Compare an artifact with its manifest, every byte of it.

    Args:
        folder: As :func:`commit` returned it.

    Returns:
        What is wrong, as a sentence that begins with the artifact's name and the file's; None where
        every file is what was committed and there is no other.
    """
    name = f"{folder.parent.name}/{folder.name}"
    if not folder.is_dir():
        return f"{name} is gone"
    try:
        content = (folder / MANIFEST).read_bytes()
        listed = cast("dict[str, dict[str, Any]]", json.loads(content)["files"])
        expected = {file: {**entry} for file, entry in listed.items()}
        is_sound = content == _manifest(folder.name, expected)
    except FileNotFoundError:
        return f"{name} has no {MANIFEST}, so nobody can tell whether it is whole"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        is_sound, expected = False, {}
    if not is_sound:
        return f"{name}: {MANIFEST} is damaged"
    try:
        found = _files_in(folder)
    except OSError as error:
        return f"{name} cannot be read ({error.strerror or error})"
    for file in sorted(expected.keys() | found.keys()):
        if file not in found:
            return f"{name}: {file} is missing"
        if file not in expected:
            return f"{name}: {file} does not belong there"
        was, now = expected[file], found[file]
        if was == now:
            continue
        if "link" in now:
            return f"{name}: {file} is a link and no file"
        size = was.get("bytes")
        if isinstance(size, int) and size != now["bytes"]:
            return f"{name}: {file} has {now['bytes']:,} bytes instead of {size:,}"
        return f"{name}: {file} has other content than was committed"
    return None


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


def _temporary(parent: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix=_STAGING_PREFIX, dir=parent))


def _manifest(version: str, files: Mapping[str, Mapping[str, Any]]) -> bytes:
    """The manifest's bytes: one spelling only, so that damage to it shows as well."""
    content = {"format": _FORMAT, "version": version, "files": files}
    return (json.dumps(content, indent=2, sort_keys=True) + "\n").encode()


def _files_in(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and hash of every file by its path in the folder; the manifest has no entry.

    A link is described as a link, not by what it points to.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = {"link": str(path.readlink())}
        elif path.is_file() and name != MANIFEST:
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            found[name] = {"bytes": path.stat().st_size, "sha256": sha256}
    return found
