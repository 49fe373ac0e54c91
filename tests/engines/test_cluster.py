"""A cluster of several processes, one of which dies: what a run gets, and what it is told."""

import os
import signal
from pathlib import Path

import pytest

from din_core import store
from din_core.config import SequenceConfig
from din_core.engines import sessions, standstill
from din_core.engines.errors import EngineError
from din_core.engines.spark import SparkEngine
from din_core.tables import sequences
from tests.engines import logs, standalone_cluster, tables

pytestmark = pytest.mark.spark

# Four Javas, cold, and an executor that begins twice: more tables would take minutes.
TABLES = ("known_ids", "attributes")


@pytest.fixture
def cluster(tmp_path_factory, monkeypatch):
    # Of the Apache Spark that other tests ask in this process.
    monkeypatch.delenv("SPARK_CONNECT_AUTHENTICATE_TOKEN", raising=False)
    with standalone_cluster.running(tmp_path_factory.mktemp("cluster")) as running:
        yield running


class Killing:
    """Hears of the work as it goes on, and kills an executor that is at it, once."""

    def __init__(self, cluster):
        self._cluster, self.killed = cluster, None

    def __call__(self, stages, inflight_tasks, operation_id, done):
        if self.killed is None and inflight_tasks:
            self.killed = self._cluster.executors()[0]
            os.kill(self.killed, signal.SIGKILL)


def test_tables_are_those_of_one_machine_though_nobody_works_at_first_and_an_executor_dies(
    cluster, root, ours, theirs, monkeypatch
):
    monkeypatch.setattr(standstill, "_PATIENCE_SECONDS", 1)
    log = logs.disagreeing()
    source, config = logs.source_of(log), SequenceConfig()
    for con in (ours, theirs):
        logs.create_interactions(con, log)
    sequences.build(ours, source, config)
    said = []

    def told(sentence):
        if not said:
            cluster.add_worker()
        said.append(sentence)

    with sessions.session(cluster.address, warn=told) as spark:
        # To ask which version it is takes a worker, too.
        assert f"what the engine at {cluster.address} was asked" in said[0]
        monkeypatch.setattr(standstill, "_PATIENCE_SECONDS", 600)
        spark.registerProgressHandler(killing := Killing(cluster))
        engine = SparkEngine(spark, root)
        for name in TABLES:
            with engine.transaction(), store.transaction(theirs):
                sequences.build_table(theirs, name, source, config, engine)
            tables.assert_equal(theirs, ours, name)
    assert killing.killed not in cluster.executors()
    assert "Lost executor 0" in cluster.log()


def test_rows_that_a_worker_wrote_to_a_folder_of_its_own_are_missed(
    engine, root, theirs, monkeypatch
):
    flush = root.flush

    def elsewhere(folder):
        # Its files are on its own disk; what Spark itself sees below the root is whole.
        Path(root.files(folder)[0]).unlink()
        flush(folder)

    monkeypatch.setattr(root, "flush", elsewhere)
    rows = engine.spark.range(0, 10, 1, 2).selectExpr("id as user_idx")
    with (
        pytest.raises(EngineError, match=r"wrote 10 rows of 'known_ids' and 5 are there; some of"),
        engine.transaction(),
        store.transaction(theirs),
    ):
        engine.keep(theirs, "known_ids", rows)
    assert store.relations(theirs) == {}
    assert root.manifest().tables == {}
