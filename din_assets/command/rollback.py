"""``din rollback``: serve the bundle of an earlier model again."""

import argparse
from typing import TYPE_CHECKING

from din_assets.command.subcommand import Commands

if TYPE_CHECKING:
    import duckdb

    from din_assets.runs.resources import StoreResource
    from din_core.serving.publication.history import ModelVersion


def add_parser(commands: Commands) -> None:
    """Add the command to those of ``din``."""
    parser = commands.add_parser(
        "rollback",
        help="serve an earlier model again",
        description="Let artifacts/bundle/current lead to the bundle of an earlier model, or of "
        "one that was refused. A running `din serve` takes it up. It stays until another model is "
        "published.",
    )
    parser.add_argument(
        "version", metavar="VERSION", help="the beginning of a version, as `din models` lists them"
    )


def run(arguments: argparse.Namespace) -> int:
    """Go back to it.

    Raises:
        WrongRequestError: There is no such version, or its bundle was removed or is damaged.
    """
    from din_assets.command import published_models
    from din_core.serving.publication import rollback

    def roll_back(
        con: "duckdb.DuckDBPyConnection",
        resource: "StoreResource",
        versions: "tuple[ModelVersion, ...]",
    ) -> None:
        to = rollback.find(versions, arguments.version)
        decided = rollback.roll_back(con, resource.artifacts_root, to)
        name = f"model {to.model_version[:12]} (bundle {to.bundle_version[:12]})"
        said.append(f"{name} is served {'already' if decided is None else 'now'}")

    said: list[str] = []
    published_models.decide(f"din rollback {arguments.version}", roll_back)
    print(f"{said[0]}.")
    return 0
