"""``din report``: the page that says what the model is worth, in the browser."""

import argparse
import os
import sys
import webbrowser

from din_assets.command.saying import say
from din_assets.command.subcommand import Commands
from din_assets.runs.folders import home
from din_core.errors import WrongRequestError


class NoReportError(WrongRequestError):
    """There is no report yet."""


def add_parser(commands: Commands) -> None:
    """Add the command to those of ``din``."""
    parser = commands.add_parser(
        "report",
        help="open the report: what the model is worth, on one page",
        description="Open the report of the last run in the browser: what the model is worth, from "
        "which data, and what changed. Where there is no display, its path is printed.",
    )
    parser.add_argument("--path", action="store_true", help="print the path, and open nothing")


def run(arguments: argparse.Namespace) -> int:
    """Open the report or print its path.

    Raises:
        NoReportError: No run has made one.
        DamagedArtifactError: Something happened to it since.
    """
    from din_core.evaluation.report import FILE
    from din_core.store import artifacts

    root = home() / "artifacts"
    version = artifacts.pointed_to(root, "report")
    if version is None:
        raise NoReportError(f"{root / 'report'} holds no report; `din run` makes one")
    page = artifacts.require_whole(root / "report" / version) / FILE
    if arguments.path or not _has_display():
        print(page)
        return 0
    say(f"opening {page}")
    if not webbrowser.open(page.as_uri()):
        print(page)
    return 0


def _has_display() -> bool:
    """Whether a browser would have a screen; one of text would take the terminal's."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
