"""An Apache Spark on this machine is for its own process alone, and says nothing by itself."""

import contextlib
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

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
def asking(**variables):
    """A process that has an Apache Spark until it is written a line, and where that answers."""
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
            **variables,
        },
    )
    with process:
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_two_on_one_machine_do_not_meet_and_nobody_else_reaches_them():
    with asking() as (first, place), asking() as (second, other_place):
        assert place != other_place
        for each in (place, other_place):
            host, _, port = each.rpartition(":")
            assert host == "localhost"
            with socket.create_connection(("127.0.0.1", int(port))):
                pass
            # Another address of this machine, where a server of all addresses would answer.
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.2", int(port)))
        for process in (first, second):
            said, complained = process.communicate("go on\n")
            assert said == "3\n"
            assert complained == ""


def test_what_java_said_is_kept_where_it_does_not_start(tmp_path):
    submit = tmp_path / "bin" / "spark-submit"
    submit.parent.mkdir()
    submit.write_text('#!/bin/sh\necho "no room for the heap, remote=$SPARK_REMOTE" >&2\nexit 1\n')
    submit.chmod(0o755)
    with asking(SPARK_HOME=str(tmp_path)) as (process, said):
        assert said == ""
        complained = process.stderr.read()
    assert "EngineError: the engine at local[1] does not answer" in complained
    (log,) = re.findall(r"what Spark itself said is in (\S+)", complained)
    assert Path(log).read_text() == "no room for the heap, remote=\n"
    Path(log).unlink()


def test_a_setting_that_spark_does_not_start_with_is_told():
    with asking(SPARK_DRIVER_MEMORY="200m") as (process, said):
        assert said == ""
        complained = process.stderr.read()
    last = complained.splitlines()[-1]
    assert "EngineError: SPARK_REMOTE is local[1], and Apache Spark does not start on this" in last
    assert "System memory 209715200 must be at least" in last
    assert "its settings are SPARK_DRIVER_MEMORY" in last
    (log,) = re.findall(r"what Spark itself said is in (\S+)", complained)
    Path(log).unlink()
