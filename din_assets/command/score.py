"""``din score``: a score for each row of a Parquet file, from the bundle alone."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from din_assets.command.bundles import add_bundle, bundle_folder
from din_assets.command.saying import say
from din_assets.command.subcommand import Commands

if TYPE_CHECKING:
    from din_core.serving.score_files import Progress


def add_parser(commands: Commands) -> None:
    """Add the command to those of ``din``."""
    parser = commands.add_parser(
        "score",
        help="a score for each row of a Parquet file",
        description="Write the rows of a Parquet file with a further column, score. The rows are "
        "pairs of user_id and item_id, or rows of the table samples (target_item_id, "
        "hist_item_id). The file may be larger than memory.",
    )
    parser.add_argument("rows", metavar="FILE", type=Path, help="the rows, as Parquet")
    parser.add_argument(
        "--out", metavar="FILE", type=Path, required=True, help="where they go, as Parquet"
    )
    add_bundle(parser)


def run(arguments: argparse.Namespace) -> int:
    """Score, and say how far it is.

    Raises:
        BundleError: There is no bundle, or it is damaged.
        WrongRequestError: The file cannot be scored.
    """
    from din_core.serving import score_files
    from din_core.serving.ranker import Ranker

    ranker = Ranker(bundle_folder(arguments.bundle))
    n_rows = score_files.score(ranker, arguments.rows, arguments.out, on_progress=_tell)
    print(f"{n_rows:,} rows scored: {arguments.out}")
    return 0


def _tell(progress: "Progress") -> None:
    left = f", {progress.seconds_left:.0f} s left" if progress.seconds_left >= 1 else ""
    say(f"{progress.done:,} of {progress.total:,} rows{left}")
