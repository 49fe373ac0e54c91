"""What goes wrong between us and an engine, in a sentence that says what to install or set.

An engine tells of a failure with its own stack trace behind a client's behind gRPC's. Those that
the user can put right are recognised here, by what the engines say; anything else stays as it is,
since it is a fault of this program.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Generator
from dataclasses import dataclass

from din_core.errors import DinError


class EngineError(DinError, RuntimeError):
    """An engine is not there, cannot be reached, or gave up; the message names the way out."""


class UnreadableTableError(EngineError):
    """An engine cannot read a file of the tables; which one, it mostly does not say."""


@dataclass(frozen=True)
class _Trouble:
    """A way in which engines fail.

    Attributes:
        said: How they say it.
        sentence: What it means and what to do.
        kind: The error to raise.
    """

    said: re.Pattern[str]
    sentence: str
    kind: type[EngineError] = EngineError


def _trouble(said: str, sentence: str, kind: type[EngineError] = EngineError) -> _Trouble:
    return _Trouble(re.compile(said, re.IGNORECASE), sentence, kind)


# Lines of a stack, of Java's and of Python's. They hold names and numbers that mean something else.
_FRAME = re.compile(r'^(?:\s*at \S|\s*\.\.\. \d+ more\b|\s*File ".*", line \d+).*\n?', re.MULTILINE)
_GRPC_DETAILS = re.compile(r'^\s*details = "(.*)"$', re.MULTILINE)

# The first that fits is told: what the engine says of a cause comes before what it says of its end.
_TROUBLES = (
    _trouble(
        r"OutOfMemory|Java heap space|GC overhead limit|Resources exhausted|exceeding memory limits"
        r"|beyond the (?:physical|virtual) memory limit|OOMKilled|Cannot allocate memory"
        r"|Failed to allocate additional|Cannot grow BufferHolder"
        r"|exit(?:ed with)? code:? (?:137|52)\b",
        "ran out of memory; give its executors more (spark.executor.memory on the cluster, on this "
        "machine SPARK_DRIVER_MEMORY), or more and smaller parts (spark.sql.shuffle.partitions). A "
        "user's events are held together: docs/scaling.md says how many fit",
    ),
    _trouble(
        r"No space left on device|Disk quota exceeded",
        "ran out of disk; make room where it spills (spark.local.dir) and where DIN_TABLES lies",
    ),
    _trouble(
        r"No (?:FileSystem|AbstractFileSystem) (?:configured )?for (?:scheme|filesystem)"
        r"|UnsupportedFileSystem|ClassNotFoundException: \S*(?:S3AFileSystem|FileSystem)\b"
        r"|Class \S*FileSystem not found|No suitable object store found",
        "does not know the place that DIN_TABLES names; give the cluster what it reads it with, "
        "for s3:// Hadoop's jars (spark.jars.packages=org.apache.hadoop:hadoop-aws:3.4.1 and "
        "spark.hadoop.fs.s3.impl=org.apache.hadoop.fs.s3a.S3AFileSystem)",
    ),
    _trouble(
        r"UNAUTHENTICATED",
        "does not let this run in; let SPARK_CONNECT_AUTHENTICATE_TOKEN be the token that it was "
        "started with",
    ),
    _trouble(
        r"Tls handshake failed|SSL_ERROR_SSL",
        "does not speak TLS as this run does, which has a token or ';use_ssl=true'; Spark's own "
        "server speaks none: let a proxy before it do so, or reach it through a tunnel as "
        "sc://localhost, the one name to which a token is sent without",
    ),
    _trouble(
        r"AccessDenied|Access Denied|InvalidAccessKeyId|SignatureDoesNotMatch|Unauthorized"
        r"|\bForbidden\b|Status(?: Code)?:? 403\b"
        r"|no credentials|missing credentials|Unable to load credentials|NoCredentials"
        r"|PERMISSION_DENIED|Permission denied|not writable|NoSuchBucket",
        "is not let in; give it the right to read and write DIN_TABLES (for s3:// the variables "
        "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, and AWS_ENDPOINT_URL beside "
        "AWS_ALLOW_HTTP=true where it is not Amazon's)",
    ),
    _trouble(
        r"magic bytes|is not a Parquet file|Corrupt footer|Invalid Parquet file|corrupt(?:ed)? file"
        r"|Parquet (?:\w+ )?error|Could not read footer|FAILED_READ_FILE|PATH_NOT_FOUND|NoSuchKey"
        r"|Object at location \S+ not found|(?:File|Path) does not exist",
        "found a file of the tables damaged or gone; make the tables again (din run --all)",
        UnreadableTableError,
    ),
    _trouble(
        r"Mkdirs failed to create|mkdir of \S+ failed|Read-only file system",
        "has workers that cannot write below DIN_TABLES; let it name a place that all of them "
        "share with this machine, and that the user who runs them may write to",
    ),
    _trouble(
        r"UNABLE_TO_INFER_SCHEMA",
        "does not find what its workers have just written; DIN_TABLES has to be a place that all "
        "of them share with it and with this machine",
    ),
    _trouble(
        r"Generic \w+ error|Error performing (?:GET|HEAD|POST|PUT|DELETE)\b"
        r"|AWS(?:ClientIO|ServiceIO|Status\d+)Exception|SdkClientException",
        "cannot use the place that DIN_TABLES names; see that the address is right (for s3:// the "
        "bucket, AWS_REGION, and AWS_ENDPOINT_URL where it is not Amazon's), that the store "
        "answers, and run again: the tables that were complete stay",
    ),
    _trouble(
        r"Invalid metadata",
        "cannot be sent what SPARK_REMOTE says behind its address (/;key=value); a key is of "
        "lower-case letters, digits and '_-.', a value of printable ASCII",
    ),
    _trouble(
        r"panicked with message",
        "failed inside, where it should not; run again, and where it stays so make the tables on "
        "DuckDB (DIN_ENGINE=duckdb)",
    ),
    _trouble(
        r"SESSION_CLOSED",
        "has closed the session of this run, which had asked nothing for as long as "
        "spark.connect.session.manager.defaultSessionTimeout says on the server; set more there, "
        "and run again: the tables that were complete stay",
    ),
    _trouble(
        r"SESSION_CHANGED|SESSION_NOT_FOUND|SESSION_NOT_SAME|OPERATION_NOT_FOUND",
        "was started again under way, and knows nothing of this run; run again: the tables that "
        "were complete stay",
    ),
    # An executor that runs out of memory refuses tasks while it ends, which is what fails last.
    # That it was the memory is in its own log alone.
    _trouble(
        r"ExecutorLostFailure|RejectedExecutionException|Remote RPC client disassociated"
        r"|worker lost|FetchFailed|maximum allowable number of times",
        "lost executors at their work; what each said last (stderr, in its worker's folder) tells "
        "why. Where that is OutOfMemoryError, give them more (spark.executor.memory on the "
        "cluster), or more and smaller parts (spark.sql.shuffle.partitions); a user's events are "
        "held together: docs/scaling.md says how many fit. Otherwise run again: the tables that "
        "were complete stay",
    ),
    _trouble(
        r"StatusCode\.UNAVAILABLE|Connection refused|Connection reset|Socket closed|Broken pipe"
        r"|failed to connect|DEADLINE_EXCEEDED|DNS resolution failed|JAVA_GATEWAY_EXITED"
        r"|SparkContext was shut down|stopped SparkContext|JVM .*(?:gone|exited)"
        r"|Answer from Java side is empty|RETRIES_EXCEEDED",
        "does not answer; see whether it is running and what its log says, start it again and run "
        "again: the tables that were complete stay",
    ),
)

# Where the errors come from that are looked at; any other is not an engine's.
_CLIENTS = ("pyspark", "grpc", "py4j", "pysail")


@contextlib.contextmanager
def explaining(engine: str) -> Generator[None]:
    """Turn what an engine's client raises inside into an :class:`EngineError` where it can be told.

    Args:
        engine: The engine in words, such as ``the engine at sc://host:15002``.

    Raises:
        EngineError: An engine failed in a way that the user can put right.
    """
    try:
        yield
    except Exception as error:
        if (told := told_of(engine, error)) is None:
            raise
        raise told from error


def told_of(engine: str, error: Exception) -> EngineError | None:
    """Return the sentence for what an engine's client raised, None where there is none.

    Args:
        engine: As of :func:`explaining`.
        error: What was raised.
    """
    if type(error).__module__.split(".")[0] not in _CLIENTS:
        return None
    said = _FRAME.sub("", str(error))
    for each in _TROUBLES:
        if found := each.said.search(said):
            return each.kind(f"{engine} {each.sentence} ({_line_of(said, found)})")
    return None


def _line_of(text: str, found: re.Match[str]) -> str:
    """The words of the engine around what was recognised, on one line."""
    if details := _GRPC_DETAILS.search(text):
        around = details[1]
    else:
        start = text.rfind("\n", 0, found.start()) + 1
        end = text.find("\n", found.end())
        around = text[start : len(text) if end < 0 else end]
    line = " ".join(around.split())
    return line if len(line) <= 300 else f"{line[:300]}…"
