"""The analysts' file is swapped whole, read-only, and survives whatever goes wrong."""

import hashlib
import struct
from pathlib import Path

import pytest

from din_core import store
from din_core.store import publishing
from tests.core.other_processes import holding, kill, run_python


@pytest.fixture
def pipeline(tmp_path):
    path = tmp_path / "pipeline.duckdb"
    with store.connect(path) as con:
        con.execute("create table t as select range as a from range(5)")
        con.execute("comment on column t.a is 'counts'")
        con.execute("create view v as select a + 1 as b from t")
        con.execute("comment on view v is 'shifted'")
    return path


def change(pipeline, rows):
    with store.connect(pipeline) as con:
        con.execute(f"create or replace table t as select range as a from range({rows})")


def rows_in(path):
    with store.connect(path, read_only=True) as con:
        return con.execute("select count(*) from v").fetchall()[0][0]


def test_tables_views_and_comments_arrive_read_only(pipeline, tmp_path):
    target = tmp_path / "published" / "warehouse.duckdb"
    store.publish(pipeline, target)
    assert target.stat().st_mode & 0o777 == 0o444
    with store.connect(target, read_only=True) as con:
        assert con.execute("select max(b) from v").fetchall() == [(5,)]
        comments = "select comment from duckdb_{}() where comment is not null"
        assert con.execute(comments.format("columns")).fetchall() == [("counts",)]
        assert con.execute(comments.format("views")).fetchall() == [("shifted",)]
    assert sorted(path.name for path in target.parent.iterdir()) == [
        "warehouse.duckdb",
        "warehouse.duckdb.sha256",
    ]


def test_a_damaged_source_is_named(pipeline, tmp_path):
    content = bytearray(pipeline.read_bytes())
    for position in range(4096, len(content), 512):
        content[position] ^= 1
    pipeline.write_bytes(content)
    with pytest.raises(store.StoreError, match=r"pipeline\.duckdb: damaged"):
        store.publish(pipeline, tmp_path / "warehouse.duckdb")


def test_every_byte_of_the_published_file_counts(pipeline, tmp_path):
    target = tmp_path / "warehouse.duckdb"
    assert store.damage_of_published(target) == "warehouse.duckdb is gone"
    store.publish(pipeline, target)
    assert store.damage_of_published(target) is None
    listed = (tmp_path / "warehouse.duckdb.sha256").read_text()
    sha256 = hashlib.sha256(target.read_bytes()).hexdigest()
    assert listed == f"{sha256}  warehouse.duckdb\n"
    target.chmod(0o644)
    content = bytearray(target.read_bytes())
    content[-1] ^= 1
    target.write_bytes(content)
    assert store.damage_of_published(target) == "warehouse.duckdb is not what was published"
    store.publish(pipeline, target)
    assert store.damage_of_published(target) is None
    (tmp_path / "warehouse.duckdb.sha256").write_bytes(b"\xff")
    assert store.damage_of_published(target) == "warehouse.duckdb is not what was published"
    (tmp_path / "warehouse.duckdb.sha256").unlink()
    assert store.damage_of_published(target) == "warehouse.duckdb has no checksum beside it"


def test_clients_of_duckdb_1_can_read_the_file(pipeline, tmp_path):
    target = tmp_path / "warehouse.duckdb"
    store.publish(pipeline, target)
    # After a checksum of 8 bytes the head of a file says "DUCK" and its version, which each client
    # compares with the last that it knows: 64 is that of DuckDB 1.0, 67 of 1.4, 999 of 2.0.
    magic, version = struct.unpack("<8x4sQ", target.read_bytes()[:20])
    assert (magic, version) == (b"DUCK", 64)


def test_an_open_reader_keeps_the_old_file_and_a_new_one_sees_the_new(pipeline, tmp_path):
    target = tmp_path / "warehouse.duckdb"
    store.publish(pipeline, target)
    with store.connect(target, read_only=True) as con:
        change(pipeline, rows=9)
        store.publish(pipeline, target)
        assert con.execute("select count(*) from v").fetchall() == [(5,)]
    assert rows_in(target) == 9


def test_the_log_of_an_analyst_who_wrote_and_died_does_no_harm(pipeline, tmp_path):
    target = tmp_path / "warehouse.duckdb"
    store.publish(pipeline, target)
    analyst = run_python(
        "import duckdb, os, sys, time\n"
        "os.chmod(sys.argv[1], 0o644)\n"
        "con = duckdb.connect(sys.argv[1])\n"
        "con.execute('create table mine as select 1 as a')\n"
        "print('written', flush=True)\n"
        "time.sleep(60)",
        target,
    )
    kill(analyst)
    assert Path(f"{target}.wal").exists()
    assert "changes that somebody made" in store.damage_of_published(target)
    change(pipeline, rows=9)
    store.publish(pipeline, target)
    assert not Path(f"{target}.wal").exists()
    assert rows_in(target) == 9


def test_what_a_killed_publication_left_is_cleared_away(pipeline, tmp_path):
    target = tmp_path / "warehouse.duckdb"
    leftover = tmp_path / ".warehouse.duckdb.publishing-abc"
    (leftover / "spill").mkdir(parents=True)
    (leftover / "warehouse.duckdb").write_text("half")
    store.publish(pipeline, target)
    assert not leftover.exists()


def test_a_copy_that_differs_is_not_published(pipeline, tmp_path, monkeypatch):
    target = tmp_path / "warehouse.duckdb"
    store.publish(pipeline, target)
    change(pipeline, rows=9)
    counts = iter([{"t": 9}, {"t": 8}])
    monkeypatch.setattr(publishing, "row_counts", lambda *_: next(counts))
    with pytest.raises(store.StoreError, match="not published"):
        store.publish(pipeline, target)
    monkeypatch.undo()
    assert rows_in(target) == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "pipeline.duckdb",
        "warehouse.duckdb",
        "warehouse.duckdb.sha256",
    ]


def test_a_full_disk_keeps_the_old_file(pipeline, tmp_path, monkeypatch):
    target = tmp_path / "warehouse.duckdb"
    store.publish(pipeline, target)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(publishing, "sync", full)
    with pytest.raises(store.StoreError, match=r"No space left.*make room"):
        store.publish(pipeline, target)
    monkeypatch.undo()
    assert rows_in(target) == 5


def test_a_folder_that_cannot_be_written_is_named(pipeline, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(store.StoreError, match="not replaced"):
        store.publish(pipeline, blocked / "warehouse.duckdb")


@pytest.mark.parametrize("name", ["warehouse.duckdb", "warehouse.duckdb.sha256"])
def test_a_folder_in_the_place_of_a_file_is_named(pipeline, tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(store.StoreError, match=rf"/{name} is a folder, .* move it away"):
        store.publish(pipeline, tmp_path / "warehouse.duckdb")


def test_nothing_to_publish_says_so(tmp_path):
    with pytest.raises(store.StoreError, match="nothing to publish"):
        store.publish(tmp_path / "none.duckdb", tmp_path / "warehouse.duckdb")


def test_a_source_that_is_being_written_is_not_copied(pipeline, tmp_path):
    with (
        holding(pipeline) as writer,
        pytest.raises(store.StoreError, match=f"process {writer.pid}"),
    ):
        store.publish(pipeline, tmp_path / "warehouse.duckdb")
    assert not (tmp_path / "warehouse.duckdb").exists()
