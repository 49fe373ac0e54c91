"""What engines say of their ends becomes a sentence, and what is our own fault stays as it is."""

import sys

import pytest
from pyspark.errors import AnalysisException, PySparkException

from din_core.engines import translation
from din_core.engines.errors import EngineError, explaining

ENGINE = "the engine at sc://host:15002"

# As they said it, cut to the lines that count.
SAID = {
    # Of a standalone cluster of Apache Spark 4.1, with an executor of 512 MB that gathers a user.
    "Lost task 0.0 in stage 524.0 (TID 635) (127.0.0.1 executor 1): java.lang.OutOfMemoryError: "
    "Java heap space\n\tat java.base/x": (
        "ran out of memory; give its executors more (spark.executor.memory",
        "java.lang.OutOfMemoryError: Java heap space)",
    ),
    # What is told of the same executor most of the time: it ends, and takes no further task.
    "Job aborted due to stage failure: Task 0 in stage 524.0 failed 4 times, most recent failure: "
    "Lost task 0.3 in stage 524.0 (TID 684) (127.0.0.1 executor 0): "
    "java.util.concurrent.RejectedExecutionException: Task org.apache.spark.executor.Executor"
    "$TaskRunner@21bc86be rejected from java.util.concurrent.ThreadPoolExecutor@50a171ff[Shutting "
    "down, pool size = 1, active threads = 1, queued tasks = 0, completed tasks = 390]\n\tat "
    "java.base/java.util.concurrent.ThreadPoolExecutor.reject(ThreadPoolExecutor.java:833)\n"
    "\nJVM stacktrace:\norg.apache.spark.SparkException\n\tat org.apache.spark.sql.connect."
    "service.SessionHolder.$anonfun$withSession$2(SessionHolder.scala:403)": (
        "lost executors at their work; what each said last (stderr, in its worker's folder",
        "RejectedExecutionException",
    ),
    "Job aborted due to stage failure: Task 0 in stage 373.0 failed 4 times, most recent failure: "
    "Lost task 0.3 in stage 373.0 (TID 394) (127.0.0.1 executor 5): ExecutorLostFailure (executor "
    "5 exited caused by one of the running tasks) Reason: Command exited with code 137\nDriver "
    "stacktrace:\n\nJVM stacktrace:\norg.apache.spark.SparkException": (
        "ran out of memory",
        "code 137",
    ),
    # A worker that was shut down; 403 is no answer of an object store.
    "Job aborted due to stage failure: Task 0 in stage 403.0 failed 4 times, most recent failure: "
    "Lost task 0.3 in stage 403.0 (TID 403) (127.0.0.1 executor 5): ExecutorLostFailure (executor "
    "5 exited unrelated to the running tasks) Reason: worker lost: 127.0.0.1:43675 got "
    "disassociated": (
        "lost executors at their work",
        "worker lost",
    ),
    "org.apache.spark.shuffle.FetchFailedException: Failed to connect to /127.0.0.1:45723: "
    "Connection refused": ("Otherwise run again: the tables that were complete", "FetchFailed"),
    "Job aborted due to stage failure: ExecutorLostFailure (executor 3 exited caused by one of the "
    "running tasks) Reason: Container killed by YARN for exceeding memory limits. 9.0 GB of 9 GB": (
        "ran out of memory",
        "exceeding memory limits",
    ),
    '<_InactiveRpcError of RPC that terminated with:\n\tstatus = StatusCode.UNAUTHENTICATED\n'
    '\tdetails = "No authentication token provided"\n>': (
        "does not let this run in; let SPARK_CONNECT_AUTHENTICATE_TOKEN be the token",
        "(No authentication token provided)",
    ),
    '<_InactiveRpcError of RPC that terminated with:\n\tstatus = StatusCode.UNAVAILABLE\n\tdetails '
    '= "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:15102: Tls '
    "handshake failed (TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL: error:100000f7:SSL "
    'routines:OPENSSL_internal:WRONG_VERSION_NUMBER: Invalid certificate"\n>': (
        "does not speak TLS as this run does, which has a token or ';use_ssl=true'",
        "Tls handshake failed",
    ),
    "[UNABLE_TO_INFER_SCHEMA] Unable to infer schema for Parquet. It must be specified manually. "
    "SQLSTATE: 42KD9": ("DIN_TABLES has to be a place that all of them share", "Unable to infer"),
    "(org.apache.spark.SparkSQLException) [INVALID_HANDLE.SESSION_CLOSED] The handle 0a769d5a-7947-"
    "4122-8d37-7bcb57e07475 is invalid. Session was closed. SQLSTATE: HY000": (
        "had asked nothing for as long as spark.connect.session.manager.defaultSessionTimeout says",
        "SESSION_CLOSED",
    ),
    "Resources exhausted: Failed to allocate additional 33.2 MB for ExternalSorter[0]": (
        "docs/scaling.md says how many fit",
        "33.2 MB",
    ),
    "Lost task 0.3 in stage 1.0 (TID 7) (127.0.0.1 executor 0): java.io.IOException: No space "
    "left on device": ("ran out of disk", "No space left"),
    "Lost task 0.3 in stage 3.0 (TID 16) (127.0.0.1 executor 0): java.io.IOException: Mkdirs "
    "failed to create file:/tables/t/_temporary/0/_temporary/attempt_2026112811_0003_m_000000_16 "
    "(exists=false, cwd=file:/opt/spark/work/app-20261128111350-0000/0)": (
        "has workers that cannot write below DIN_TABLES; let it name a place that all of them",
        "Mkdirs failed",
    ),
    'org.apache.hadoop.fs.UnsupportedFileSystemException: No FileSystem for scheme "s3"': (
        "spark.jars.packages=org.apache.hadoop:hadoop-aws:",
        'scheme "s3"',
    ),
    "java.lang.ClassNotFoundException: Class org.apache.hadoop.fs.s3a.S3AFileSystem not found": (
        "does not know the place that DIN_TABLES names",
        "S3AFileSystem",
    ),
    "Generic S3 error: Client error with status 403 Forbidden: <Code>AccessDenied</Code>": (
        "is not let in; give it the right to read and write DIN_TABLES",
        "AccessDenied",
    ),
    "Generic S3 error: Error performing PUT http://127.0.0.1:1/bucket/log/x.zst.parquet in 4.2s, "
    "after 10 retries, max_retries: 10  - HTTP error: error sending request": (
        "cannot use the place that DIN_TABLES names; see that the address is right",
        "error sending request",
    ),
    "Generic S3 error: Error performing PUT http://a/bucket/x after 10 retries - Server returned "
    "non-2xx status code: 501 Not Implemented: <html>\n</html>": (
        "that the store answers",
        "501 Not Implemented",
    ),
    "org.apache.hadoop.fs.s3a.AWSClientIOException: Writing Object on log/x: "
    "software.amazon.awssdk.core.exception.SdkClientException: Unable to execute HTTP request: "
    "Connect to store:9000 failed: Connection refused": (
        "cannot use the place that DIN_TABLES names",
        "Connection refused",
    ),
    "java.lang.RuntimeException: s3://a/x.parquet is not a Parquet file. Expected magic number": (
        "found a file of the tables damaged or gone; make the tables again (din run --all)",
        "s3://a/x.parquet",
    ),
    "Parquet error: Invalid Parquet file. Corrupt footer": ("damaged or gone", "Corrupt footer"),
    "Parquet argument error: External: failed to fill whole buffer": ("damaged or gone", "fill"),
    "[INVALID_HANDLE.SESSION_CHANGED] The handle is invalid.": ("was started again", "SESSION"),
    "[JAVA_GATEWAY_EXITED] Java gateway process exited before sending its port number.": (
        "does not answer; see whether it is running",
        "JAVA_GATEWAY_EXITED",
    ),
    '<_InactiveRpcError of RPC that terminated with:\n\tstatus = StatusCode.UNAVAILABLE\n\tdetails '
    '= "Socket closed"\n\tdebug_error_string = "UNAVAILABLE:Error received from peer"\n>': (
        "does not answer",
        "(Socket closed)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("said", SAID)
def test_a_trouble_of_an_engine_is_told_with_what_to_do(said):
    told, words = SAID[said]
    with pytest.raises(EngineError) as error, explaining(ENGINE):
        raise PySparkException(said)
    assert str(error.value).startswith(f"{ENGINE} ")
    assert told in str(error.value)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_fault_of_this_program_keeps_its_stack_trace():
    with pytest.raises(AnalysisException), explaining(ENGINE):
        raise AnalysisException("[UNRESOLVED_COLUMN.WITH_SUGGESTION] `usr_idx` cannot be resolved")


def test_what_a_stack_holds_is_not_what_an_engine_says():
    said = (
        "[INTERNAL_ERROR] The Spark SQL phase planning failed.\n\nJVM stacktrace:\n"
        "org.apache.spark.SparkException\n\tat io.Denied.Permission denied(Forbidden.java:403)\n"
        '  File "/x/Connection refused.py", line 403, in read\n\t... 137 more'
    )
    with pytest.raises(PySparkException), explaining(ENGINE):
        raise PySparkException(said)


def test_only_what_an_engine_s_client_raises_is_read():
    with pytest.raises(ValueError, match="Connection refused"), explaining(ENGINE):
        raise ValueError("Connection refused")


def test_a_sentence_of_ours_is_told_once():
    with pytest.raises(EngineError, match=r"^no java$"), explaining(ENGINE):
        raise EngineError("no java")


def test_no_sqlglot_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "sqlglot", None)
    with pytest.raises(EngineError, match=r"sqlglot is not installed; install the extra: pip"):
        translation.translate("select 1 as a")
