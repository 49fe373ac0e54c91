"""Where things are at run time: the project's root and ``DIN_HOME``.

Paths resolve from the project's root, never from the working directory, so that the same command
finds the same files wherever it is typed.
"""

import os
from pathlib import Path


def project_root() -> Path:
    """Return the checkout's root, or the working directory where the package is installed."""
    checkout = Path(__file__).resolve().parent.parent
    return checkout if (checkout / "workspace.yaml").is_file() else Path.cwd()


def resolve(path: str) -> Path:
    """Return an absolute path; a relative one starts at the project's root."""
    return project_root() / Path(path).expanduser()


def home() -> Path:
    """Return the folder of all results: ``DIN_HOME``, by default ``data`` in the root."""
    return resolve(os.environ.get("DIN_HOME") or "data")


def source_csv() -> str | None:
    """Return the source file that ``DIN_CSV`` names, or None where it is unset or empty."""
    return os.environ.get("DIN_CSV") or None
