"""An Apache Spark on this machine is for its own process alone, and says nothing by itself."""

import contextlib
import os
import socket
import subprocess
import sys

import pytest

pytestmark = pytest.mark.spark

ASKS = """
import sys
from din_core.engines import sessions
with sessions.session("local[1]") as spark:
    spark.range(100_000, numPartitions=8).selectExpr("id % 7 as n").distinct().count()
    print(spark.client._builder.endpoint, flush=True)
    sys.stdin.readline()
    print(spark.range(3).count(), flush=True)
"""


@contextlib.contextmanager
def asking():
    """A process that has an Apache Spark until it is written a line; its port comes first."""
    process = subprocess.Popen(
        [sys.executable, "-c", ASKS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # As in a run: Spark itself takes the variable for another way to say "master".
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "SPARK_REMOTE": "local[1]",
        },
    )
    with process:
        try:
            host, _, port = process.stdout.readline().strip().rpartition(":")
            assert host == "localhost", process.stderr.read()
            yield process, int(port)
        finally:
            process.kill()


def test_two_on_one_machine_do_not_meet_and_nobody_else_reaches_them():
    with asking() as (first, port), asking() as (second, other_port):
        assert port != other_port
        for each in (port, other_port):
            with socket.create_connection(("127.0.0.1", each)):
                pass
            # Another address of this machine, where a server of all addresses would answer.
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.2", each))
        for process in (first, second):
            said, complained = process.communicate("go on\n")
            assert said == "3\n"
            assert complained == ""
