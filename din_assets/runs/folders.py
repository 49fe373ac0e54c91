"""The folders of a run: the project's root and ``DIN_HOME``. Nothing heavy is imported here.

Paths resolve from the project's root, never from the working directory, so that the same command
finds the same files wherever it is typed.
"""

import os
from pathlib import Path


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
