"""``din vocabulary``: what is known of ids, beside what the log holds."""

import argparse
import os

from din_assets.command.saying import say
from din_assets.command.subcommand import Commands


def add_parser(commands: Commands) -> None:
    """Add the command to those of ``din``."""
    parser = commands.add_parser(
        "vocabulary",
        help="forget ids that the log no longer has (compact)",
        description="compact: forget every known id, so that the next `din run` numbers those of "
        "the log anew, in their order and without gaps. Where an id gets another index, all that "
        "is made from indices is made again, the model included.",
    )
    parser.add_argument("what", choices=["compact"], help="compact: forget every known id")


def run(_arguments: argparse.Namespace) -> int:
    """Forget them, and say what follows.

    Raises:
        StoreError: The pipeline's database is damaged.
    """
    from din_assets.runs import paths
    from din_assets.runs.resources import StoreResource
    from din_core.tables import known_ids

    os.chdir(paths.project_root())
    resource = StoreResource()
    n_forgotten = n_gone = 0
    if resource.pipeline_path.is_file():
        with (
            resource.locked("din vocabulary compact", on_wait=say, on_note=say),
            resource.transaction() as con,
        ):
            n_gone = known_ids.n_not_in_log(con)
            n_forgotten = known_ids.forget(con)
    if not n_forgotten:
        print(f"{resource.folder} knows no ids: nothing to forget.")
        return 0
    print(
        f"{n_forgotten:,} known ids are forgotten, {n_gone:,} of them no longer in the log. The "
        "next `din run` numbers those of the log anew and, where an id gets another index, trains "
        "the model again; models and bundles that were made before keep their own vocabularies."
    )
    return 0
