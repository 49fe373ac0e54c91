"""Where things are at run time: the folders, and the source."""

import glob
import os
from pathlib import Path

from din_assets.runs.folders import home, project_root, resolve
from din_core.datasets.named_logs import SYNTHETIC
from din_core.sources.files import exists
from din_core.sources.places import is_url

__all__ = ["SYNTHETIC", "home", "project_root", "resolve", "resolve_source", "source_csv"]


def source_csv() -> str | None:
    """Return the source that ``DIN_CSV`` names, or None where it is unset or empty."""
    return os.environ.get("DIN_CSV") or None


def resolve_source(source: str, folder: Path | None = None) -> str:
    """Return a source as an absolute path or glob; ``synthetic`` and a URL stay.

    Args:
        source: A file, a URL or a glob. Its own characters are taken as they are, and those of the
            folder that it starts at are none of a pattern's.
        folder: Where a relative one starts, by default the project's root.
    """
    if source == SYNTHETIC or is_url(source):
        return source
    path = Path(source).expanduser()
    start = folder or project_root()
    whole = _without_way_back(start / path)
    if path.is_absolute() or exists(str(whole)) or not glob.has_magic(source):
        return str(whole)
    return str(Path(glob.escape(str(start))) / path)


def _without_way_back(path: Path) -> Path:
    """Return a path without ``..``, so that a file has one name; as it is where links forbid it."""
    short = Path(os.path.normpath(path))
    if ".." not in path.parts or not exists(str(path)) or not exists(str(short)):
        return path
    return short if short.samefile(path) else path
