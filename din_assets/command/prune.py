"""``din prune``: remove the versions of artifacts that are not current."""

import argparse
import os
from pathlib import Path

from din_assets.command.saying import say
from din_assets.command.subcommand import Commands


def add_parser(commands: Commands) -> None:
    """Add the command to those of ``din``."""
    commands.add_parser("prune", help="remove artifact versions that are not current")


def run(_arguments: argparse.Namespace) -> int:
    """Remove them, and say which.

    Raises:
        StoreError: The pipeline's database is damaged.
    """
    from din_assets.runs import paths
    from din_assets.runs.resources import StoreResource
    from din_core.store import artifacts, ledger

    os.chdir(paths.project_root())
    resource = StoreResource()
    if not resource.pipeline_path.is_file():
        print(f"{resource.folder} holds no results: nothing to remove.")
        return 0
    with (
        resource.locked("din prune", on_wait=say, on_note=say),
        resource.connection(read_only=True) as con,
    ):
        current = {
            entry.asset: Path(entry.artifact).name
            for entry in ledger.entries(con).values()
            if entry.artifact
        }
        removed = artifacts.prune(resource.artifacts_root, current)
    for folder in removed:
        print(f"removed {folder.relative_to(resource.folder)}")
    print(f"{len(removed)} old versions removed, {len(current)} current ones kept.")
    return 0
