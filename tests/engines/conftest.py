"""The engine that is asked beside DuckDB: Sail, or what ``--engine`` names."""

import pytest

from din_core.engines import sessions
from din_core.engines.parquet_tables import ParquetRoot
from din_core.engines.spark import SparkEngine
from tests.conftest import empty_database

#: Names of engines for ``--engine``; anything else is a Spark Connect address.
REMOTES = {"sail": None, "spark": "local[2]"}


def _scope(fixture_name, config):
    # Apache Spark takes a minute to start, and a process can start it once.
    return "module" if config.getoption("--engine") == "sail" else "session"


@pytest.fixture(scope=_scope)
def spark(request):
    engine = request.config.getoption("--engine")
    with sessions.session(REMOTES.get(engine, engine)) as session:
        session.conf.set("spark.sql.shuffle.partitions", "2")
        yield session


@pytest.fixture
def root(tmp_path):
    return ParquetRoot(str(tmp_path), buckets=2)


@pytest.fixture
def engine(spark, root):
    return SparkEngine(spark, root)


@pytest.fixture
def ours(duckdb_instance):
    with empty_database(duckdb_instance, "ours") as connection:
        yield connection


@pytest.fixture
def theirs(duckdb_instance):
    with empty_database(duckdb_instance, "theirs") as connection:
        yield connection
