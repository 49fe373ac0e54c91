"""The command line ``din``: its commands, and how each ends.

Each command is a module of its own with ``add_parser(commands)`` and ``run(arguments)``. Only the
module of the command that is called is imported, and it imports what takes long in its ``run``, so
that a command which needs neither Dagster nor torch starts without them.
"""

import argparse
import importlib
import signal
import sys
from collections.abc import Sequence
from types import ModuleType

from din_assets.command import streams
from din_assets.command.saying import say
from din_assets.runs import garbage
from din_assets.runs.machine_errors import is_of_the_machine, of_the_disk
from din_core.errors import DinError, WrongRequestError

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

    It is 0 where the command did what it was asked to, 2 where what was asked cannot be answered,
    130 where it was interrupted, 141 where nobody reads its output any more, and 1 where something
    else went wrong.
    """
    garbage.collect_seldom()
    garbage.leave_at_end()
    streams.make_writable()
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser(words)
    if not words:
        parser.print_help()
        return 2
    options = parser.parse_args(words)
    try:
        status: int = _module(_MODULES[options.command]).run(options)
        sys.stdout.flush()  # here, where a reader that is gone can be told from other errors
    except DinError as error:
        say(str(error))
        return 2 if isinstance(error, WrongRequestError) else 1
    except BrokenPipeError:
        # The reader has seen enough, as `head` has. What is left would be written at exit.
        streams.lead_output_nowhere()
        return 128 + signal.SIGPIPE
    except OSError as error:
        if not is_of_the_machine(error):
            raise
        if streams.output_is_stuck():
            streams.lead_output_nowhere()
            say(f"the output cannot be written: {error.strerror}")
        else:
            say(of_the_disk(error))
        return 1
    except KeyboardInterrupt:
        say("interrupted; what was made before it stays")
        return 128 + signal.SIGINT
    return status


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
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
    return parser


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"din_assets.command.{name}")


if __name__ == "__main__":
    sys.exit(main())
