"""``din ui``: the Dagster UI of this project, with the history that the command line writes."""

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from din_assets.command.saying import say
from din_assets.command.subcommand import Commands
from din_assets.runs.folders import project_root
from din_core.errors import WrongRequestError

_LOOK_SECONDS = 0.5
_ENDED_AS_WISHED = (0, -signal.SIGINT, 128 + signal.SIGINT)


def add_parser(commands: Commands) -> None:
    """Add the command to those of ``din``."""
    parser = commands.add_parser(
        "ui",
        help="the Dagster UI of this project",
        description="Start the Dagster UI, which shows every run of the command line, too. Ctrl-C "
        "ends it. It is `dagster dev` with this project's instance (DAGSTER_HOME, by default the "
        "project's root) and its code location.",
    )
    parser.add_argument("--port", type=int, default=3000, help="default: %(default)s")
    parser.add_argument(
        "--verbose", action="store_true", help="show what Dagster's services say, too"
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until the process is told to stop; the exit status is 1 where it ends before.

    Raises:
        WrongRequestError: Something listens at the port already.
    """
    if _answers(arguments.port):
        # Dagster would find that out itself, after its daemon has begun beside that of another UI.
        raise WrongRequestError(
            f"port {arguments.port} is in use, perhaps by this UI already: look at "
            f"http://localhost:{arguments.port}, or name another one with --port"
        )
    root = project_root()
    command = [
        *(sys.executable, "-m", "dagster", "dev", "--port", str(arguments.port)),
        *("--log-level", "info" if arguments.verbose else "warning"),
        *_workspace(root),
    ]
    variables = {
        **os.environ,
        # Dagster asks for it, and speaks of a temporary folder without it.
        "DAGSTER_HOME": os.environ.get("DAGSTER_HOME") or str(root),
        # That `dagster dev` has a successor is nothing that its users can act on.
        "PYTHONWARNINGS": "ignore:::click.core",
    }
    wishes: list[int] = []
    begun: list[subprocess.Popen[bytes]] = []

    def end(wish: int, _: object) -> None:
        wishes.append(wish)
        for services in begun:
            services.send_signal(signal.SIGINT)

    # Before they start: a shell lets what it puts into the background ignore Ctrl-C, they would
    # inherit that, and nothing but a kill would end them.
    for wish in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(wish, end)
    say(f"the UI is starting, which takes some seconds; Ctrl-C ends it (port {arguments.port})")
    # In a session of its own: Ctrl-C would reach each of Dagster's processes, also while they
    # start, and each would end in a stack. The first of them ends the others in their order.
    services = subprocess.Popen(  # noqa: S603  (our own)
        command, cwd=root, env=variables, start_new_session=True
    )
    begun.append(services)
    if wishes:  # while it was started
        services.send_signal(signal.SIGINT)
    threading.Thread(target=_say_when_up, args=(services, arguments.port), daemon=True).start()
    status = services.wait()
    if not wishes:
        # Dagster ends with status 0 then, whatever happened.
        say(
            f"the UI ended by itself; Dagster says above why. Where port {arguments.port} is in "
            "use, `din ui --port` names another"
        )
    return 0 if wishes and status in _ENDED_AS_WISHED else 1


def _say_when_up(services: "subprocess.Popen[bytes]", port: int) -> None:
    """Say so once the UI can be opened."""
    while services.poll() is None:
        if _answers(port):
            say(f"the UI is on http://localhost:{port}")
            return
        time.sleep(_LOOK_SECONDS)


def _answers(port: int) -> bool:
    """Whether something listens at a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _workspace(root: Path) -> list[str]:
    """The code location: that of the project's ``workspace.yaml``, or the package itself."""
    file = root / "workspace.yaml"
    return ["-w", str(file)] if file.is_file() else ["-m", "din_assets.definitions"]
