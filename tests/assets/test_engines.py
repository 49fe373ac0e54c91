"""Which engine makes the tables: what is set counts, or it is said that it does not."""

import contextlib

import pytest

from din_assets.runs import engines
from din_assets.runs.resources import StoreResource
from din_core.engines.engine import DUCKDB
from din_core.engines.errors import EngineError


@pytest.fixture(autouse=True)
def settings(monkeypatch):
    for name in ("DIN_ENGINE", "SPARK_REMOTE", "DIN_TABLES"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize("named", ["sparc", "Spark", "duckdb "])
def test_an_engine_that_there_is_not_is_refused(settings, named):
    settings.setenv("DIN_ENGINE", named)
    with pytest.raises(EngineError, match=f"DIN_ENGINE is '{named}', must be 'duckdb' or 'spark'"):
        StoreResource()


def test_settings_are_read_where_they_are_made(settings, tmp_path):
    unset = StoreResource(home=str(tmp_path))
    assert (unset.engine_name, unset.spark_remote) == ("duckdb", None)
    assert unset.tables_root == str(tmp_path / "tables")
    settings.setenv("DIN_ENGINE", "spark")
    settings.setenv("SPARK_REMOTE", "sc://host:15002")
    settings.setenv("DIN_TABLES", "s3://bucket/log")
    made = StoreResource(home=str(tmp_path))
    assert (made.engine_name, made.spark_remote) == ("spark", "sc://host:15002")
    assert made.tables_root == "s3://bucket/log"


def test_a_cluster_that_is_named_and_not_used_is_told(pipeline, settings, capfd):
    settings.setenv("SPARK_REMOTE", "sc://host:15002/;token=secret")
    pipeline.config["loggers"] = {"console": {"config": {"log_level": "WARNING"}}}
    assert pipeline.run("interactions", "rejected_rows", "source_files").success
    said = capfd.readouterr().err
    assert "SPARK_REMOTE is sc://host:15002/;token=…, and no table is made there: DuckDB" in said
    assert "secret" not in said
    assert "DIN_TABLES" not in said


def test_what_an_engine_warns_of_is_told_by_the_run(pipeline, settings, capfd):
    @contextlib.contextmanager
    def standing_still(*_, warn):
        warn("nobody has worked on it")
        yield DUCKDB

    settings.setattr(engines, "opened", standing_still)
    pipeline.config["loggers"] = {"console": {"config": {"log_level": "WARNING"}}}
    assert pipeline.run("interactions", "rejected_rows", "source_files").success
    assert "interactions: nobody has worked on it" in capfd.readouterr().err


def test_what_counts_is_not_warned_of():
    assert engines.without_effect("spark", "sc://host:15002", "s3://bucket/log") == []
    assert engines.without_effect("duckdb", None, None) == []
    assert len(engines.without_effect("duckdb", "local[2]", "s3://bucket/log", 64)) == 3
