"""The command line ``din``: its commands, and how each ends.

Each command is a module of its own with ``add_parser(commands)`` and ``run(arguments)``. Only the
module of the command that is called is imported, and it imports what takes long in its ``run``, so
that a command which needs neither Dagster nor torch starts without them.
"""

import argparse
import difflib
import importlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn

from din_assets.command import streams
from din_assets.command.saying import say
from din_assets.runs import garbage, variables
from din_assets.runs.machine_errors import is_of_the_machine, of_the_disk
from din_core.errors import DinError, WrongRequestError

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

#: Module of each command, in the order in which they are listed.
_MODULES = {
    "init": "init",
    "run": "run",
    "refresh": "run",
    "models": "models",
    "rollback": "rollback",
    "prune": "prune",
    "metrics": "metrics",
    "vocabulary": "vocabulary",
    "rank": "rank",
    "score": "score",
    "explain": "explain",
    "report": "report",
    "serve": "serve",
    "ui": "ui",
}
_NOBODY_READS = 128 + signal.SIGPIPE
_DESCRIPTION = "From a log of interactions to a served Deep Interest Network."
_EXAMPLES = """\
a first time:
  din run                       the synthetic log, from its rows to a served model
  din run --csv log.csv         your log: user_id, item_id, time and, if there is one, cate_id
  din run --csv log.csv --preset best
then:
  din run                       what changed since: nothing, in seconds
  din rank --user 3 --top 5     ask the model
  din ui                        every step and its pictures in the browser

`din COMMAND --help` says what a command takes.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command of ``din`` and return its exit status.

    It is 0 where the command did what it was asked to, 2 where what was asked for is wrong or not
    there, so that nothing was begun, 130 where it was interrupted, 141 where nobody reads its
    output any more, and 1 where what was begun failed.
    """
    garbage.collect_seldom()
    garbage.leave_at_end()
    streams.make_writable()
    status = _answer(list(sys.argv[1:] if arguments is None else arguments))
    # Here, and not at exit, where nobody is told: whatever the command was, and however it ended.
    unwritten = streams.write_out()
    if unwritten is None:
        return status
    if isinstance(unwritten, BrokenPipeError):
        # The reader has seen enough, as `head` has.
        return status or _NOBODY_READS
    say(streams.told(unwritten))
    return status or 1


def _answer(words: Sequence[str]) -> int:
    try:
        parser = _parser(words)
        if not words:
            parser.print_help()
            return 2
        options, unknown = parser.parse_known_args(words)
        if unknown:
            # By the command, whose usage says what it takes. argparse would show that of `din`.
            parser.of_commands[options.command].refuse(unknown)
        for sentence in variables.without_effect(os.environ):
            say(sentence)
        status: int = _module(_MODULES[options.command]).run(options)
    except SystemExit as end:  # argparse has helped, or refused
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except DinError as error:
        say(str(error))
        return 2 if isinstance(error, WrongRequestError) else 1
    except BrokenPipeError:
        streams.lead_output_nowhere()
        return _NOBODY_READS
    except OSError as error:
        if not is_of_the_machine(error):
            raise
        if not streams.output_is_stuck():
            say(of_the_disk(error))
        return 1
    except KeyboardInterrupt:
        say("interrupted; what was made before it stays")
        return 128 + signal.SIGINT
    return status


class _Parser(argparse.ArgumentParser):
    """A parser that fails where its help cannot be written, which argparse passes over."""

    #: Of `din` alone: the parser of each command.
    of_commands: "Mapping[str, _Parser]"

    def refuse(self, words: Sequence[str]) -> NoReturn:
        """End with the usage, the words that are not known, and what the first option may mean."""
        options = (word.partition("=")[0] for word in words if word.startswith("--"))
        close = difflib.get_close_matches(next(options, ""), self._option_string_actions, n=1)
        hint = f"; is {close[0]} meant?" if close else ""
        self.error(f"unrecognized arguments: {' '.join(words)}{hint}")

    def print_help(self, file: "SupportsWrite[str] | None" = None) -> None:
        try:
            print(self.format_help(), end="", file=file)
            if file is None:
                sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            streams.lead_output_nowhere()
            raise DinError(streams.told(error)) from error


def _parser(words: Sequence[str]) -> _Parser:
    parser = _Parser(
        prog="din",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", title="commands"
    )
    called = [_MODULES[word] for word in words[:1] if word in _MODULES]
    for module in called or dict.fromkeys(_MODULES.values()):
        _module(module).add_parser(commands)
    parser.of_commands = commands.choices
    return parser


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"din_assets.command.{name}")


if __name__ == "__main__":
    sys.exit(main())
