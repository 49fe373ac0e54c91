"""A session on Spark Connect: of a cluster, of an Apache Spark on this machine, or of Sail.

Without an address the tables are made by Sail, which speaks Spark Connect, needs no Java and runs
in this process.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from din_core.engines.errors import EngineError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_INSTALL = "install the extra: pip install 'din-assets[spark]'"

# What our SQL takes for granted, on any engine.
_SETTINGS = {
    # An overflow is an error, as in DuckDB, instead of a wrapped number.
    "spark.sql.ansi.enabled": "true",
    # A moment becomes a time without a zone by the session's.
    "spark.sql.session.timeZone": "UTC",
}

# Sail 0.7 guards a divisor by a branch with raise_error(), which it evaluates at times where the
# branch is not taken: "Division by zero" of divisors that are not. Without the guard a division by
# zero is NULL. A cast of text that is no number fails all the same, and sums beyond BIGINT wrap
# around either way.
_SETTINGS_OF_SAIL = {**_SETTINGS, "spark.sql.ansi.enabled": "false"}


@contextlib.contextmanager
def session(remote: str | None = None) -> Generator[SparkSession]:
    """Open a session for the length of a run.

    Args:
        remote: A Spark Connect address (``sc://host:15002``), ``local[N]`` for an Apache Spark of
            N threads on this machine, which needs Java 17; by default Sail in this process.

    Yields:
        The session, its tables and settings its own.

    Raises:
        EngineError: What is needed is not installed, or nobody answers at the address.
    """
    with contextlib.ExitStack() as stack:
        address = remote or stack.enter_context(_sail())
        spark = _connected(address)
        stack.callback(_close, spark)
        settings = _SETTINGS if remote else _SETTINGS_OF_SAIL
        for setting, value in settings.items():
            spark.conf.set(setting, value)
        yield spark


@contextlib.contextmanager
def _sail() -> Generator[str]:
    try:
        from pysail.spark import SparkConnectServer
    except ImportError as error:
        raise EngineError(
            f"no address of a cluster is given and Sail is not installed; {_INSTALL}, or set "
            "SPARK_REMOTE to the address of a Spark Connect server, such as sc://host:15002"
        ) from error
    # Sail tells of each of its steps otherwise.
    os.environ.setdefault("RUST_LOG", "error")
    server: Any = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    host, port = server.listening_address
    try:
        yield f"sc://{host}:{port}"
    finally:
        server.stop()


def _connected(address: str) -> SparkSession:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pyspark.sql import SparkSession

            if address.startswith("local"):
                # Its workers run Python, too, and need what is installed here.
                os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
            builder = SparkSession.builder.remote(address)
            return builder.getOrCreate() if address.startswith("local") else builder.create()
    except ImportError as error:
        raise EngineError(f"pyspark is not there or not whole ({error}); {_INSTALL}") from error


def _close(spark: SparkSession) -> None:
    # A session that is gone is closed; its error would hide the one that ended the run.
    with contextlib.suppress(Exception):
        spark.stop()
