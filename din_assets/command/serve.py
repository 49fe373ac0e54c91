"""``din serve``: answer rankings over HTTP."""

import argparse
import importlib.util
import json
import logging
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from din_assets.command.bundles import add_bundle, bundle_folder
from din_assets.command.saying import say
from din_assets.command.subcommand import Commands
from din_core.errors import WrongRequestError

if TYPE_CHECKING:
    from fastapi import FastAPI

#: Hands the settings to the processes that the server starts, which import this module anew.
_SETTINGS = "DIN_SERVE"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def add_parser(commands: Commands) -> None:
    """Add the command to those of ``din``."""
    parser = commands.add_parser(
        "serve",
        help="answer rankings over HTTP",
        description="Answer rankings over HTTP: POST /rank, the Open Inference Protocol below "
        "/v2, the description of both at /docs. A bundle that is published while the server runs "
        "is taken up without a dropped request.",
    )
    add_bundle(parser)
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: %(default)s, this "
        "machine alone; 0.0.0.0 is every address)",
    )
    parser.add_argument("--port", type=_port, default=8000, help="default: %(default)s")
    parser.add_argument(
        "--workers",
        type=_positive,
        default=1,
        help="processes, each with the bundle in memory (default: %(default)s)",
    )
    parser.add_argument(
        "--max-request-mb",
        type=_positive,
        default=8,
        help="the largest request in megabytes (default: %(default)s)",
    )


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 <= int(text) <= 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, 0 to 65535")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Serve until the process is told to stop.

    Raises:
        WrongRequestError: There is no bundle, or the extra ``[serve]`` is not installed.
    """
    for package in ("fastapi", "uvicorn"):
        if importlib.util.find_spec(package) is None:
            raise WrongRequestError(f"din serve needs {package}: pip install fastapi uvicorn")
    import uvicorn

    folder = bundle_folder(arguments.bundle)
    settings = {"bundle": str(folder), "max_request_bytes": arguments.max_request_mb << 20}
    os.environ[_SETTINGS] = json.dumps(settings)
    # A bundle that cannot be served ends the command here, and not in each of its processes.
    app = _application(settings)
    _check_address(arguments.host, arguments.port)
    if arguments.host not in _LOOPBACK:
        say(f"listening on {arguments.host}: whoever reaches this machine can ask, unencrypted")
    if arguments.workers == 1:
        uvicorn.run(app, host=arguments.host, port=arguments.port, log_level="info")
    else:
        del app
        uvicorn.run(
            f"{__name__}:application_of_worker",
            factory=True,
            workers=arguments.workers,
            host=arguments.host,
            port=arguments.port,
            log_level="info",
        )
    return 0


def _check_address(host: str, port: int) -> None:
    """Refuse an address that cannot be listened on, in place of what uvicorn would print."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
    except OSError as error:
        raise WrongRequestError(
            f"--host {host} --port {port} cannot be listened on: {error.strerror or error}"
        ) from None


def application_of_worker() -> "FastAPI":
    """Return the application of one process of several, as :func:`run` has set it."""
    return _application(json.loads(os.environ[_SETTINGS]))


def _tell_of_bundles() -> None:
    """Print what the server says of bundles that come and go; uvicorn's log tells of requests."""
    log = logging.getLogger("din_core.serving.server")
    log.setLevel(logging.INFO)
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("din: %(message)s"))
        log.addHandler(handler)


def _application(settings: Mapping[str, object]) -> "FastAPI":
    from din_core.serving.server.application import Limits, create_app

    _tell_of_bundles()
    limits = Limits(max_request_bytes=int(str(settings["max_request_bytes"])))
    return create_app(Path(str(settings["bundle"])), limits)
