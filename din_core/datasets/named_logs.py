"""The log that is named: a file, a category of Amazon Reviews 2014, or the synthetic log.

Reading takes files. Here a name becomes one: fetched, generated, or there already.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from din_core import sources
from din_core.config import SyntheticConfig
from din_core.datasets.amazon import reviews

#: What stands in a path's place to name the synthetic log; a file of that name is `./synthetic`.
SYNTHETIC = "synthetic"
_DOWNLOADS = "downloads"


class NotFetchedError(LookupError):
    """The log is one that is fetched, and it has not been."""


@dataclass(frozen=True, kw_only=True)
class NamedLog:
    """A log by its name: ``amazon_category`` where that is given, else ``path``.

    Attributes:
        path: A file or a glob, or :data:`SYNTHETIC`.
        amazon_category: A category of Amazon Reviews 2014.
        amazon_base_url: Where its files are fetched from.
        synthetic: The shape of the synthetic log.
    """

    path: str | None = None
    amazon_category: str | None = None
    amazon_base_url: str = reviews.BASE_URL
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)


def provide(
    log: NamedLog,
    folder: Path,
    *,
    on_progress: Callable[[str, int, int | None], None] | None = None,
) -> str:
    """Fetch or generate what is not there yet.

    Args:
        log: The log.
        folder: Folder of all results. A fetched log lies in its ``downloads`` and is fetched once;
            the synthetic one lies in its ``synthetic`` and is written anew.
        on_progress: Told of every file that is fetched: its name, bytes so far, bytes in all.

    Returns:
        The file or the glob to read.

    Raises:
        SourceError: There is no such category, or its files hold nothing usable.
        DownloadError: A file could not be fetched or written.
        ValueError: There is no synthetic log of that shape.
    """
    if log.amazon_category is not None:
        fetched = reviews.prepare(
            log.amazon_category,
            folder / _DOWNLOADS,
            base_url=log.amazon_base_url,
            on_progress=on_progress,
        )
        return str(fetched)
    if log.path != SYNTHETIC:
        return log.path or ""
    from din_core.datasets import synthetic  # pandas is not imported where a file is read

    made = folder / "synthetic" / "interactions.csv"
    made.parent.mkdir(parents=True, exist_ok=True)
    synthetic.write_csv(synthetic.generate(log.synthetic), made)
    return str(made)


def place_of(log: NamedLog, folder: Path) -> str | None:
    """Return the file or glob of a log; None of the synthetic one, which is made when it is read.

    Args:
        log: The log.
        folder: Folder of all results, where a fetched log lies.

    Raises:
        NotFetchedError: It has to be fetched first.
    """
    if log.amazon_category is not None:
        fetched = reviews.csv_of(log.amazon_category, folder / _DOWNLOADS)
        if not fetched.is_file():
            raise NotFetchedError(log.amazon_category)
        return str(fetched)
    return None if log.path in (None, SYNTHETIC) else log.path


def fingerprint(log: NamedLog, folder: Path) -> str | None:
    """Hash the content of a log, without fetching, making or reading its rows.

    Args:
        log: The log.
        folder: Folder of all results.

    Returns:
        The hash, as of :func:`din_core.sources.fingerprint`; None of the synthetic log, whose
        content follows from its shape.

    Raises:
        NotFetchedError: It has to be fetched first.
        SourceError: There is no such file, or it cannot be read.
    """
    place = place_of(log, folder)
    return None if place is None else sources.fingerprint(place)


def shape_version(shape: SyntheticConfig) -> str:
    """Return the version of the synthetic log's content, which follows from its shape."""
    options = json.dumps(dataclasses.asdict(shape), sort_keys=True)
    return f"synthetic-{hashlib.sha256(options.encode()).hexdigest()[:16]}"
