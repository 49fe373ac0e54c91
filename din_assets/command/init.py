"""``din init``: a small Dagster project around the assets, in a folder of its own."""

import argparse
import contextlib
import importlib.util
import keyword
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import jinja2

from din_assets.command.subcommand import Commands
from din_core.errors import DinError, WrongRequestError

_TEMPLATES = Path(__file__).parent.parent / "project_template"
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

#: Where each template goes, below the project's folder.
_PLACES: Mapping[str, str] = {
    "pyproject.toml.jinja": "pyproject.toml",
    "workspace.yaml.jinja": "workspace.yaml",
    "dagster.yaml.jinja": "dagster.yaml",
    "run.yaml.jinja": "run.yaml",
    "README.md.jinja": "README.md",
    "gitignore.jinja": ".gitignore",
    "package.py.jinja": "{name}/__init__.py",
    "definitions.py.jinja": "{name}/definitions.py",
}


class InitError(WrongRequestError):
    """A project cannot be made there, or cannot have that name."""


def add_parser(commands: Commands) -> None:
    """Add the command to those of ``din``."""
    parser = commands.add_parser(
        "init",
        help="make a Dagster project around the assets",
        description="Make a small Dagster project in a new folder. Its name is the folder's: that "
        "of its Python package, and the prefix of its assets.",
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="the new folder")


def run(arguments: argparse.Namespace) -> int:
    """Make it, and say what is next.

    Raises:
        InitError: There is something already, or the name cannot be a package's.
        DinError: The folder cannot be written.
    """
    folder: Path = arguments.folder
    try:
        made = make_project(folder)
    except OSError as error:
        raise DinError(f"{folder} cannot be written: {error.strerror}; nothing is left") from error
    print(f"{folder} is a Dagster project now:")
    for file in made:
        print(f"  {file}")
    print(f"Next: cd {folder} && din run, then din ui")
    return 0


def make_project(folder: Path) -> list[str]:
    """Write a project; all of it, or nothing.

    Args:
        folder: Its folder, which is not there yet.

    Returns:
        Its files, relative to it.

    Raises:
        InitError: As of :func:`run`.
        OSError: It cannot be written.
    """
    target = Path(os.path.abspath(folder))  # noqa: PTH100  (`..` is taken out, links stay)
    name = target.name
    if target.is_symlink() or target.exists():
        raise InitError(f"{folder} is there already, and nothing is overwritten: name a new folder")
    _refuse_name(name)
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  (no HTML; the name is checked)
    )
    places = {source: place.format(name=name) for source, place in _PLACES.items()}
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = target.with_name(f".{name}.{os.getpid()}")
    staged.mkdir()
    try:
        for source, place in places.items():
            file = staged / place
            file.parent.mkdir(exist_ok=True)
            file.write_text(templates.get_template(source).render(name=name), encoding="utf-8")
        staged.rename(target)
    except BaseException:
        with contextlib.suppress(OSError):
            shutil.rmtree(staged)
        raise
    return sorted(places.values())


def _refuse_name(name: str) -> None:
    """Refuse what can be no package, or would hide one or be hidden by one."""
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise InitError(
            f"the project's name is {name!r}; as the name of a Python package it is made of small "
            "letters, digits and single underscores between them, such as 'my_project'"
        )
    found = importlib.util.find_spec(name)
    # Without an origin it is a folder of that name, such as one in the working directory.
    if name in sys.stdlib_module_names or (found is not None and found.origin is not None):
        raise InitError(
            f"there is a Python module '{name}' already, which the project's would hide: choose "
            "another name"
        )
