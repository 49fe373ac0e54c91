"""``din metrics``: the latest model's figures, as a file and beside those of another run."""

import argparse
import contextlib
from collections.abc import Generator
from pathlib import Path

from din_assets.command.saying import say
from din_assets.command.subcommand import Commands
from din_core.errors import WrongRequestError


def add_parser(commands: Commands) -> None:
    """Add the command to those of ``din``."""
    parser = commands.add_parser(
        "metrics",
        help="the latest model's figures, and whether they got worse",
        description="Write the figures of the model that was made last, published or refused, as a "
        "table in Markdown. With --against the exit status is 1 where it is significantly worse.",
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write them to a file, too")
    parser.add_argument(
        "--against", metavar="FILE", type=Path, help="the figures of another run, from its --json"
    )
    parser.add_argument(
        "--by",
        metavar="METRIC",
        action="append",
        help="what --against judges by, such as logloss; more than once for several (default: auc)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write them.

    Raises:
        WrongRequestError: There is no model, or a file that is named is not there or is no text.
        DinError: A file holds no figures.
    """
    from din_assets.runs import paths
    from din_core import store
    from din_core.evaluation import exported_figures

    if arguments.by and arguments.against is None:
        raise WrongRequestError("--by says what --against judges by: give both, or leave it out")
    published = paths.home() / "warehouse.duckdb"
    if not published.is_file():
        raise WrongRequestError(f"{published} is not there yet: `din run` publishes it")
    with store.connect(published, read_only=True) as con:
        now = exported_figures.read(con)
    before = None
    if arguments.against is not None:
        with _explained(arguments.against):
            text = arguments.against.read_text(encoding="utf-8")
        before = exported_figures.Figures.from_json(text, str(arguments.against))
    if arguments.json is not None:
        with _explained(arguments.json):
            arguments.json.write_text(now.to_json(), encoding="utf-8")
    print(exported_figures.markdown(before, now), end="")
    if before is None:
        return 0
    worse = exported_figures.worse(exported_figures.changes(before, now), arguments.by or ["auc"])
    if worse:
        say(f"significantly worse than before: {', '.join(worse)}")
    return 1 if worse else 0


@contextlib.contextmanager
def _explained(file: Path) -> Generator[None]:
    """Say in a sentence that a file cannot be what was meant; status 1 would mean a worse model."""
    try:
        yield
    except OSError as error:
        raise WrongRequestError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise WrongRequestError(f"{file} is no text: {error.reason}") from error
