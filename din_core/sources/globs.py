"""Which files of this machine a pattern names, each of them once.

A file may have several names: a link ``latest.csv`` beside the file that it leads to, or a path
through a link to a folder above. Read by each of them, its rows would count as often.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

_DESCENDS = "**"


def expand(pattern: str) -> list[str]:
    """Return the paths that a glob matches, as :func:`glob.glob` does, ``**`` included.

    Each folder below ``**`` is entered once, however many links lead to it, so that links which
    lead in a circle come to an end.

    Args:
        pattern: The glob; ``**`` between two slashes stands for any folders, also for none.
    """
    parts = pattern.split("/")
    if _DESCENDS not in parts:
        return glob.glob(pattern)  # noqa: PTH207 (the pattern may be absolute)
    place = parts.index(_DESCENDS)
    before = "/".join([*parts[:place], ""])
    rest = "/".join(parts[place + 1 :]) or "*"
    tops = glob.glob(before) if before else [""]  # noqa: PTH207
    found = [
        path
        for top in sorted(tops)
        for folder in _folders(top)
        for path in expand(glob.escape(folder) + rest)
    ]
    return list(dict.fromkeys(found))


def _folders(top: str) -> Iterator[str]:
    """Yield a folder and all below it, those nearer the top first; each with a slash behind it."""
    entered = {_identity(Path(top))}
    waiting = [top]
    for folder in waiting:
        yield folder
        try:
            below = sorted(Path(folder).iterdir())
        except OSError:
            continue  # as glob passes over what nobody may look into
        for path in below:
            if path.name.startswith(".") or not path.is_dir():
                continue
            if (identity := _identity(path)) not in entered:
                entered.add(identity)
                waiting.append(f"{folder}{path.name}/")


def once_each(paths: Iterable[Path]) -> dict[Path, tuple[Path, ...]]:
    """Take the names of one file together.

    Args:
        paths: Paths of files, in an order.

    Returns:
        Path by which each file is read, in that order, to its other names: the first that leads
        through no link, else the first.
    """
    names: dict[object, list[Path]] = {}
    for path in paths:
        names.setdefault(_identity(path) or path, []).append(path)
    chosen = {_real_name(of_one): of_one for of_one in names.values()}
    return {
        path: tuple(name for name in chosen[path] if name != path)
        for path in paths
        if path in chosen
    }


def _real_name(names: list[Path]) -> Path:
    # Not path.absolute(), which keeps `..`, and not path.resolve(), which a link in a circle stops.
    real = (name for name in names if os.path.realpath(name) == os.path.abspath(name))  # noqa: PTH100
    return next(real, names[0])


def _identity(path: Path) -> tuple[int, int] | None:
    """What all names of a file or folder share; None where a link leads to nothing."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
