"""What engines say of their ends becomes a sentence, and what is our own fault stays as it is."""

import sys

import pytest
from pyspark.errors import AnalysisException, PySparkException

from din_core.engines import translation
from din_core.engines.errors import EngineError, explaining

ENGINE = "the engine at sc://host:15002"

# As they said it, cut to the lines that count.
SAID = {
    "[INTERNAL_ERROR] Job aborted\njava.lang.OutOfMemoryError: Java heap space\n\tat java.base/x": (
        "ran out of memory; give its executors more (spark.executor.memory",
        "(java.lang.OutOfMemoryError: Java heap space)",
    ),
    "Job aborted due to stage failure: ExecutorLostFailure (executor 3 exited caused by one of the "
    "running tasks) Reason: Container killed by YARN for exceeding memory limits. 9.0 GB of 9 GB": (
        "ran out of memory",
        "exceeding memory limits",
    ),
    "ExecutorLostFailure (executor 1 exited caused by one of the running tasks) Reason: Command "
    "exited with code 137": ("ran out of memory", "code 137"),
    "Resources exhausted: Failed to allocate additional 33.2 MB for ExternalSorter[0]": (
        "docs/scaling.md says how many fit",
        "33.2 MB",
    ),
    "java.io.IOException: No space left on device": ("ran out of disk", "No space left"),
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
