"""The project that a command is typed in: a folder whose ``pyproject.toml`` has ``[tool.din]``.

The table says what Dagster calls the project's assets and where its results lie. The commands and
the project's ``definitions.py`` read it alike, so that a run of the terminal and a click in the UI
make the same assets. It is looked for as git looks for its folder: here, then above. Nothing heavy
is imported here.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from din_assets.names import Names
from din_core.errors import WrongRequestError

FILE = "pyproject.toml"
TABLE = "[tool.din]"
_OPTIONS = ("prefix", "group_prefix", "home")


class ProjectError(WrongRequestError):
    """The project's file cannot be read, or says what cannot be."""


@dataclass(frozen=True, kw_only=True)
class Project:
    """What ``[tool.din]`` says.

    Attributes:
        root: The folder of the file; relative paths start there.
        prefix: What the keys of the assets begin with; None for none.
        group_prefix: What the names of their groups begin with; None for none.
        home: Folder of all results.
    """

    root: Path
    prefix: str | None = None
    group_prefix: str | None = None
    home: Path

    @property
    def names(self) -> Names:
        """What Dagster calls the assets.

        Raises:
            PrefixError: A prefix cannot be one.
        """
        return Names.below(self.prefix, self.group_prefix)


def find(folder: Path, *, below: Path | None = None) -> Project | None:
    """Return the nearest project, in a folder or above it, or None where there is none.

    Args:
        folder: Where to begin.
        below: A folder to stop at, which is none and does not lie in one.

    Raises:
        ProjectError: The project's file is wrong.
    """
    for each in (folder, *folder.parents):
        if each == below:
            return None
        table = _table(each / FILE)
        if table is not None:
            return _read(each, table)
    return None


def _table(file: Path) -> Any:
    """What a file has of ours; None where there is no file or it has nothing of ours."""
    try:
        text = file.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(f"{file} cannot be read: {error}") from error
    if "din" not in text:
        return None
    try:
        return tomllib.loads(text).get("tool", {}).get("din")
    except tomllib.TOMLDecodeError as error:
        raise ProjectError(f"{file} is not valid TOML: {error}") from error


def _read(root: Path, table: Any) -> Project:
    file = root / FILE
    if not isinstance(table, Mapping):
        raise ProjectError(f"{file}: {TABLE} is {table!r}; it is a table of {', '.join(_OPTIONS)}")
    for name, value in table.items():
        if name not in _OPTIONS:
            raise ProjectError(
                f"{file}: {TABLE} has no option '{name}'; there are {', '.join(_OPTIONS)}"
            )
        if not isinstance(value, str) or not value:
            raise ProjectError(
                f"{file}: {TABLE} {name} is {value!r}; write a text, or leave it out"
            )
    return Project(
        root=root,
        prefix=table.get("prefix"),
        group_prefix=table.get("group_prefix"),
        home=root / Path(table.get("home", "data")).expanduser(),
    )
