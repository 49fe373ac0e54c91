"""A session on Spark Connect: of a cluster, of an Apache Spark on this machine, or of Sail.

Without an address the tables are made by Sail, which speaks Spark Connect, needs no Java and runs
in this process.
"""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from din_core.engines import local_spark, requirements
from din_core.engines.errors import EngineError, explaining
from din_core.engines.standstill import Standstill

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# What our SQL takes for granted, on any engine.
_SETTINGS = {
    # An overflow is an error, as in DuckDB, instead of a wrapped number.
    "spark.sql.ansi.enabled": "true",
    # A moment becomes a time without a zone by the session's.
    "spark.sql.session.timeZone": "UTC",
}
_LOCAL = re.compile(r"local(?:\[(?:[1-9][0-9]{0,3}|\*)\])?")
# The client has rules of its own for what comes behind the host; see :func:`_channel`.
_REMOTE = re.compile(r"sc://[^/\s:;]+(?::[0-9]+)?(?:/.*)?")

# How long an engine may not answer. By itself the client would go on asking for ten minutes: waits
# of 1, 2, 4, 8 and 15 seconds are enough for a server that is exchanged. To begin with less is.
_PATIENCE = {
    "max_retries": 5,
    "initial_backoff": 1000,
    "backoff_multiplier": 2,
    "max_backoff": 15000,
}
_PATIENCE_AT_FIRST = {**_PATIENCE, "max_retries": 2}
# A connection whose other end is gone without a word is found. Spark's server takes questions more
# frequent than every five minutes for an attack.
_CHANNEL = [("grpc.keepalive_time_ms", 330_000), ("grpc.keepalive_timeout_ms", 60_000)]

# Sail 0.7 guards a divisor by a branch with raise_error(), which it evaluates at times where the
# branch is not taken: "Division by zero" of divisors that are not. Without the guard a division by
# zero is NULL. A cast of text that is no number fails all the same, and sums beyond BIGINT wrap
# around either way.
_SETTINGS_OF_SAIL = {**_SETTINGS, "spark.sql.ansi.enabled": "false"}


@contextlib.contextmanager
def session(
    remote: str | None = None, *, warn: Callable[[str], object] = lambda _: None
) -> Generator[SparkSession]:
    """Open a session for the length of a run; what its client raises inside is explained.

    Args:
        remote: A Spark Connect address (``sc://host:15002``), ``local[N]`` for an Apache Spark of
            N threads on this machine, which needs Java 17; by default Sail in this process.
        warn: Told where nobody works on what the engine was asked.

    Yields:
        The session, its tables and settings its own.

    Raises:
        EngineError: What is needed is not installed, nobody answers at the address, or an engine
            failed under way in a way that the user can put right.
    """
    _require_address(remote)
    requirements.require_client()
    if remote is not None and _LOCAL.fullmatch(remote):
        requirements.require_local_spark(remote)
    with explaining(called(remote)), contextlib.ExitStack() as stack:
        # The sentence says it. Not for the length of the session only: the client asks once more
        # when the process ends.
        warnings.filterwarnings("ignore", message=r"\[RETRIES_EXCEEDED\]")
        if remote is not None and _LOCAL.fullmatch(remote):
            spark = _connected(_channel(stack.enter_context(local_spark.running(remote))))
        elif remote is not None:
            spark = _connected(_channel(remote))
        else:
            spark = _connected(_channel_without_token(stack.enter_context(_sail())))
            # So that an answer can be taken up again where a connection broke, the client would
            # acknowledge each part of it. This connection does not leave the process.
            client: Any = spark.client
            client.disable_reattachable_execute()
        stack.callback(_close, spark)
        # From the first question on: a worker answers it, be it only for the version.
        spark.registerProgressHandler(Standstill(called(remote), warn))
        _be_patient(spark, _PATIENCE_AT_FIRST)
        settings = _SETTINGS_OF_SAIL if remote is None or is_sail(spark) else _SETTINGS
        for setting, value in settings.items():
            spark.conf.set(setting, value)
        _be_patient(spark, _PATIENCE)
        yield spark


def called(remote: str | None) -> str:
    """Return the words for an engine; ``remote`` as of :func:`session`."""
    return f"the engine at {without_token(remote)}" if remote else "Sail, in this process,"


def _require_address(remote: str | None) -> None:
    if remote is not None and not (_LOCAL.fullmatch(remote) or _REMOTE.fullmatch(remote)):
        raise _no_address(remote)


def _no_address(remote: str) -> EngineError:
    return EngineError(
        f"SPARK_REMOTE is '{without_token(remote)}', must be the address of a Spark Connect "
        "server, such as sc://host:15002 or sc://host:15002/;use_ssl=true;token=… (a '=' or ';' "
        "within a value is %3D or %3B), or local[2] for an Apache Spark of two threads on this "
        "machine; unset, Sail makes the tables in this process"
    )


def without_token(remote: str) -> str:
    """Return an address as it may be shown: without the token that lets one in."""
    return re.sub(r"(token=)[^;]*", r"\1…", remote)


@contextlib.contextmanager
def _sail() -> Generator[str]:
    try:
        from pysail.spark import SparkConnectServer
    except ImportError as error:
        raise EngineError(
            f"no address of a cluster is given and Sail is not installed; {requirements.INSTALL}, "
            "or set SPARK_REMOTE to the address of a Spark Connect server, such as sc://host:15002"
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


def _connected(channel: Any) -> SparkSession:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pyspark.sql.connect.session import SparkSession

        made: Any = SparkSession.builder.channelBuilder(channel).create()
        return made


def _channel(address: str) -> Any:
    from pyspark.errors import PySparkException
    from pyspark.sql.connect.client import DefaultChannelBuilder

    try:
        builder = DefaultChannelBuilder(address, channelOptions=_CHANNEL)
        _ = builder.session_id  # a UUID, which the client sees when it connects
    except (ValueError, PySparkException) as error:
        # Its own words quote a value in which there is a '=', and so may show a token.
        raise _no_address(address) from error
    return builder


def _channel_without_token(address: str) -> Any:
    """Connect to this process. A token, as of a cluster, would make the client ask for TLS."""
    from pyspark.sql.connect.client import DefaultChannelBuilder

    class WithoutToken(DefaultChannelBuilder):
        @property
        def token(self) -> str | None:
            return None

    return WithoutToken(address, channelOptions=_CHANNEL)


def is_sail(spark: SparkSession) -> bool:
    """Ask an engine whether it is Sail: an address does not say who answers there.

    Each tells its own version. Sail's is below 1, and Spark Connect began with Spark 3.4.
    """
    [(version,)] = spark.sql("select version()").collect()
    return str(version).startswith("0.")


def _be_patient(spark: SparkSession, policy: dict[str, int]) -> None:
    from pyspark.sql.connect.client.retries import DefaultPolicy

    client: Any = spark.client
    patience: Any = policy
    client.set_retry_policies([DefaultPolicy(**patience)])


def _close(spark: SparkSession) -> None:
    # A session that is gone is closed; its error would hide the one that ended the run, and asking
    # again would only keep the user waiting.
    closing: Any = spark
    with contextlib.suppress(Exception):
        _be_patient(spark, {**_PATIENCE, "max_retries": 0})
        try:
            closing.client.release_session()
        except Exception:  # noqa: BLE001 (whatever it is, nobody answers)
            # What the client gives back in the background, the result of a question that was never
            # answered, it would ask for as long again, and closing would wait for that.
            closing.client._channel.close()
        closing.release_session_on_close = False
        closing.stop()
    # Where nobody answers, it stays the session of this process: whatever asks for that later, as
    # pyspark itself does of each column, would ask where nobody answers.
    kept: Any = type(spark)
    if kept._default_session is spark:
        kept._default_session = None
    if getattr(kept._active_session, "session", None) is spark:
        kept._active_session.session = None
