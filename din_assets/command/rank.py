"""``din rank``: the best items for a user, from the bundle alone."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from din_assets.command.bundles import (
    add_at,
    add_bundle,
    add_context,
    bundle_folder,
    context_of,
    read_ids,
    split_ids,
)
from din_assets.command.saying import say
from din_assets.command.subcommand import Commands
from din_core.escaping import printable

if TYPE_CHECKING:
    from din_core.serving.answers import Ranking


def add_parser(commands: Commands) -> None:
    """Add the command to those of ``din``."""
    parser = commands.add_parser(
        "rank",
        help="the best items for a user",
        description="The best items for a user, by the published bundle. Without "
        "--history it goes by the user's latest events in the log.",
    )
    parser.add_argument("--user", metavar="ID", help="the user; a new one is welcome")
    parser.add_argument(
        "--history",
        metavar="IDS",
        help="items that the user touched, oldest first, separated by commas",
    )
    parser.add_argument(
        "--candidates",
        metavar="FILE",
        type=Path,
        help="items to choose from, one id a line; by default all of the catalogue",
    )
    add_context(parser)
    add_at(parser)
    parser.add_argument("--top", metavar="K", type=int, default=10, help="default: %(default)s")
    parser.add_argument(
        "--with-history",
        action="store_true",
        help="let items of the history be candidates, too",
    )
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    add_bundle(parser)


def run(arguments: argparse.Namespace) -> int:
    """Rank, and print the answer.

    Raises:
        BundleError: There is no bundle, or it is damaged.
        WrongRequestError: What is asked for cannot be answered.
    """
    from din_core.serving.bundle.ids import parsed_id
    from din_core.serving.ranker import Ranker

    ranker = Ranker(bundle_folder(arguments.bundle))
    users, items = ranker.bundle.user_ids, ranker.bundle.item_ids
    history, candidates = arguments.history, arguments.candidates
    ranking = ranker.rank(
        user_id=None if arguments.user is None else parsed_id(arguments.user, users, "--user"),
        history=None
        if history is None
        else [parsed_id(each, items, "--history") for each in split_ids(history)],
        candidates=None if candidates is None else read_ids(candidates, items),
        k=arguments.top,
        exclude_history=not arguments.with_history,
        context=context_of(arguments),
        at=arguments.at,
    )
    if arguments.json:
        print(json.dumps(ranking.to_dict(), ensure_ascii=False))
    else:
        _show(ranking)
    return 0


def _show(ranking: "Ranking") -> None:
    for sentence in ranking.notes:
        say(printable(sentence))
    shown = [(printable(str(item)), score) for item, score in ranking]
    width = max((len(item) for item, _ in shown), default=0)
    for item, score in shown:
        print(f"{item.ljust(width)}  {score:.6f}")
