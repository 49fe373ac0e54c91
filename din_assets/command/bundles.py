"""Which bundle a command asks, and how its answers' ids are read and written."""

import argparse
import csv
import datetime
from pathlib import Path

from din_assets.runs.folders import home
from din_core.errors import WrongRequestError


def add_bundle(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the bundle."""
    parser.add_argument(
        "--bundle",
        metavar="DIR",
        type=Path,
        help="the bundle's folder; by default the one that the last run made",
    )


def bundle_folder(named: Path | None) -> Path:
    """Return the folder of the bundle: the one that is named, or that of the last run."""
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
    """Split ids that are separated by commas; one with a comma in it stands in double quotes."""
    return next(csv.reader([text], skipinitialspace=True), [])


def read_ids(path: Path) -> list[str]:
    """Read ids from a text file, one a line.

    Raises:
        WrongRequestError: The file cannot be read, or is no text.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise WrongRequestError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise WrongRequestError(f"{path} is not UTF-8 text; write one item id a line") from error
    # Not by splitlines, nor stripped: an id of text may hold what those take for an end.
    return [line for line in lines if line]
