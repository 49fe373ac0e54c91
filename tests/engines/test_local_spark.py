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

TELLS = """
import os
from pyspark.core.context import SparkContext
from din_core.engines import sessions
with sessions.session("local[20]") as spark:
    java = SparkContext._jvm.java.lang
    beans = java.management.ManagementFactory
    options = beans.getPlatformMXBean(
        java.Class.forName("com.sun.management.HotSpotDiagnosticMXBean")
    )
    print(
        spark.conf.get("spark.sql.shuffle.partitions"),
        spark.conf.get("spark.sql.codegen.useIdInClassName"),
        options.getVMOption("Tier4BackEdgeThreshold").getValue(),
        options.getVMOption("Tier4InvocationThreshold").getValue(),
        os.environ.get("SPARK_SUBMIT_OPTS"),
    )
"""


def environment(**variables):
    """That of a process which starts an Apache Spark, as in a run."""
    # Spark itself takes SPARK_REMOTE for another way to say "master".
    beside = {"PYTHONPATH": os.pathsep.join(sys.path), "SPARK_REMOTE": "local[1]"}
    return {**os.environ, **beside, **variables}


@contextlib.contextmanager
def asking(**variables):
    """A process that has an Apache Spark until it is written a line, and where that answers."""
    process = subprocess.Popen(
        [sys.executable, "-c", ASKS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**variables),
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


def settings_told(**variables):
    """What an Apache Spark and its Java go by, and what is left of SPARK_SUBMIT_OPTS here."""
    asked = [sys.executable, "-c", TELLS]
    told = subprocess.run(
        asked, env=environment(**variables), stdout=subprocess.PIPE, text=True, check=True
    )
    return told.stdout.split()


def test_a_spark_of_this_machine_gets_ready_for_a_small_log(monkeypatch):
    monkeypatch.delenv("SPARK_SUBMIT_OPTS", raising=False)
    # Two parts for each of 20 threads.
    assert settings_told() == ["40", "false", "400000", "50000", "None"]


def test_what_people_set_of_it_holds(tmp_path):
    (tmp_path / "spark-defaults.conf").write_text("spark.sql.shuffle.partitions 7\n")
    mine = "-XX:Tier4BackEdgeThreshold=12345"
    submit = "--conf spark.sql.codegen.useIdInClassName=true pyspark-shell"
    told = settings_told(
        SPARK_CONF_DIR=str(tmp_path), SPARK_SUBMIT_OPTS=mine, PYSPARK_SUBMIT_ARGS=submit
    )
    assert told == ["7", "true", "12345", "50000", mine]
