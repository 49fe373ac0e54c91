"""The models that were judged, as commands read them, and a person's decision about one of them.

They are read from the published file, which is closed: a run is never in the way, nor in a run's.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from din_assets.command.saying import say
from din_assets.runs.folders import home
from din_core import store
from din_core.errors import WrongRequestError
from din_core.serving.publication import history
from din_core.serving.publication.history import ModelVersion
from din_core.store import artifacts

if TYPE_CHECKING:
    import duckdb

    from din_assets.runs.resources import StoreResource

    Change = Callable[[duckdb.DuckDBPyConnection, StoreResource, tuple[ModelVersion, ...]], object]

_NOT_SHOWN = (
    "the analysts' file has other results than the pipeline by now, so it shows this after the "
    "next `din run`"
)


@dataclass(frozen=True)
class Models:
    """The models that were judged, and where each stands.

    Attributes:
        root: The artifacts' root.
        versions: The models, the first one first.
        served: Version of the bundle that ``current`` leads to.
        pinned: Versions of pinned bundles.
    """

    root: Path
    versions: tuple[ModelVersion, ...]
    served: str | None
    pinned: frozenset[str]

    def folder(self, of: ModelVersion) -> Path:
        """Return the folder of a model's bundle."""
        return self.root / "bundle" / of.bundle_version

    def state(self, of: ModelVersion) -> list[str]:
        """Return in words where a model stands."""
        words = {
            "published": of.bundle_version == self.served,
            "pinned": of.bundle_version in self.pinned,
            "refused": of.decision == "refused" and of.bundle_version != self.served,
            "bundle removed": not self.folder(of).is_dir(),
        }
        return [word for word, holds in words.items() if holds]


def published_file() -> Path:
    """Return the analysts' file.

    Raises:
        WrongRequestError: There is none.
    """
    path = home() / "warehouse.duckdb"
    if not path.is_file():
        raise WrongRequestError(f"{path.parent} holds no models yet; `din run` makes the first one")
    return path


def read() -> Models:
    """Read the models that were judged.

    Raises:
        WrongRequestError: Nothing was published yet.
    """
    with store.connect(published_file(), read_only=True) as con:
        versions, decided = history.model_versions(con), history.publications(con)
    root = home() / "artifacts"
    return Models(root, versions, artifacts.pointed_to(root, "bundle"), history.pinned(decided))


def decide(
    owner: str,
    change: "Change",
) -> None:
    """Make a person's decision about a model, and show it to analysts.

    Args:
        owner: The command, for others that wait for it to read.
        change: Adds to the tables, given a connection in a transaction, the store and the models.

    Raises:
        WrongRequestError: There are no models yet.
    """
    from din_assets.making import facts
    from din_assets.runs import paths
    from din_assets.runs.resources import StoreResource
    from din_core.config import WarehouseConfig, config_from_mapping
    from din_core.serving.publication import judgement
    from din_core.store import ledger

    os.chdir(paths.project_root())
    resource = StoreResource()
    published_file()
    with resource.locked(owner, on_wait=say, on_note=say):
        with resource.transaction() as con:
            # Only then is the copy of the tables as they are now what a run has audited.
            made, recorded = ledger.entries(con), facts.of(con, "warehouse")
            is_audited = (
                "warehouse" in made and recorded.items() <= made["warehouse"].inputs.items()
            )
            before = history.publications(con)
            change(con, resource, history.model_versions(con))
            decided = history.publications(con)
        served = history.served(decided)
        judgement.point_to_served(resource.artifacts_root, served and served.bundle_version)
        if decided == before:
            return
        if not is_audited:
            say(_NOT_SHOWN)
            return
        # As the run published it.
        chosen = config_from_mapping(WarehouseConfig, made["warehouse"].options)
        with resource.connection(read_only=True) as con:
            every_nth_user = store.every_nth_user_of(con, chosen.max_rows)
        resource.publish(every_nth_user)
