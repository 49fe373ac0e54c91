"""An Apache Spark on this machine, started by this process: for itself alone, and quiet.

By itself pyspark's ``local[N]`` listens on one and the same port of all addresses. A second one on
the machine then fails, and whoever reaches the machine reaches a server that runs what it is sent.
What Java and Spark's log say goes to a file, which is named where something went wrong.
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
from collections.abc import Generator
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
            starting._start_connect_server(remote, dict(_SETTINGS))
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
    with os.fdopen(handle, "wb") as said, _without("SPARK_REMOTE"):
        return starting(conf, popen_kwargs={"stderr": said})


@contextlib.contextmanager
def _without(variable: str) -> Generator[None]:
    """Hide a variable of the environment: Spark itself takes this one for a contradiction."""
    value = os.environ.pop(variable, None)
    try:
        yield
    finally:
        if value is not None:
            os.environ[variable] = value


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
