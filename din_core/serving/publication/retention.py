"""Which artifacts stay when old ones are removed, and why."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from din_core.serving.publication import history
from din_core.store import artifacts, ledger

if TYPE_CHECKING:
    import duckdb


def kept(con: duckdb.DuckDBPyConnection, root: Path, *, latest: int = 0) -> dict[str, set[str]]:
    """Return the versions that stay, by asset; of other assets nothing is known.

    The latest stays, and of a model that is published, pinned or among the latest all that
    was made of it and is recorded: the saved model, the bundle, the graphs.

    Args:
        con: Connection to the pipeline's database.
        root: The artifacts' root.
        latest: How many of the latest models stay beside those.
    """
    found: dict[str, set[str]] = {}
    for entry in ledger.entries(con).values():
        if entry.artifact:
            _keep(found, entry.artifact)
    decided, versions = history.publications(con), history.model_versions(con)
    served = history.served(decided)
    bundles = {*history.pinned(decided), *([served.bundle_version] if served else ())}
    # Of the versions of one model the later one counts, so that `latest` counts models.
    models = list(dict.fromkeys(each.model_version for each in reversed(versions)))[:latest]
    for each in versions:
        if each.bundle_version in bundles or each.model_version in models:
            for artifact in each.artifacts.values():
                _keep(found, artifact)
    if (pointed_to := artifacts.pointed_to(root, "bundle")) is not None:
        found.setdefault("bundle", set()).add(pointed_to)
    return found


def _keep(found: dict[str, set[str]], artifact: str) -> None:
    path = PurePosixPath(artifact)
    found.setdefault(path.parent.as_posix(), set()).add(path.name)
