"""Where things are at run time: the project's root, ``DIN_HOME`` and the source.

Paths resolve from the project's root, never from the working directory, so that the same command
finds the same files wherever it is typed.
"""

import glob
import os
from pathlib import Path

from din_core.datasets.named_logs import SYNTHETIC
from din_core.sources.files import exists


def project_root() -> Path:
    """Return the checkout's root, or the working directory where the package is installed."""
    checkout = Path(__file__).resolve().parents[2]
    return checkout if (checkout / "workspace.yaml").is_file() else Path.cwd()


def resolve(path: str) -> Path:
    """Return an absolute path; a relative one starts at the project's root."""
    return project_root() / Path(path).expanduser()


def home() -> Path:
    """Return the folder of all results: ``DIN_HOME``, by default ``data`` in the root."""
    return resolve(os.environ.get("DIN_HOME") or "data")


def source_csv() -> str | None:
    """Return the source that ``DIN_CSV`` names, or None where it is unset or empty."""
    return os.environ.get("DIN_CSV") or None


def resolve_source(source: str, folder: Path | None = None) -> str:
    """Return a source as an absolute path or glob; ``synthetic`` stays as it is.

    Args:
        source: A file or a glob. Its own characters are taken as they are, and those of the folder
            that it starts at are none of a pattern's.
        folder: Where a relative one starts, by default the project's root.
    """
    if source == SYNTHETIC:
        return source
    path = Path(source).expanduser()
    start = folder or project_root()
    whole = start / path
    if path.is_absolute() or exists(str(whole)) or not glob.has_magic(source):
        return str(whole)
    return str(Path(glob.escape(str(start))) / path)
