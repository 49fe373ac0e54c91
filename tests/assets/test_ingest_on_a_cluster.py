"""The source read by a cluster (Sail): same keys, checks, versions and metadata as on DuckDB."""

import pytest

from tests.assets.small_pipeline import failure_of, write_rows

TABLES = ("interactions", "rejected_rows", "source_files")
ROWS = ("1,10,100,1", "2,20,200,2", "2,10,300,")
REJECTED = "1,30,-3,1"


def read(pipeline, path, engine="spark", selection=TABLES):
    pipeline.engine = engine
    pipeline.config["ops"]["interactions"]["config"] = {"path": str(path)}
    return pipeline.run(*selection)


def shown(result):
    """Metadata and check results of each asset, without what names the run."""
    return {
        event.asset_key.to_user_string(): {
            name: value
            for name, value in event.event_specific_data.materialization.metadata.items()
            if name not in ("dagster/column_lineage", "modified")
        }
        for event in result.all_events
        if event.is_step_materialization
    }, [
        (each.asset_key.to_user_string(), each.check_name, each.passed)
        for each in result.get_asset_check_evaluations()
    ]


def kinds(pipeline):
    names = ", ".join(f"'{name}'" for name in TABLES)
    found = pipeline.query(
        f"select distinct table_type from information_schema.tables where table_name in ({names})"
    )
    return [kind for (kind,) in found]


def test_the_assets_are_the_same_on_either_engine(pipeline, tmp_path):
    write_rows(tmp_path / "log.csv", *ROWS, REJECTED)
    seen = {}
    for engine, kind in (("duckdb", "BASE TABLE"), ("spark", "VIEW"), ("duckdb", "BASE TABLE")):
        result = read(pipeline, tmp_path / "log.csv", engine)
        assert result.success
        assert kinds(pipeline) == [kind]
        seen[engine] = (pipeline.versions(), *shown(result))
    assert seen["spark"] == seen["duckdb"]
    account = seen["spark"][1]["interactions"]
    assert (account["interactions"].value, account["rejected"].value) == (3, 1)


def test_a_source_that_is_refused_leaves_what_was_read_and_another_log_starts_its_ids_anew(
    pipeline, tmp_path
):
    names = (*TABLES, "known_ids")
    write_rows(tmp_path / "log.csv", *ROWS)
    assert read(pipeline, tmp_path / "log.csv", selection=names).success
    before = pipeline.versions()
    write_rows(tmp_path / "log.csv", "1,10,-3,1")
    result = read(pipeline, tmp_path / "log.csv")
    assert "not one of 1 rows can be used" in failure_of(result)
    assert pipeline.versions() == before
    assert pipeline.query("select user_id from interactions order by line") == [(1,), (2,), (2,)]

    write_rows(tmp_path / "other.csv", "7,70,1,1", "7,60,2,1")
    assert read(pipeline, tmp_path / "other.csv", selection=names).success
    items = "select value, idx from known_ids where vocabulary = 'item' order by idx"
    assert pipeline.query(items) == [("60", 1), ("70", 2)]


@pytest.mark.parametrize("engine", ["duckdb", "spark"])
def test_a_source_at_a_url_is_read(pipeline, objects, engine):
    objects.pipe_file("/landing/a.csv", b"user_id,item_id,time,cate_id\n1,10,100,1\n")
    result = read(pipeline, "memory://landing/*.csv", engine)
    assert result.success
    assert pipeline.query("select file, line, item_id from interactions") == [("a.csv", 2, 10)]
    metadata, _ = shown(result)
    assert metadata["interactions"]["source"].value == "memory://landing/*.csv"
