"""An Apache Spark on this machine, started by this process: for itself alone, and quiet.

By itself pyspark's ``local[N]`` listens on one and the same port of all addresses. A second one on
the machine then fails, and whoever reaches the machine reaches a server that runs what it is sent.
What Java and Spark's log say goes to a file, which is named where something went wrong.

Of the tables of a small log Spark takes seconds, and a minute to get ready for them: it writes a
program for each stage of each query, which Java compiles. Settings that fit one machine keep that
down; what somebody set of them holds.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import logging
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from din_core.engines.errors import EngineError, told_of

_log = logging.getLogger(__name__)

_HERE = "127.0.0.1"
# Known when Java starts; what spark-defaults.conf says of anything else counts.
_SETTINGS = {
    "spark.connect.grpc.binding.address": _HERE,
    # Any that is free.
    "spark.connect.grpc.binding.port": "0",
    # A name of the machine may be another machine's, or nobody's.
    "spark.driver.host": _HERE,
    "spark.driver.bindAddress": _HERE,
    # It takes ports of all addresses, and its job is done by the story of the run.
    "spark.ui.enabled": "false",
    # A bar of each stage, over the lines of the run.
    "spark.ui.showConsoleProgress": "false",
}


# What fits one machine, unless somebody set it.
_FITTING = {
    # The number of a stage in the name of its program makes another program of each.
    "spark.sql.codegen.useIdInClassName": "false",
}
# Parts of what is shuffled: by default 200, each a file of each task that writes them, and small
# ones are read together again. 32 of the 64 MiB that Spark aims at hold 30 million rows.
_FEWEST_PARTS, _PARTS_OF_A_THREAD = 32, 2
# When Java compiles a method for the second time, thoroughly: by default after a tenth of these
# calls, and turns of a loop. A large log has as many in an instant, a small one of few methods.
_JAVA_OPTIONS = (
    "-XX:Tier4InvocationThreshold=50000 -XX:Tier4MinInvocationThreshold=6000 "
    "-XX:Tier4CompileThreshold=150000 -XX:Tier4BackEdgeThreshold=400000"
)
# Of options that differ Java takes the last: those in here come before extraJavaOptions of Spark.
_SUBMIT_OPTIONS = "SPARK_SUBMIT_OPTS"

_TOKEN = "SPARK_CONNECT_AUTHENTICATE_TOKEN"  # noqa: S105 (the name of a variable)


@contextlib.contextmanager
def running(remote: str) -> Generator[str]:
    """Let one run meanwhile.

    Args:
        remote: ``local[N]``. Where this process has an Apache Spark already, that one is taken.

    Yields:
        Its address. The token that lets one in lies in the environment of this process.
    """
    with warnings.catch_warnings(), _log_told(), _start_explained(remote):
        warnings.simplefilter("ignore")
        from pyspark.sql.connect.session import SparkSession

        # Its workers run Python, too, and need what is installed here.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        # By its name: the client, which is what type checkers see, does not have it.
        context: Any = importlib.import_module("pyspark.core.context").SparkContext
        is_ours = context._active_spark_context is None
        has_token = _TOKEN in os.environ
        if is_ours:
            if context._gateway is None:
                context._ensure_initialized(gateway=_java(remote))
            # What `builder.remote("local[2]")` calls, which then asks at a fixed port. The version
            # of pyspark is one that `requirements` has seen to.
            starting: Any = SparkSession
            starting._start_connect_server(remote, _SETTINGS | _unless_made(context, remote))
        service = getattr(context._jvm, "org.apache.spark.sql.connect.service.SparkConnectService$")
        port = getattr(service, "MODULE$").localPort()
    try:
        with _log_told():
            # By this name alone the client sends a token without TLS.
            yield f"sc://localhost:{port}"
    finally:
        if is_ours:
            _stop()
            if not has_token:
                os.environ.pop(_TOKEN, None)


@contextlib.contextmanager
def _start_explained(remote: str) -> Generator[None]:
    """Say which settings decide, where Java runs and Spark does not like what it was given."""
    try:
        yield
    except Exception as error:
        is_theirs = type(error).__module__.split(".")[0] in ("py4j", "pyspark")
        # What is known by its words is explained with the session's other troubles.
        if not is_theirs or told_of("Spark", error) is not None:
            raise
        # Of a stack of Java's, the line of what was thrown.
        found = re.search(r"^: (.+)$", str(error), re.MULTILINE)
        reason = found[1] if found else " ".join(str(error).split())[:300]
        raise EngineError(
            f"SPARK_REMOTE is {remote}, and Apache Spark does not start on this machine "
            f"({reason.rstrip('.')}); its settings are SPARK_DRIVER_MEMORY, PYSPARK_SUBMIT_ARGS, "
            "and spark-defaults.conf below SPARK_CONF_DIR or SPARK_HOME. Without SPARK_REMOTE Sail "
            "makes the tables"
        ) from error


def _java(remote: str) -> Any:
    """Start Java, which stays until this process ends."""
    from pyspark.conf import SparkConf
    from pyspark.java_gateway import launch_gateway

    handle, path = tempfile.mkstemp(prefix="din-spark-", suffix=".log")
    _logs.append(Path(path))
    conf = SparkConf(loadDefaults=False)
    conf.setAll([("spark.master", remote), *_SETTINGS.items()])
    starting: Any = launch_gateway
    options = " ".join(filter(None, (_JAVA_OPTIONS, os.environ.get(_SUBMIT_OPTIONS))))
    # Spark itself takes SPARK_REMOTE for a contradiction.
    environment = {"SPARK_REMOTE": None, _SUBMIT_OPTIONS: options}
    with os.fdopen(handle, "wb") as said, _environment(environment):
        return starting(conf, popen_kwargs={"stderr": said})


@contextlib.contextmanager
def _environment(variables: Mapping[str, str | None]) -> Generator[None]:
    """Let variables of the environment have these values inside; None is none."""
    before = {name: os.environ.get(name) for name in variables}
    try:
        _set(variables)
        yield
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _unless_made(context: Any, remote: str) -> dict[str, str]:
    """Return what suits one machine, but for what somebody set; Java runs."""
    from pyspark.conf import SparkConf

    named = re.search(r"\d+", remote)
    threads = int(
        named[0] if named else context._jvm.java.lang.Runtime.getRuntime().availableProcessors()
    )
    parts = max(_FEWEST_PARTS, _PARTS_OF_A_THREAD * threads)
    # Java's own, so that of spark-defaults.conf, too.
    made = SparkConf(loadDefaults=True)
    fitting = {"spark.sql.shuffle.partitions": str(parts), **_FITTING}
    return {name: value for name, value in fitting.items() if not made.contains(name)}


def _stop() -> None:
    from pyspark.sql import SparkSession

    classic: Any = SparkSession
    with contextlib.suppress(Exception):  # a Java that is gone has stopped
        classic._instantiatedSession.stop()


# Of the Java that runs; none where all went well so far as the process ends.
_logs: list[Path] = []


@contextlib.contextmanager
def _log_told() -> Generator[None]:
    """Say where Spark's log is, and keep it, where something goes wrong inside."""
    try:
        yield
    except Exception:
        for path in _logs:
            _log.warning("what Spark itself said is in %s", path)
        _logs.clear()
        raise


@atexit.register
def _remove_logs() -> None:
    for path in _logs:
        path.unlink(missing_ok=True)
