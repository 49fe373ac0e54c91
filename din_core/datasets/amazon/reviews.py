"""Amazon Reviews 2014, the data set of the DIN paper, as a source: fetched, then made a CSV, once.

How the files are fetched is :mod:`din_core.datasets.amazon.downloads`'s business, what their lines
mean :mod:`din_core.datasets.amazon.interactions`'s.

Source: R. He, J. McAuley, WWW 2016, and J. McAuley et al., SIGIR 2015.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from din_core.datasets.amazon.downloads import fetch
from din_core.datasets.amazon.interactions import FORM, Progress, Report, write_interactions
from din_core.datasets.amazon.partial_files import explained
from din_core.sources.errors import SourceError

__all__ = [
    "BASE_URL",
    "CATEGORIES",
    "Progress",
    "Report",
    "csv_of",
    "prepare",
    "write_interactions",
]

logger = logging.getLogger(__name__)

BASE_URL = "https://snap.stanford.edu/data/amazon/productGraph/categoryFiles/"
"""Where the data set's authors published it. Mirrors move: :func:`prepare` takes another one."""

CATEGORIES = (
    "Amazon_Instant_Video",
    "Apps_for_Android",
    "Automotive",
    "Baby",
    "Beauty",
    "Books",
    "CDs_and_Vinyl",
    "Cell_Phones_and_Accessories",
    "Clothing_Shoes_and_Jewelry",
    "Digital_Music",
    "Electronics",
    "Grocery_and_Gourmet_Food",
    "Health_and_Personal_Care",
    "Home_and_Kitchen",
    "Kindle_Store",
    "Movies_and_TV",
    "Musical_Instruments",
    "Office_Products",
    "Patio_Lawn_and_Garden",
    "Pet_Supplies",
    "Sports_and_Outdoors",
    "Tools_and_Home_Improvement",
    "Toys_and_Games",
    "Video_Games",
)
"""The categories of the 2014 release, as they are spelt in the names of its files."""


def prepare(
    category: str,
    folder: Path,
    *,
    base_url: str = BASE_URL,
    sha256s: Mapping[str, str] | None = None,
    on_progress: Progress | None = None,
    timeout: float = 30.0,
    attempts: int = 5,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """Fetch a category's two files into ``folder`` and make its CSV; nothing is done twice.

    Args:
        category: One of :data:`CATEGORIES`, as ``Electronics``.
        folder: Holds the two files and the CSV ``amazon_<Category>.csv``.
        base_url: The folder on the web, or a mirror of it, that holds the two files.
        sha256s: Expected hex digests by file name. The authors publish none; without them a file
            is held against the checksum inside the gzip format.
        on_progress: Told of every file that is fetched or read.
        timeout: As of :func:`din_core.datasets.amazon.downloads.fetch`, and so are the following
        two.
        attempts: Tries in a row that bring nothing new.
        sleep: Waits between tries.

    Returns:
        Path of the CSV, which :func:`din_core.datasets.amazon.interactions.write_interactions`
        describes.

    Raises:
        SourceError: The category does not exist, or the files hold nothing usable.
        DownloadError: A file could not be fetched or written.
    """
    if category not in CATEGORIES:
        close = difflib.get_close_matches(category, CATEGORIES, n=1, cutoff=0.4)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise SourceError(
            f"Amazon Reviews 2014 has no category {category!r}; {hint}"
            f"It has: {', '.join(CATEGORIES)}"
        )
    inputs = [
        fetch(
            f"{base_url.rstrip('/')}/{name}",
            folder / name,
            sha256=(sha256s or {}).get(name),
            on_progress=_of_file(name, on_progress),
            timeout=timeout,
            attempts=attempts,
            sleep=sleep,
        )
        for name in (f"reviews_{category}_5.json.gz", f"meta_{category}.json.gz")
    ]
    target = csv_of(category, folder)
    note = folder / f"{target.name}.made_from.json"
    if target.is_file() and _read_note(note) == _state(target, *inputs):
        logger.info("%s: up to date with its inputs", target)
        return target
    report = write_interactions(inputs[0], inputs[1], target, on_progress=on_progress)
    with explained(note):
        note.write_text(json.dumps(_state(target, *inputs), indent=1), encoding="utf-8")
    logger.info("%s: %s", target, dataclasses.asdict(report))
    return target


def csv_of(category: str, folder: Path) -> Path:
    """Return the path of a category's CSV, whether it is there or not."""
    return folder / f"amazon_{category}.csv"


def _of_file(name: str, on_progress: Progress | None) -> Callable[[int, int | None], None] | None:
    if on_progress is None:
        return None
    return lambda done, total: on_progress(name, done, total)


def _state(target: Path, *inputs: Path) -> dict[str, object]:
    """What a CSV and the files it was made from look like, cheaply: sizes and times of change."""
    files = {path.name: path.stat() for path in (target, *inputs)}
    state: dict[str, object] = {"form": FORM}
    return state | {name: [each.st_size, each.st_mtime_ns] for name, each in files.items()}


def _read_note(note: Path) -> object:
    try:
        return cast("object", json.loads(note.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None
