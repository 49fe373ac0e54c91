"""Which bundle a command asks, and how its answers' ids are read and written."""

import argparse
import csv
import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from din_assets.runs.folders import home
from din_core.errors import WrongRequestError

if TYPE_CHECKING:
    from din_core.serving.bundle.contents import IdKind
    from din_core.serving.bundle.ids import Id


def add_bundle(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the bundle."""
    parser.add_argument(
        "--bundle",
        metavar="DIR",
        type=Path,
        help="the bundle's folder; by default the published one",
    )


def bundle_folder(named: Path | None) -> Path:
    """Return the folder of the bundle: the one that is named, or the published one."""
    return named if named is not None else home() / "artifacts" / "bundle" / "current"


def add_at(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the moment of the question."""
    parser.add_argument(
        "--at",
        metavar="TIME",
        type=_moment,
        help="the moment that numbers of the log are counted for, in seconds since 1970-01-01 or "
        "as 2024-05-31T12:00, both UTC; by default the end of the log",
    )


def _moment(text: str) -> float | datetime.datetime:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a number of seconds nor a time as 2024-05-31T12:00"
        ) from None


def split_ids(text: str) -> list[str]:
    """Split ids that are separated by commas; one with a comma in it stands in double quotes.

    Raises:
        WrongRequestError: It is no list of ids in one line.
    """
    try:
        return next(csv.reader([text], skipinitialspace=True, strict=True), [])
    except csv.Error as error:
        raise WrongRequestError(
            f"{text!r} is no list of ids separated by commas ({error}); an id with a comma stands "
            "in double quotes, and a double quote in it is written twice"
        ) from None


def read_ids(path: Path, kind: "IdKind") -> "list[Id]":
    """Read ids from a text file, one a line.

    Args:
        path: The file; empty lines count for nothing.
        kind: Type of the ids.

    Raises:
        WrongRequestError: The file cannot be read, is no text, holds no id, or a line of it is
            none.
    """
    from din_core.serving.bundle.ids import parsed_id

    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise WrongRequestError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise WrongRequestError(f"{path} is not UTF-8 text; write one item id a line") from error
    # Not by splitlines, nor stripped: an id of text may hold what those take for an end.
    ids = [
        parsed_id(line, kind, f"{path} line {number}")
        for number, line in enumerate(lines, start=1)
        if line
    ]
    if not ids:
        raise WrongRequestError(f"{path} holds no ids; write one item id a line")
    return ids


def add_context(parser: argparse.ArgumentParser) -> None:
    """Add the option for numbers of the moment."""
    parser.add_argument(
        "--context",
        metavar="NAME=NUMBER",
        action="append",
        default=[],
        help="a number of the moment, for a model that takes some; may be repeated",
    )


def context_of(arguments: argparse.Namespace) -> dict[str, float]:
    """Return the numbers of the moment by name.

    Raises:
        WrongRequestError: One is no number, or is given twice.
    """
    context: dict[str, float] = {}
    for text in arguments.context:
        name, _, value = text.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            raise WrongRequestError(f"--context is {text!r}; write NAME=NUMBER") from None
        if name in context:
            raise WrongRequestError(f"--context gives {name!r} twice")
        context[name] = number
    return context
