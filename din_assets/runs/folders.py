"""The folders of a run: the project's root and ``DIN_HOME``. Nothing heavy is imported here.

Paths resolve from the project's root, never from the working directory, so that the same command
finds the same files wherever in the project it is typed.
"""

import dataclasses
import os
from pathlib import Path

from din_assets.names import PLAIN, Names
from din_assets.runs import project


def current_project() -> project.Project | None:
    """Return the project that the working directory lies in (:mod:`project`), or None.

    Raises:
        ProjectError: Its file is wrong.
    """
    return project.find(Path.cwd(), below=_checkout())


def project_of(place: str | Path) -> project.Project:
    """Return the project that a file or a folder lies in.

    ``DIN_HOME`` takes the place of its home where the working directory lies in it, too: it is what
    the commands there go by.

    Args:
        place: The file or folder, such as ``__file__``.

    Raises:
        ProjectError: It lies in none, or the project's file is wrong.
    """
    folder = Path(place).resolve()
    if (found := project.find(folder)) is None:
        raise project.ProjectError(
            f"{folder}: neither this folder nor one above has a {project.FILE} with "
            f"{project.TABLE}; `din init` makes such a project"
        )
    current = current_project()
    is_current = current is not None and current.root == found.root
    return dataclasses.replace(found, home=home()) if is_current else found


def current_names() -> Names:
    """Return what Dagster calls the assets of that project."""
    found = current_project()
    return PLAIN if found is None else found.names


def project_root() -> Path:
    """Return the root of the project that the working directory lies in.

    Where it lies in none, that is the checkout, or the working directory where the package is
    installed.
    """
    if found := current_project():
        return found.root
    return _checkout() or Path.cwd()


def resolve(path: str) -> Path:
    """Return an absolute path; a relative one starts at the project's root."""
    return project_root() / Path(path).expanduser()


def home() -> Path:
    """Return the folder of all results: ``DIN_HOME``, else the project's, else ``data``."""
    if named := os.environ.get("DIN_HOME"):
        return resolve(named)
    found = current_project()
    return found.home if found else resolve("data")


def _checkout() -> Path | None:
    folder = Path(__file__).resolve().parents[2]
    return folder if (folder / "workspace.yaml").is_file() else None
