"""``din explain``: what each event of a history does to an item's score, from the bundle."""

import argparse
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from din_assets.command.bundles import (
    add_at,
    add_bundle,
    add_context,
    bundle_folder,
    context_of,
    split_ids,
)
from din_assets.command.saying import say
from din_assets.command.subcommand import Commands
from din_assets.runs.folders import home
from din_core.escaping import printable

if TYPE_CHECKING:
    from din_core.serving.answers import Explanation
    from din_core.serving.described_events import DescribedEvent

#: More stand in the answer as JSON.
_ATTRIBUTES_SHOWN = 3


def add_parser(commands: Commands) -> None:
    """Add the command to those of ``din``."""
    parser = commands.add_parser(
        "explain",
        help="what each event of a history does to an item's score",
        description="What each event of a history does to an item's score: its attention weight, "
        "and the change that it makes, which is the score less what it is without the event. "
        "Without --history it goes by the user's latest events in the log.",
    )
    parser.add_argument("--user", metavar="ID", help="the user; a new one is welcome")
    parser.add_argument("--item", metavar="ID", required=True, help="the item to explain")
    parser.add_argument(
        "--history",
        metavar="IDS",
        help="items that the user touched, oldest first, separated by commas",
    )
    add_context(parser)
    add_at(parser)
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    add_bundle(parser)


def run(arguments: argparse.Namespace) -> int:
    """Explain, and print the answer.

    Raises:
        BundleError: There is no bundle, it is damaged, or it has no graph that explains.
        WrongRequestError: What is asked for cannot be answered.
    """
    from din_core.serving import described_events
    from din_core.serving.bundle.ids import parsed_id
    from din_core.serving.ranker import Ranker

    ranker = Ranker(bundle_folder(arguments.bundle))
    bundle, history = ranker.bundle, arguments.history
    explanation = ranker.explain(
        user_id=None
        if arguments.user is None
        else parsed_id(arguments.user, bundle.user_ids, "--user"),
        item_id=parsed_id(arguments.item, bundle.item_ids, "--item"),
        history=None
        if history is None
        else [parsed_id(each, bundle.item_ids, "--history") for each in split_ids(history)],
        context=context_of(arguments),
        at=arguments.at,
    )
    own = history is not None or arguments.bundle is not None
    events = described_events.described(
        explanation, bundle, None if own else home() / "warehouse.duckdb"
    )
    [of_item] = described_events.attributes_of(bundle, [explanation.item_id])
    meaning = described_events.weights_meaning(bundle)
    if arguments.json:
        answer = {
            **explanation.to_dict(),
            "attributes": of_item,
            "events": [each.to_dict() for each in events],
            "meaning_of_weights": meaning,
        }
        print(json.dumps(answer, ensure_ascii=False))
        return 0
    for sentence in explanation.notes:
        say(printable(sentence))
    _show(explanation, of_item, events)
    print(f"\n{meaning}")
    print("Change: the score less what it is without the event; above 0 the event speaks for it.")
    return 0


def _show(
    explanation: "Explanation", of_item: Mapping[str, object], events: "list[DescribedEvent]"
) -> None:
    """Print the score, and the events as a table, oldest first."""
    said = "".join(f", {name} {_text(value)}" for name, value in of_item.items())
    print(f"item {_text(explanation.item_id)}{said}: score {explanation.probability:.4f}")
    if not events:
        return
    first = events[0]
    attributes = list(first.attributes)[:_ATTRIBUTES_SHOWN]
    weights = list(first.event.attention_weight)
    timed = any(each.time is not None for each in events)
    rows = [
        ["event", *attributes, *(["time (UTC)"] if timed else [])],
        *(
            [
                _text(each.event.item_id) + ("" if each.event.is_known else " (unknown)"),
                *(_text(each.attributes[name]) for name in attributes),
                *([f"{each.time:%Y-%m-%d %H:%M:%S}" if each.time else ""] if timed else []),
            ]
            for each in events
        ),
    ]
    numbers = [
        [*(printable(name.replace("attention_", "")) for name in weights), "change"],
        *(
            [f"{each.event.attention_weight[name]:+.4f}" for name in weights]
            + [f"{each.event.change:+.4f}"]
            for each in events
        ),
    ]
    of_text = [max(map(len, column)) for column in zip(*rows, strict=True)]
    of_numbers = [max(map(len, column)) for column in zip(*numbers, strict=True)]
    for texts, values in zip(rows, numbers, strict=True):
        left = [text.ljust(width) for text, width in zip(texts, of_text, strict=True)]
        right = [value.rjust(width) for value, width in zip(values, of_numbers, strict=True)]
        print("  ".join(["", *left, *right]))


def _text(value: object) -> str:
    return "unknown" if value is None else printable(str(value))
