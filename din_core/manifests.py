"""The manifest of a folder of files: size and SHA-256 of each, and what else is said of them.

Whoever writes a folder ends with :func:`write`; whoever uses it asks :func:`damage_of`, or of one
file :func:`damage_of_file`. Nothing but Python's own library is imported here, so that a program
which serves a model can tell whether it is whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

MANIFEST = "manifest.json"

_FORMAT = 1


class ManifestError(ValueError):
    """A manifest is missing or damaged; the message goes on after the folder's name."""


@dataclass(frozen=True)
class Manifest:
    """What a manifest says.

    Attributes:
        version: The content's version.
        files: By path in the folder, ``bytes`` and ``sha256``.
        about: What its writer says of the content; JSON types.
    """

    version: str
    files: Mapping[str, Mapping[str, Any]]
    about: Mapping[str, Any]


def write(folder: Path, version: str, about: Mapping[str, Any] | None = None) -> None:
    """Describe all files of a folder in its manifest.

    Args:
        folder: The folder, complete.
        version: Version of the content.
        about: What else is to be said of it; JSON types.
    """
    (folder / MANIFEST).write_bytes(_render(version, files_in(folder), about or {}))


def content_version(folder: Path, about: Mapping[str, Any]) -> str:
    """Return a hash of all that a folder will consist of: its files, and what is said of them."""
    content = json.dumps([files_in(folder), about], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def read(folder: Path) -> Manifest:
    """Read a folder's manifest.

    Raises:
        ManifestError: There is none, or it is not as it was written.
    """
    try:
        content = (folder / MANIFEST).read_bytes()
    except FileNotFoundError:
        message = f"has no {MANIFEST}, so nobody can tell whether it is whole"
        raise ManifestError(message) from None
    except OSError as error:
        raise ManifestError(f"cannot be read ({error.strerror or error})") from error
    try:
        values = cast("dict[str, Any]", json.loads(content))
        of_format = values["format"]
        files = cast("dict[str, dict[str, Any]]", values["files"])
        listed = {file: {**entry} for file, entry in files.items()}
        found = Manifest(str(values["version"]), listed, {**values.get("about", {})})
        is_sound = content == _render(found.version, found.files, found.about)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ManifestError(f"has a damaged {MANIFEST}") from None
    if type(of_format) is int and of_format != _FORMAT:
        raise ManifestError(
            f"has a {MANIFEST} of format {of_format}, and this program reads {_FORMAT}"
        )
    if not is_sound:
        raise ManifestError(f"has a damaged {MANIFEST}")
    return found


def damage_of(folder: Path) -> str | None:
    """Compare a folder with its manifest, every byte of it; its name is its version.

    Returns:
        What is wrong, as a sentence that begins with the folder's name and the file's; None where
        every file is what was written and there is no other.
    """
    name = f"{folder.parent.name}/{folder.name}"
    if not folder.is_dir():
        return f"{name} is gone"
    try:
        manifest = read(folder)
    except ManifestError as error:
        return f"{name} {error}"
    if manifest.version != folder.name:
        return f"{name} has a damaged {MANIFEST}"
    try:
        found = files_in(folder)
    except OSError as error:
        return f"{name} cannot be read ({error.strerror or error})"
    for file in sorted({*manifest.files, *found}):
        if file not in manifest.files:
            return f"{name}: {file} does not belong there"
        if (damage := _difference(manifest.files[file], found.get(file))) is not None:
            return f"{name}: {file} {damage}"
    return None


def damage_of_file(folder: Path, file: str, manifest: Manifest) -> str | None:
    """Compare one file with what the manifest says of it.

    Args:
        folder: The folder.
        file: Path in the folder, one that the manifest lists.
        manifest: Of the folder.

    Returns:
        What is wrong, as the rest of a sentence that begins with the file's name; None where it is
        what was written.
    """
    path = folder / file
    try:
        found = _describe(path) if path.is_file() or path.is_symlink() else None
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    return _difference(manifest.files[file], found)


def files_in(folder: Path) -> dict[str, dict[str, Any]]:
    """Return size and hash of every file by its path in the folder, but for the manifest's.

    A link is described as a link, not by what it points to.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or (path.is_file() and name != MANIFEST):
            found[name] = _describe(path)
    return found


def _describe(path: Path) -> dict[str, Any]:
    if path.is_symlink():
        return {"link": str(path.readlink())}
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": sha256}


def _difference(was: Mapping[str, Any], now: Mapping[str, Any] | None) -> str | None:
    if now is None:
        return "is missing"
    if was == now:
        return None
    if "link" in now:
        return "is a link and no file"
    size = was.get("bytes")
    if isinstance(size, int) and size != now["bytes"]:
        return f"has {now['bytes']:,} bytes instead of {size:,}"
    return "has other content than was committed"


def _render(
    version: str, files: Mapping[str, Mapping[str, Any]], about: Mapping[str, Any]
) -> bytes:
    """The manifest's bytes: one spelling only, so that damage to it shows as well."""
    content: dict[str, Any] = {"format": _FORMAT, "version": version, "files": files}
    if about:
        said = json.dumps(about, sort_keys=True)
        content |= {"about": about, "about_sha256": hashlib.sha256(said.encode()).hexdigest()}
    return (json.dumps(content, indent=2, sort_keys=True) + "\n").encode()
