"""A step of small tables has one thread of DuckDB; the step that reads the log has them all."""

import pytest

from din_assets.assets import sequences
from din_core import sources
from din_core.machine import limits
from tests.assets.small_pipeline import up_to, write_rows


@pytest.fixture
def threads(monkeypatch):
    """The threads of DuckDB at each call of what reads the log, and of what makes sequences."""
    monkeypatch.setattr(limits, "cores", lambda: 3)
    found = {"ingest": set(), "build_table": set()}

    def noting(module, name):
        function = getattr(module, name)

        def noted(con, *arguments, **options):
            found[name].update(con.execute("select current_setting('threads')").fetchone())
            return function(con, *arguments, **options)

        monkeypatch.setattr(module, name, noted)

    noting(sources, "ingest")
    noting(sequences, "build_table")
    return found


@pytest.fixture
def run(pipeline, tmp_path):
    """Make the sequences of a small log, twice: the second time there are tables."""
    log = write_rows(tmp_path / "log.csv", *(f"{i % 3},{i % 5},{i},1" for i in range(30)))
    pipeline.config["ops"]["interactions"]["config"] = {"path": str(log)}

    def twice(**of_store):
        pipeline.config["resources"] = {"store": {"config": of_store}}
        for _ in range(2):
            assert pipeline.run(*up_to("user_sequences")).success

    return twice


def test_only_the_log_may_be_larger_than_the_tables_say(run, threads):
    run()
    assert threads == {"ingest": {3}, "build_table": {1}}


def test_every_step_has_the_threads_that_are_asked_for(run, threads):
    run(threads=2)
    assert threads == {"ingest": {2}, "build_table": {2}}
