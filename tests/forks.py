"""Processes that begin with their imports done: forks of one that has imported what takes long.

There is one such server, which imports when it starts: all tests ask here for the same, and so do
all workers of a session. What a fork writes by itself shows where the server was started.
"""

import atexit
import contextlib
import fcntl
import functools
import json
import multiprocessing
import os
import sys
import tempfile
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any
from unittest import mock

# Not the definitions: they look at the environment when they are imported.
_IMPORTED = [
    "torch.onnx", "matplotlib.pyplot", "onnx", "onnxruntime", "pytest", "dagster._cli.asset",
    "dagster._core.definitions.antlr_asset_selection.antlr_asset_selection",
    "din_assets.assets.catalogue", "din_assets.command.cli", "din_core.datasets.synthetic",
    "din_core.serving.graphs", "din_core.training.loop",
]  # fmt: skip
# Before a test changes it for itself: what the server finds all forks find.
_ENVIRONMENT = dict(os.environ)


def context() -> ForkServerContext:
    """Return what makes such processes."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(_IMPORTED)
    # From Python 3.14 on a server asks for a key, and each worker has its own.
    if "PYTEST_XDIST_TESTRUNUID" in os.environ and sys.version_info < (3, 14):
        _share_server(os.environ["PYTEST_XDIST_TESTRUNUID"])
    return found


@functools.cache
def _share_server(session: str) -> None:
    """Have this worker's forks made by the server of another one, or start one for all.

    A server takes 4 s of processor to start. It ends when no process holds its pipe open any more.
    """
    server: Any = vars(forkserver)["_forkserver"]
    where = Path(tempfile.gettempdir(), f"din-forks-{session}")
    with where.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # who comes second waits until the first has told
        file.seek(0)
        with contextlib.suppress(OSError, ValueError):  # nobody has, or who did has ended
            told = json.loads(file.read())
            pipe = os.open(told.pop("pipe"), os.O_WRONLY)
            vars(server).update(told, _forkserver_alive_fd=pipe)
            server.ensure_running = resource_tracker.ensure_running
            return
        with mock.patch.dict(os.environ, _ENVIRONMENT, clear=True):
            server.ensure_running()
        file.truncate(0)
        pipe = f"/proc/{os.getpid()}/fd/{server._forkserver_alive_fd}"
        file.write(json.dumps({"_forkserver_address": server._forkserver_address, "pipe": pipe}))
    atexit.register(where.unlink, missing_ok=True)


def execute(source: str, names: dict[str, Any]) -> None:
    """Run a script in such a process: a function of a test would import the test's module."""
    exec(compile(source, "<test>", "exec"), {"__name__": "__main__", **names})


def answer(source: str, **names: Any) -> Any:
    """Run a script in such a process, and return what it sends through ``pipe``."""
    ours, theirs = context().Pipe()
    process = context().Process(target=execute, args=(source, {**names, "pipe": theirs}))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    finally:
        process.join()
        ours.close()
