"""A step of small tables has one thread of DuckDB; the step that reads the log has them all."""

from din_assets.assets import sequences
from din_core import sources
from din_core.machine import limits
from tests.assets.small_pipeline import up_to, write_rows


def test_only_the_log_may_be_larger_than_the_tables_say(pipeline, tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "cores", lambda: 3)
    found = []

    def noting(module, name):
        function = getattr(module, name)

        def noted(con, *arguments, **options):
            threads = con.execute("select current_setting('threads')").fetchone()[0]
            found.append((name, threads))
            return function(con, *arguments, **options)

        monkeypatch.setattr(module, name, noted)

    noting(sources, "ingest")
    noting(sequences, "build_table")
    log = write_rows(tmp_path / "log.csv", *(f"{i % 3},{i % 5},{i},1" for i in range(30)))
    pipeline.config["ops"]["interactions"]["config"] = {"path": str(log)}
    for _ in range(2):  # the second time there are tables
        assert pipeline.run(*up_to("user_sequences")).success
    threads_of = {name: {threads for each, threads in found if each == name} for name, _ in found}
    assert threads_of == {"ingest": {3}, "build_table": {1}}
