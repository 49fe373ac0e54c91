"""Another Python process, for tests of what two of them do to one file."""

import os
import signal
import subprocess
import sys
from pathlib import Path


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
