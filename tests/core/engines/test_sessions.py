"""An engine that is not there says in a sentence what to install or set, and soon."""

import http.server
import sys
import threading

import pyspark
import pyspark.util
import pytest
from pyspark.sql import connect
from pyspark.sql.connect.client import reattach
from pyspark.sql.connect.session import SparkSession

from din_core.engines import requirements, sessions
from din_core.engines.errors import EngineError
from tests.core.other_processes import free_port, kill, sail

# Milliseconds before it is asked again where nobody answers. How long it really is, one test shows.
PATIENCE = {
    name: {**getattr(sessions, name), "initial_backoff": 1, "max_backoff": 15}
    for name in ("_PATIENCE", "_PATIENCE_AT_FIRST")
}


@pytest.fixture
def asked_soon(monkeypatch):
    """Without the seconds between two questions; they are as many."""
    for name, patience in PATIENCE.items():
        monkeypatch.setattr(sessions, name, patience)


def refusal(remote):
    with pytest.raises(EngineError) as refused, sessions.session(remote):
        pass
    return str(refused.value)


def java_that_says(folder, *lines, status=0):
    """A JAVA_HOME whose java says this."""
    (folder / "bin").mkdir()
    java = folder / "bin" / "java"
    said = "\n".join(f"echo '{line}' >&2" for line in lines)
    java.write_text(f"#!/bin/sh\n{said}\nexit {status}\n")
    java.chmod(0o755)
    return str(folder)


def test_an_address_of_no_kind_is_refused():
    said = refusal("spark://host:7077")
    assert "SPARK_REMOTE is 'spark://host:7077', must be" in said
    assert "sc://host:15002" in said
    assert "secret" not in refusal("sc:/host/;token=secret;use_ssl=true")


@pytest.mark.parametrize(
    "address",
    [
        # Spark refuses them minutes later, in a stack of Java's.
        "local[0]", "local[٢]", "local[99999]",
        # The client refuses them in its own words, with a token in them.
        "sc://127.0.0.1:99999", "sc://127.0.0.1:٢", "sc://127.0.0.1:1/folder",
        "sc://127.0.0.1:1/;use_ssl", "sc://127.0.0.1:1/;token=c2VjcmV0==",
        "sc://127.0.0.1:1/;session_id=mine", "sc://127.0.0.1;token=c2VjcmV0",
    ],
)  # fmt: skip
def test_an_address_that_engines_or_their_client_do_not_take_is_refused(address):
    said = refusal(address)
    assert said.startswith("SPARK_REMOTE is '")
    assert "must be the address of a Spark Connect server" in said
    assert "c2VjcmV0" not in said


def test_what_cannot_be_sent_beside_the_address_is_told():
    said = refusal("sc://127.0.0.1:1/;Name=x")
    assert "cannot be sent what SPARK_REMOTE says behind its address" in said


@pytest.fixture
def spark_is_there(monkeypatch, tmp_path):
    """As if Spark itself were installed, and not its client alone; no Java is started."""
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    monkeypatch.setattr(pyspark.util, "is_remote_only", lambda: False)


@pytest.mark.usefixtures("spark_is_there")
def test_no_java_is_said(monkeypatch, tmp_path):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    said = refusal("local[2]")
    assert "needs Java, and there is none: install a JDK of version 17" in said
    assert "without SPARK_REMOTE Sail makes the tables" in said


@pytest.mark.usefixtures("spark_is_there")
def test_a_java_home_with_nothing_in_it_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    said = refusal("local[2]")
    assert f"JAVA_HOME is {tmp_path}, but {tmp_path}/bin/java does not run" in said


@pytest.mark.usefixtures("spark_is_there")
def test_a_java_that_fails_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("JAVA_HOME", java_that_says(tmp_path, "no room for the heap", status=1))
    assert "bin/java does not run" in refusal("local[2]")


@pytest.mark.parametrize(
    ("line", "fits"),
    [
        ('openjdk version "17.0.18" 2026-01-20', True),
        ('openjdk version "21" 2023-09-19', True),
        ('openjdk version "11.0.22" 2024-01-16', False),
        ('java version "1.8.0_202"', False),
        ("what a nice day", False),
    ],
)
@pytest.mark.usefixtures("spark_is_there")
def test_the_version_of_java_decides(monkeypatch, tmp_path, line, fits):
    monkeypatch.setenv("JAVA_HOME", java_that_says(tmp_path, "Picked up OPTIONS", line))
    if fits:
        requirements.require_local_spark("local[2]")
        return
    with pytest.raises(EngineError, match=r"needs Java 17 or later, and .*bin/java says"):
        requirements.require_local_spark("local[2]")


@pytest.mark.parametrize("has_spark_elsewhere", [False, True])
def test_a_client_without_spark_is_told_apart(monkeypatch, tmp_path, has_spark_elsewhere):
    monkeypatch.setattr(pyspark, "__file__", str(tmp_path / "__init__.py"))
    monkeypatch.delenv("SPARK_HOME", raising=False)
    if has_spark_elsewhere:
        # The client alone cannot start it.
        monkeypatch.setenv("SPARK_HOME", str(tmp_path))
        monkeypatch.setattr(pyspark.util, "is_remote_only", lambda: True)
    said = refusal("local[2]")
    assert "only its client is installed: pip uninstall pyspark-client; pip install" in said


def test_no_pyspark_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyspark", None)
    said = refusal(None)
    assert "DIN_ENGINE=spark" in said
    assert "pip install 'din-assets[spark]'" in said


def test_a_pyspark_that_is_not_whole_is_said(monkeypatch):
    # As without grpcio: pyspark's own sentence is kept.
    monkeypatch.setitem(sys.modules, "pyspark.sql.connect.session", None)
    monkeypatch.delattr(connect, "session", raising=False)
    assert "not there or not whole" in refusal(f"sc://127.0.0.1:{free_port()}")


@pytest.mark.parametrize("version", ["3.5.8", "4.0.1", "4.2.0", "4.3.0.dev1"])
def test_a_pyspark_that_the_engines_do_not_understand_is_refused(monkeypatch, version):
    monkeypatch.setattr(pyspark, "__version__", version)
    said = refusal(None)
    assert f"pyspark {version} is installed" in said
    assert "pip install 'pyspark-client>=4.1,<4.2'" in said


def test_no_sail_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "pysail.spark", None)
    said = refusal(None)
    assert "Sail is not installed; install the extra" in said
    assert "SPARK_REMOTE" in said


@pytest.mark.usefixtures("asked_soon")
def test_nobody_at_the_address_is_told():
    port = free_port()
    said = refusal(f"sc://127.0.0.1:{port}/;token=secret")
    assert said.startswith(f"the engine at sc://127.0.0.1:{port}/;token=… does not answer; see")
    assert "Connection refused" in said


@pytest.mark.usefixtures("asked_soon")
def test_a_session_that_failed_is_not_asked_by_the_next_one():
    refusal(f"sc://127.0.0.1:{free_port()}")
    with sessions.session() as spark:
        assert spark.range(3).select("id").count() == 3
    assert SparkSession.getActiveSession() is None


class Settings(dict):
    """A session of a Spark that keeps what it is told, and asks nobody."""

    _default_session = None
    _active_session = None

    def __init__(self):
        self.conf = self.client = self

    def set(self, name, value):
        self[name] = value

    def set_retry_policies(self, policies):
        pass

    def sql(self, query):
        assert query == "select version()"
        return self

    def collect(self):
        return [("4.1.0 0123abc",)]

    def registerProgressHandler(self, handler):  # noqa: N802 (the client calls it so)
        pass

    def release_session(self):
        pass

    def stop(self):
        pass


def test_a_cluster_counts_in_utc_and_tells_of_an_overflow_whatever_its_own_settings(monkeypatch):
    monkeypatch.setattr(sessions, "_connected", lambda channel: Settings())
    with sessions.session("sc://127.0.0.1:1") as spark:
        assert spark == {"spark.sql.ansi.enabled": "true", "spark.sql.session.timeZone": "UTC"}


def test_a_silent_engine_is_waited_for_half_a_minute_and_not_for_ten():
    with sessions.session() as spark:
        (policy,) = spark.client.get_retry_policies()
    attempts = policy.to_state()
    waits = [attempts.next_attempt() for _ in range(6)]
    # Milliseconds, each with some chance added; then it is given up.
    assert [round(each / 1000) for each in waits[:5]] == [1, 2, 4, 8, 15]
    assert waits[5] is None


@pytest.mark.usefixtures("asked_soon")
def test_another_kind_of_server_is_told():
    class Silent(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Silent) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        said = refusal(f"sc://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert "does not answer" in said


def test_an_engine_that_dies_under_way_ends_the_run_with_a_sentence(monkeypatch):
    monkeypatch.setattr(sessions, "_PATIENCE", {**PATIENCE["_PATIENCE"], "max_retries": 1})
    with (  # noqa: PT012
        sail() as (server, address),
        pytest.raises(EngineError) as gone,
        sessions.session(address) as spark,
    ):
        assert spark.sql("select 1 as a").collect()[0].a == 1
        kill(server)
        spark.sql("select 1 as a").collect()
    assert f"the engine at {address} does not answer" in str(gone.value)
    assert "run again: the tables that were complete stay" in str(gone.value)


@pytest.mark.usefixtures("asked_soon")
def test_what_the_client_asks_in_the_background_is_not_waited_for_where_the_engine_died(
    monkeypatch,
):
    closed, ended = threading.Event(), []
    with (  # noqa: PT012
        sail() as (server, address),
        pytest.raises(EngineError),
        sessions.session(address) as spark,
    ):
        channel = spark.client._channel
        close = channel.close
        monkeypatch.setattr(channel, "close", lambda: (closed.set(), close()))
        pool = reattach.ExecutePlanResponseReattachableIterator._get_or_create_release_thread_pool()
        pool.submit(lambda: ended.append(closed.wait(20)))  # as it asks again until it is closed
        kill(server)
        spark.sql("select 1").collect()
    assert ended == [True]


def test_sail_at_an_address_is_told_what_sail_in_this_process_is():
    with sail() as (_, address), sessions.session(address) as there:
        settings = dict(there.conf.getAll)
    with sessions.session() as here:
        assert dict(here.conf.getAll) == settings
    # Its guard of a division says of divisors that are none that they are zero.
    assert settings["spark.sql.ansi.enabled"] == "false"


def test_no_part_of_an_answer_is_acknowledged_within_this_process(monkeypatch):
    acknowledged = []
    answers = reattach.ExecutePlanResponseReattachableIterator
    release = answers._release_all

    def released(self):
        acknowledged.append(self)
        release(self)

    monkeypatch.setattr(answers, "_release_all", released)
    with sessions.session() as spark:
        assert spark.sql("select 1 as a").collect()[0].a == 1
        assert not acknowledged
        spark.client.enable_reattachable_execute()  # as at an address
        assert spark.sql("select 1 as a").collect()[0].a == 1
        assert acknowledged


def test_a_token_that_is_for_a_cluster_does_not_keep_sail_out(monkeypatch):
    monkeypatch.setenv("SPARK_CONNECT_AUTHENTICATE_TOKEN", "for a cluster")
    with sessions.session() as spark:
        assert spark.sql("select 1 as a").collect()[0].a == 1


def test_faults_of_this_program_are_not_explained_away():
    with sessions.session() as spark:
        with pytest.raises(Exception, match="nothing_of_that_name") as error:
            spark.sql("select nothing_of_that_name").collect()
        assert not isinstance(error.value, EngineError)
    with pytest.raises(ZeroDivisionError), sessions.session():
        raise ZeroDivisionError("StatusCode.UNAVAILABLE")
