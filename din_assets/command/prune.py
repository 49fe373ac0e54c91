"""``din prune``: remove the versions of artifacts that nobody needs any more."""

import argparse
import os

from din_assets.command.saying import say
from din_assets.command.subcommand import Commands


def add_parser(commands: Commands) -> None:
    """Add the command to those of ``din``."""
    parser = commands.add_parser(
        "prune",
        help="remove artifact versions that are neither the latest, published nor pinned",
        description="Remove the versions of artifacts that are not the latest. All that belongs "
        "to a published or pinned model stays, and what a running program reads from.",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be removed, and remove nothing"
    )
    parser.add_argument(
        "--keep",
        metavar="N",
        type=_count,
        default=0,
        help="keep the latest N models, too, so that din rollback can go back to them",
    )


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Remove them, and say which.

    Raises:
        StoreError: The pipeline's database is damaged.
    """
    from din_assets.runs import paths
    from din_assets.runs.resources import StoreResource
    from din_core.serving.publication import retention
    from din_core.store import artifacts

    os.chdir(paths.project_root())
    resource = StoreResource()
    if not resource.pipeline_path.is_file():
        print(f"{resource.folder} holds no results: nothing to remove.")
        return 0
    dry_run = arguments.dry_run
    with (
        resource.locked("din prune", read_only=dry_run, on_wait=say, on_note=say),
        resource.connection(read_only=True) as con,
    ):
        kept = retention.kept(con, resource.artifacts_root, latest=arguments.keep)
        pruned = artifacts.prune(resource.artifacts_root, kept, dry_run=dry_run)
    for folder in pruned.removed:
        print(f"{'would remove' if dry_run else 'removed'} {folder.relative_to(resource.folder)}")
    for folder in pruned.in_use:
        print(f"kept {folder.relative_to(resource.folder)}: a running program reads from it")
    folders = [resource.artifacts_root / asset / each for asset in kept for each in kept[asset]]
    n_kept = sum(folder.is_dir() for folder in folders) + len(pruned.in_use)
    verb = "would be removed" if dry_run else "removed"
    print(f"{len(pruned.removed)} old versions {verb}, {n_kept} kept.")
    return 0
