"""Tables in an object store: the manifest swapped last, read by DuckDB, written by Sail."""

import pytest

from din_core import store
from din_core.engines import parquet_views, reading, sessions
from din_core.engines.errors import EngineError
from din_core.engines.parquet_tables import Manifest, ParquetRoot, ParquetTable
from tests.core.object_stores import BUCKET, object_store

URL = f"s3://{BUCKET}/a/log"


@pytest.fixture(scope="module")
def bucket():
    with pytest.MonkeyPatch.context() as patch, object_store(patch) as filesystem:
        yield filesystem


@pytest.fixture
def root(bucket):
    if bucket.exists(f"{BUCKET}/a"):
        bucket.rm(f"{BUCKET}/a", recursive=True)
    bucket.invalidate_cache()
    return ParquetRoot(URL, buckets=2)


def written(root, rows):
    """Let a table of some events hold, written by DuckDB through the filesystem."""
    with store.connect(":memory:", filesystem=root.filesystem) as con:
        con.execute(
            f"create table events as select 1 + range % 3 as user_idx, range as position "
            f"from range({rows})"
        )
        table = parquet_views.write_out(con, root, "events", buckets=2)
    root.replace_manifest(Manifest(2, {"events": table}))
    return table


def test_a_new_version_takes_the_place_of_the_old_one_by_the_manifest(root, bucket):
    assert root.manifest() == Manifest(2)
    old = written(root, 6)
    assert root.url_of(old.folder) == f"{URL}/{old.folder}"
    assert {path.rsplit("/", 2)[1] for path in root.files(old.folder)} == {
        "user_bucket=0",
        "user_bucket=1",
    }
    assert root.files(old.folder, 0) == [each for each in root.files(old.folder) if "=0/" in each]
    new = written(root, 9)

    assert root.manifest().tables == {"events": new}
    assert root.sweep(root.manifest().tables) == [old.folder]
    assert root.files(old.folder) == []
    with reading.open_tables(URL) as con:
        assert con.execute("select count(*), sum(position) from events").fetchall() == [(9, 36)]


def test_what_sail_writes_there_duckdb_reads(root):
    folder = root.new_folder("events")
    with sessions.session() as spark:
        rows = spark.sql(
            "select id + 1 as user_idx, id * 2 as position, cast(id % 2 as int) as user_bucket "
            "from range(6)"
        )
        rows.write.mode("append").partitionBy("user_bucket").parquet(root.url_of(folder))
        assert spark.read.parquet(*root.files(folder)).count() == 6
    columns = {"user_idx": "BIGINT", "position": "BIGINT"}
    root.replace_manifest(Manifest(2, {"events": ParquetTable(folder, columns, 6, True)}))
    with reading.open_tables(root) as con:
        assert con.execute("select sum(user_idx), sum(position) from events").fetchall() == [
            (21, 30)
        ]


def test_the_published_file_needs_no_object_store(root, tmp_path):
    table = written(root, 6)
    pipeline, published = tmp_path / "pipeline.duckdb", tmp_path / "warehouse.duckdb"
    with store.connect(pipeline, filesystem=root.filesystem) as con:
        parquet_views.create(con, root, "events", table.folder)
        assert parquet_views.folder_of(con, root, "events") == table.folder

    store.publish(pipeline, published, filesystem=root.filesystem)

    with store.connect(published, read_only=True) as con:
        assert con.execute("select count(*), sum(position) from events").fetchall() == [(6, 15)]

    untold = pytest.raises(store.StoreError, match="let DIN_TABLES name their place")
    with untold, store.connect(pipeline, read_only=True) as con:
        # As on a machine without a network: DuckDB has an own way to object stores.
        con.execute("set autoinstall_known_extensions = false")
        con.execute("select count(*) from events")


def test_an_object_that_is_gone_is_told(root, bucket):
    table = written(root, 6)
    (path, *_) = root.files(table.folder)
    bucket.rm(path)
    with (
        pytest.raises(EngineError, match=r"written with 6: files of it are gone"),
        reading.open_tables(URL),
    ):
        pass


def test_a_bucket_that_there_is_not_is_told_and_not_made(bucket):
    root = ParquetRoot("s3://tabels/log")
    with pytest.raises(EngineError, match=r"s3://tabels/log: the tables cannot be written there"):
        root.replace_manifest(Manifest(2))
    assert not bucket.exists("tabels")


def test_a_store_that_does_not_answer_is_told(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    root = ParquetRoot(URL)
    other = type(root.filesystem)(skip_instance_cache=True)
    monkeypatch.setattr(root, "filesystem", other)
    with pytest.raises(EngineError, match=r"cannot be read there .*AWS_ENDPOINT_URL"):
        root.manifest()
