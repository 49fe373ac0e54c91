"""A Sail that runs elsewhere makes what Sail in this process makes."""

from din_core import store
from din_core.config import SequenceConfig
from din_core.engines import sessions
from din_core.engines.spark import SparkEngine
from din_core.tables import sequences
from tests.core.other_processes import sail
from tests.engines import logs, tables


def test_a_division_by_what_is_not_zero_is_none_by_zero(root, ours, theirs, monkeypatch):
    # That of an Apache Spark of this machine, where one is asked beside it: it is for that one.
    monkeypatch.delenv("SPARK_CONNECT_AUTHENTICATE_TOKEN", raising=False)
    # In ANSI mode Sail took `//` and `%` of this sampler's pieces for divisions by zero.
    log = logs.tiny()
    config = SequenceConfig(negative_sampling="popularity", negatives_per_positive=3)
    for con in (ours, theirs):
        logs.create_interactions(con, log)
        # Those that the sampler draws from are DuckDB's, which writes them out for the engine.
        sequences.build(con, logs.source_of(log), config)
    theirs.execute("drop table negatives cascade")
    with sail() as (_, address), sessions.session(address) as spark:
        engine = SparkEngine(spark, root)
        with engine.transaction(), store.transaction(theirs):
            sequences.build_table(theirs, "negatives", logs.source_of(log), config, engine)
    tables.assert_equal(theirs, ours, "negatives")
