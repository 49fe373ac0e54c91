"""Tables below a root: one version holds, files of others stay, what is wrong is a sentence."""

import dataclasses
import json
import os
import re
import shutil
from pathlib import Path

import duckdb
import pytest

from din_core import store
from din_core.engines import parquet_views, reading
from din_core.engines.errors import EngineError
from din_core.engines.parquet_tables import MANIFEST, Manifest, ParquetRoot
from din_core.errors import DinError
from tests.conftest import empty_database


@pytest.fixture
def root(tmp_path):
    return ParquetRoot(str(tmp_path / "tables"), buckets=2)


@pytest.fixture(scope="module")
def written(duckdb_instance, tmp_path_factory):
    """Six events of users 1 ... 3 in two buckets, and two views, one over the other."""
    root = ParquetRoot(str(tmp_path_factory.mktemp("written")), buckets=2)
    with empty_database(duckdb_instance, "written") as con:
        con.execute("create table events as select 1 + range % 3 as user_idx, range as position "
                    "from range(6)")  # fmt: skip
        con.execute("create table items as select 7 as item_idx")
        made = {
            name: parquet_views.write_out(con, root, name, buckets=2)
            for name in ("events", "items")
        }
    views = {
        "a_count": "select count(*) as n from last",
        "last": "select user_idx from events where position >= 3",
    }
    root.replace_manifest(Manifest(2, made, views))
    return root, made


@pytest.fixture
def tables(root, written):
    """The tables and views that were written, below a root that is the test's own."""
    shutil.copytree(written[0].url, root.url, dirs_exist_ok=True)
    return written[1]


def failure(root):
    with pytest.raises(EngineError) as failed, reading.open_tables(root):
        pass
    return str(failed.value)


def test_tables_and_views_are_read_from_the_manifest_alone(root, tables):
    with reading.open_tables(root.url) as con:
        assert con.execute("from events order by position").fetchall() == [
            (1, 0), (2, 1), (3, 2), (1, 3), (2, 4), (3, 5),
        ]  # fmt: skip
        assert con.execute("from a_count").fetchall() == [(3,)]
        assert con.execute("from items").fetchall() == [(7,)]
        assert list(store.column_types(con, "events")) == ["user_idx", "position"]
    assert tables["events"].bucketed
    assert {path.split("/")[-2] for path in root.files(tables["events"].folder)} == {
        "user_bucket=0",
        "user_bucket=1",
    }


def test_a_root_without_tables_says_how_to_make_them(root):
    assert "there are no tables; make them first (DIN_ENGINE=spark DIN_TABLES=" in failure(root)


def test_tables_that_a_run_changes_meanwhile_are_opened_as_they_are_then(
    con, root, tables, monkeypatch
):
    before, asked = root.manifest(), []
    con.execute("create table events as select 4 as user_idx, 8 as position")
    events = parquet_views.write_out(con, root, "events", buckets=2)

    def changing():
        # What was read first is gone when its files are looked for.
        if not asked:
            root.remove(before.tables["events"].folder)
        asked.append(before if not asked else now)
        return asked[-1]

    now = Manifest(2, {**before.tables, "events": events}, before.views)
    monkeypatch.setattr(root, "manifest", changing)
    with reading.open_tables(root) as con:
        assert con.execute("from last").fetchall() == [(4,)]
    assert asked == [before, now]


def test_a_query_of_a_version_that_a_run_has_removed_says_to_open_again(root, tables):
    with (  # noqa: PT012
        pytest.raises(EngineError, match=r"made 'events' again, .* open the tables again"),
        reading.open_tables(root) as con,
    ):
        made = parquet_views.write_out(con, root, "events", buckets=2)
        root.replace_manifest(Manifest(2, {**tables, "events": made}))
        assert con.execute("select count(*) from events").fetchall() == [(6,)]
        root.sweep(root.manifest().tables)
        con.execute("select count(*) from events")


def test_a_view_that_does_not_go_with_its_tables_is_told(root, tables):
    views = {"last": "select brand from events"}
    root.replace_manifest(Manifest(2, tables, views))
    said = failure(root)
    assert "the view 'last' does not go with the tables there (Binder Error" in said
    assert "open them again when it is done" in said


def test_a_file_that_was_not_written_to_its_end_is_told(root, tables, tmp_path):
    (file, *_) = root.files(tables["events"].folder)
    with open(file, "r+b") as half:  # noqa: PTH123
        half.truncate(100)
    said = failure(root)
    assert f"{root.url}: 'events' cannot be read" in said
    assert file in said
    assert said.endswith("make the tables again (din run --all)")


def test_a_file_that_is_gone_is_told(root, tables):
    (file, *_) = root.files(tables["events"].folder)
    root.filesystem.rm(file)
    assert "'events' has 4 rows there and was written with 6: files of it are gone" in failure(root)


def test_a_file_too_many_is_told(root, tables):
    (file, *_) = root.files(tables["events"].folder)
    root.filesystem.copy(file, file.replace(".parquet", "-again.parquet"))
    said = failure(root)
    assert "'events' has 8 rows there and was written with 6" in said
    assert "or others lie among them" in said


def test_columns_have_the_types_that_the_manifest_says(root, tables):
    # An engine may write others: Spark numbers rows in 32 bits.
    narrow = {**tables["events"].columns, "position": "SMALLINT"}
    events = dataclasses.replace(tables["events"], columns=dict(reversed(narrow.items())))
    root.replace_manifest(Manifest(2, {"events": events}))
    with reading.open_tables(root) as con:
        assert store.column_types(con, "events") == {"position": "SMALLINT", "user_idx": "BIGINT"}
        assert list(store.column_types(con, "events")) == ["position", "user_idx"]


@pytest.mark.parametrize(
    "left",
    [
        "_temporary/0/_temporary/attempt_1/user_bucket=1/part-7.parquet",
        "user_bucket=1/_temporary/part-7.parquet",
        "user_bucket=1/.part-7.parquet",
        "_part-7.parquet",
    ],
)
def test_what_a_task_that_failed_left_is_no_part_of_a_table(con, root, tables, tmp_path, left):
    folder = tables["events"].folder
    whole = root.files(folder)
    path = tmp_path / "tables" / folder / left
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(whole[0], path)
    assert root.files(folder) == whole
    assert {*root.files(folder, 0), *root.files(folder, 1)} == {*whole}
    parquet_views.create(con, root, "events", folder)
    with reading.open_tables(root) as opened:
        for each in (opened, con):
            assert each.execute("select count(*) from events").fetchall() == [(6,)]


def test_the_pipelines_view_tells_of_a_file_that_is_gone(root, tables, tmp_path):
    path = tmp_path / "pipeline.duckdb"
    with store.connect(path) as con:
        parquet_views.create(con, root, "events", tables["events"].folder)
        assert parquet_views.folder_of(con, root, "events") == tables["events"].folder
        assert sorted(parquet_views.files_of(con, "events")) == root.files(tables["events"].folder)
        con.execute("create view other as select 1 as a")
        assert parquet_views.folder_of(con, root, "other") is None
    (file, *_) = root.files(tables["events"].folder)
    root.filesystem.rm(file)
    with pytest.raises(store.StoreError) as lost, store.connect(path, read_only=True) as con:
        con.execute("select count(*) from events")
    assert file in str(lost.value)
    assert "a file of the table 'events' is gone, damaged or another one's (IO Error" in str(
        lost.value
    )
    assert "make the tables again (din run --all)" in str(lost.value)


def flipped(file, _):
    """Wrong bytes in the middle: the end, which says what lies where, is whole."""
    content = bytearray(Path(file).read_bytes())
    end = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    for place in range(4, end, 7):
        content[place] ^= 0x5A
    Path(file).write_bytes(content)


def another_tables(file, others):
    shutil.copy(others["users"], file)


def one_of_other_types(file, others):
    shutil.copy(others["words"], file)


# Each damage at each place: what a place is called and what lies there do not meet.
@pytest.mark.parametrize(
    ("which", "damage", "place"),
    [
        pytest.param(
            which,
            damage,
            place,
            marks=[pytest.mark.thorough] if place != "tables" and damage is not flipped else [],
        )
        for which in (0, 1)
        for damage in (flipped, another_tables, one_of_other_types)
        for place in ("tables", "it's a place")
    ],
)
def test_file_that_is_whole_at_its_end_and_not_in_its_middle_is_named_by_whoever_reads_it(
    tmp_path, which, damage, place
):
    root = ParquetRoot(str(tmp_path / place), buckets=2)
    path = tmp_path / "pipeline.duckdb"
    with store.connect(path, threads=1) as con:
        con.execute("create temp table events as select 1 + range % 3 as user_idx, range as "
                    "position from range(3000)")  # fmt: skip
        made = parquet_views.write_out(con, root, "events", buckets=2)
        con.execute("create temp table users as select 1 as user_idx, 'u1' as user_id")
        con.execute("create temp table words as select 1 as user_idx, 'first' as position")
        others = {
            name: root.files(parquet_views.write_out(con, root, name, buckets=2).folder)[0]
            for name in ("users", "words")
        }
        parquet_views.create(con, root, "events", made.folder)
    root.replace_manifest(Manifest(2, {"events": made}))
    file = root.files(made.folder)[which]
    damage(file, others)

    said = []
    with pytest.raises(store.StoreError) as read, store.connect(path, threads=1) as con:
        con.execute("select sum(user_idx), sum(position) from events")
    said.append(str(read.value))
    with pytest.raises(store.StoreError) as changed:  # noqa: SIM117
        with store.connect(path, threads=1) as con, store.transaction(con):
            con.execute("create table more as select sum(user_idx), sum(position) from events")
    said.append(str(changed.value))
    with pytest.raises(store.StoreError) as copied:
        store.publish(path, tmp_path / "warehouse.duckdb", threads=1)
    said.append(str(copied.value))
    with pytest.raises(DinError) as opened, reading.open_tables(root, threads=1) as con:
        con.execute("select sum(user_idx), sum(position) from events")
    said.append(str(opened.value))
    for each in said:
        # Rows that are too few are told before types, which may differ.
        assert file in each or (each is said[-1] and "rows there and was written with" in each)
        assert "'events'" in each
        assert "(din run --all)" in each
        assert len(each.splitlines()) == 1


def test_mistake_in_a_query_is_no_damage(root, tables, tmp_path):
    path = tmp_path / "pipeline.duckdb"
    with store.connect(path, threads=1) as con:
        parquet_views.create(con, root, "events", tables["events"].folder)
    for mistake in ("select brand from events", "select 'a'::int from events", "select sum('a')"):
        with (
            pytest.raises(duckdb.Error),
            store.connect(path, read_only=True, threads=1) as con,
        ):
            con.execute(mistake)


@pytest.fixture
def database(con, root, tables):
    """With views over both tables and the views over them, as the manifest names them."""
    for name, table in tables.items():
        parquet_views.create(con, root, name, table.folder)
    con.execute("create view last as select user_idx from events where position >= 3")
    con.execute("create view a_count as select count(*) as n from last")
    return con


def test_a_manifest_follows_the_database_after_a_kill_between_commit_and_swap(root, database):
    behind = root.manifest()
    database.execute("create temp table other as select 9 as user_idx, 1 as position, 5 as more")
    made = parquet_views.write_out(database, root, "other", buckets=2)
    parquet_views.create(database, root, "events", made.folder)
    database.execute("create or replace view last as select more from events")

    now = parquet_views.as_database(database, root, behind, ())

    assert now.tables == {"events": made, "items": behind.tables["items"]}
    root.replace_manifest(now)
    with reading.open_tables(root) as con:
        assert con.execute("from last").fetchall() == [(5,)]
    assert parquet_views.as_database(database, root, now, ()) == now


def test_a_manifest_that_is_lost_is_read_off_the_database(root, tables, database):
    found = parquet_views.as_database(database, root, Manifest(16), ("last", "a_count", "other"))
    assert (found.tables, found.buckets) == (tables, 2)
    root.replace_manifest(found)
    with reading.open_tables(root) as con:
        assert con.execute("from a_count").fetchall() == [(3,)]


def test_a_manifest_keeps_what_the_database_has_otherwise_or_not_at_all(root, tables, database):
    before = root.manifest()
    database.execute("drop view items; drop view events; create table events as select 1 as a")
    assert parquet_views.as_database(database, root, before, ()).tables == tables
    # Of a version without its files nothing is said here.
    gone = parquet_views.write_out(database, root, "events", buckets=2)
    parquet_views.create(database, root, "items", gone.folder)
    root.remove(gone.folder)
    assert parquet_views.as_database(database, root, before, ()).tables == tables


def test_a_file_of_somebody_else_in_a_folder_is_not_a_table(tmp_path):
    source = tmp_path / "log.parquet"
    source.write_bytes(b"PAR1")
    with pytest.raises(duckdb.Error), store.connect(":memory:") as con:
        con.execute(f"from '{source}'")


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"format": 2}, "is of format 2, this program reads 1: make the tables again in another"),
        ({"format": 1, "buckets": 2}, "is damaged: 'tables'; remove it"),
        ("half", "is damaged: Expecting value"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_told(root, tables, tmp_path, document, said):
    text = document if isinstance(document, str) else json.dumps(document)
    (tmp_path / "tables" / "manifest.json").write_text(text)
    assert said in failure(root)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"buckets": "2"}, "'buckets' is '2', no number of folders"),
        ({"buckets": 0}, "'buckets' is 0, no number of folders"),
        ({"buckets": None}, "'buckets' is None, no number of folders"),
        ({"tables": []}, "'tables' does not name each by its name"),
        ({"tables": {"events": 5}}, "'int' object is not subscriptable"),
        ({"views": None}, "'views' does not name each by its name"),
        ({"views": {"last": 7}}, "the view 'last' has no text"),
        ({"views": {"last": ""}}, "the view 'last' has no text"),
    ],
)
def test_a_manifest_of_other_parts_is_damaged(root, tables, tmp_path, changed, said):
    manifest = tmp_path / "tables" / MANIFEST
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **changed}))
    with pytest.raises(EngineError, match=rf"manifest\.json is damaged: {re.escape(said)}; remove"):
        ParquetRoot(root.url).manifest()


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ("columns", ["position"], "the columns of 'events' have no types"),
        ("columns", {"position": 3}, "the columns of 'events' have no types"),
        ("rows", "many", "'rows' of 'events' is 'many'"),
        ("folder", 3, "'folder' of 'events' is 3"),
        ("bucketed", None, "'bucketed' of 'events' is None"),
        ("another", 1, "unexpected keyword argument 'another'"),
    ],
)
def test_a_table_of_other_parts_in_a_manifest_is_damage(root, tables, tmp_path, part, value, said):
    manifest = tmp_path / "tables" / MANIFEST
    document = json.loads(manifest.read_text())
    document["tables"]["events"][part] = value
    manifest.write_text(json.dumps(document))
    with pytest.raises(
        EngineError, match=rf"manifest\.json is damaged: .*{re.escape(said)}; remove"
    ):
        root.manifest()


@pytest.mark.parametrize("select", ["select from where", "select 1; drop table events"])
def test_a_view_in_a_manifest_that_is_no_query_is_told(root, tables, select):
    root.replace_manifest(Manifest(2, tables, {"last": select}))
    assert f"{root.url}/{MANIFEST} is damaged: a view there is no query" in failure(root)


def test_a_root_that_is_no_folder_is_told(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    root = ParquetRoot(str(blocked / "tables"))
    with pytest.raises(EngineError, match=r"cannot be written there .*let DIN_TABLES name another"):
        root.replace_manifest(Manifest(2))
    with pytest.raises(EngineError, match="cannot be written there"):
        root.make(root.new_folder("events"))


def test_a_place_that_nobody_knows_is_told():
    with pytest.raises(EngineError, match=r"nowhere://a: no place for tables .*s3:// with s3fs"):
        ParquetRoot("nowhere://a")


def test_the_sweep_takes_old_versions_and_nothing_of_others(root, tables, tmp_path):
    old = root.new_folder("events")
    root.make(old)
    foreign = tmp_path / "tables" / "photos" / "2024"
    foreign.mkdir(parents=True)
    (foreign / "a.jpg").write_text("mine")

    assert root.sweep(tables) == [old]

    assert (foreign / "a.jpg").exists()
    assert root.manifest().tables == tables
    with reading.open_tables(root) as con:
        assert con.execute("select count(*) from events").fetchall() == [(6,)]


def test_a_killed_writer_leaves_the_version_before(root, tables):
    half = root.new_folder("events")
    root.make(half)
    with root.filesystem.open(f"{root.url}/{half}/part-0.parquet", "wb") as to:
        to.write(b"PAR1 and no end")
    with reading.open_tables(root) as con:
        assert con.execute("select count(*) from events").fetchall() == [(6,)]
    assert root.sweep(root.manifest().tables) == [half]


def test_a_manifest_that_is_half_written_is_nobodys(root, tables, monkeypatch):
    held = root.manifest()

    def half(path, content):
        with path.open("wb") as file:
            file.write(content[:20])
        raise OSError("the disk is full")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(EngineError, match="the disk is full"):
        root.replace_manifest(Manifest(2))
    assert ParquetRoot(root.url).manifest() == held


@pytest.mark.parametrize("name", ["a[1]", "a*b", "a?b", "{x,y}"])
def test_place_that_engines_take_for_a_pattern_is_refused(tmp_path, name):
    with pytest.raises(EngineError, match=r"engines take .* in a path for a pattern; let DIN_TAB"):
        ParquetRoot(str(tmp_path / name))


@pytest.mark.parametrize("name", ["it's", 'q"q', "a b", "50%", "%20", "a#1", "é", " a", "a=b"])
def test_place_may_have_any_other_name(con, tmp_path, name):
    root = ParquetRoot(str(tmp_path / name), buckets=2)
    con.execute("create table users as select range as user_idx from range(5)")
    table = parquet_views.write_out(con, root, "users", buckets=2)
    root.replace_manifest(Manifest(2, {"users": table}))
    with reading.open_tables(root.url) as con:
        assert store.row_count(con, "users") == 5


def test_a_version_is_on_the_disk_before_anything_names_it(con, root, tmp_path, monkeypatch):
    flushed, flush = set(), os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: flush(file) or flushed.add(os.fstat(file).st_ino))
    con.execute("create table users as select range as user_idx from range(5)")
    table = parquet_views.write_out(con, root, "users", buckets=2)
    there = tmp_path / "tables"
    version = there / table.folder
    wanted = [there, version.parent, version, *version.rglob("*")]
    assert len(wanted) > 6
    assert {path.stat().st_ino for path in wanted} <= flushed
    flushed.clear()
    root.replace_manifest(Manifest(2, {"users": table}))
    assert {path.stat().st_ino for path in (there, there / MANIFEST)} <= flushed


def test_tables_of_another_owner_are_refused_and_read(root, tables):
    ParquetRoot(root.url, owner="a").replace_manifest(Manifest(2, tables))
    with pytest.raises(EngineError, match=r"made for another folder of results .* give them up"):
        ParquetRoot(root.url, owner="b").manifest()
    assert ParquetRoot(root.url, owner="a").manifest().tables == tables
    assert root.manifest().tables == tables


def test_users_stay_in_as_many_folders_as_they_were_spread_over(root, tables):
    assert ParquetRoot(root.url).manifest().buckets == 2
    with pytest.raises(EngineError, match=r"lie in 2 folders by user, and buckets is 3; leave it"):
        ParquetRoot(root.url, buckets=3).manifest()
    assert ParquetRoot(f"{root.url}/other").manifest().buckets == 16
    assert ParquetRoot(f"{root.url}/other", buckets=3).manifest().buckets == 3
