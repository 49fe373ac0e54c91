"""An Apache Spark on this machine, started by this process: for itself alone, and quiet.

By itself pyspark's ``local[N]`` listens on one and the same port of all addresses. A second one on
the machine then fails, and whoever reaches the machine reaches a server that runs what it is sent.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Generator
from typing import Any

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
    "spark.log.level": "ERROR",
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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pyspark.core.context import SparkContext
        from pyspark.sql import SparkSession
        from pyspark.sql.connect.session import SparkSession as ConnectSession

        # Its workers run Python, too, and need what is installed here.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        context: Any = SparkContext
        is_ours = context._active_spark_context is None
        has_token = _TOKEN in os.environ
        if is_ours:
            # What `builder.remote("local[2]")` calls, which then asks at a fixed port. The version
            # of pyspark is one that `requirements` has seen to.
            starting: Any = ConnectSession
            starting._start_connect_server(remote, dict(_SETTINGS))
        service = getattr(context._jvm, "org.apache.spark.sql.connect.service.SparkConnectService$")
        port = getattr(service, "MODULE$").localPort()
    try:
        # By this name alone the client sends a token without TLS.
        yield f"sc://localhost:{port}"
    finally:
        if is_ours:
            classic: Any = SparkSession
            with contextlib.suppress(Exception):  # a Java that is gone has stopped
                classic._instantiatedSession.stop()
            if not has_token:
                os.environ.pop(_TOKEN, None)
