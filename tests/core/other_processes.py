"""Another Python process, for tests of what two of them do to one file."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

_SAIL = (
    "import os, sys, time\n"
    "os.environ['RUST_LOG'] = 'off'\n"
    "from pysail.spark import SparkConnectServer\n"
    "server = SparkConnectServer('127.0.0.1', int(sys.argv[1]))\n"
    "server.start(background=True)\n"
    "print('ready', flush=True)\n"
    "time.sleep(600)"
)


def run_python(code, *arguments):
    """Start another Python; return when it has printed its first line."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stdout.readline()
    return process


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.communicate()


@contextlib.contextmanager
def holding(database):
    """Another process that has a database open for writing."""
    process = run_python(
        "import duckdb, sys, time\n"
        "con = duckdb.connect(sys.argv[1])\n"
        "print('open', flush=True)\n"
        "time.sleep(60)",
        database,
    )
    try:
        yield process
    finally:
        kill(process)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def sail():
    """A Sail in a process of its own: the process, and the address."""
    port = free_port()
    process = run_python(_SAIL, port)
    try:
        yield process, f"sc://127.0.0.1:{port}"
    finally:
        if process.poll() is None:
            kill(process)
