"""Openings of a run share an instance of DuckDB; each file is opened and let go as without."""

import os
import signal
import time

import duckdb
import pytest

from din_core import store
from din_core.store.kept_instance import kept_instance
from tests.core.other_processes import holding, kill, run_python


@pytest.fixture(autouse=True)
def _kept():
    with kept_instance():
        yield


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "p.duckdb"
    with store.connect(file) as con:
        con.execute("create table t as select 1 as a")
    return file


@pytest.fixture
def instances(monkeypatch):
    made, connect = [], duckdb.connect

    def counted(*arguments, **options):
        made.append(arguments)
        return connect(*arguments, **options)

    monkeypatch.setattr(duckdb, "connect", counted)
    return made


def rows(path, table="t"):
    with store.connect(path, read_only=True) as con:
        return con.execute(f"from {table}").fetchall()


def test_openings_make_no_instance_of_their_own(path, instances):
    for i in range(3):
        with store.connect(path) as con, store.transaction(con):
            con.execute(f"insert into t values ({i})")
        assert len(rows(path)) == i + 2
    assert instances == []


def test_files_that_are_opened_in_turn_share_the_instance(path, tmp_path, instances):
    """As a refresh looks at the pipeline's database and at the published file."""
    other = tmp_path / "other.duckdb"
    with store.connect(other) as con:
        con.execute("create table o as select 7 as a")
    for _ in range(2):
        assert rows(path) == [(1,)]
        assert rows(other, "o") == [(7,)]
    assert instances == []


def test_the_file_is_whole_and_free_between_two_openings(path):
    with store.connect(path) as con:
        con.execute("insert into t values (2)")
        assert path.with_name("p.duckdb.wal").exists()
    assert not path.with_name("p.duckdb.wal").exists()
    reader = "import duckdb, sys; print(duckdb.connect(sys.argv[1]).sql('from t').fetchall())"
    other = run_python(reader, path)
    try:
        assert other.wait(60) == 0
    finally:
        kill(other)


def test_another_process_that_holds_the_file_is_named(path):
    with (
        holding(path) as holder,
        pytest.raises(store.StoreError, match=rf"process {holder.pid} \(.*close it"),
    ):
        rows(path)
    assert rows(path) == [(1,)]


def test_nothing_of_a_failed_transaction_is_there_afterwards(path, instances):
    def fail():
        with store.connect(path) as con:
            con.execute("begin transaction")
            con.execute("insert into t values (2)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert rows(path) == [(1,)]
    # What failed may have left the instance in any state.
    assert len(instances) == 1


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_opens_files_on_an_instance_of_its_own(path, instances):
    """Of the other one it has no threads: it would wait for them, and for whoever had the lock."""
    assert rows(path) == [(1,)]  # by the instance that is kept
    child = os.fork()
    if not child:
        try:
            os._exit(0 if rows(path) == [(1,)] and len(instances) == 1 else 1)
        finally:
            os._exit(2)
    until = time.monotonic() + 60
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < until:
        time.sleep(0.02)
    if ended == (0, 0):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert ended == (child, 0)


def test_names_are_those_of_the_file(path):
    with store.connect(path) as con:
        asked = "select current_database(), current_schema()"
        assert con.execute(asked).fetchall() == [("p", "main")]
        con.execute("create view v as select a + 1 as b from t")
    with duckdb.connect(str(path), read_only=True) as con:
        assert con.sql("from v").fetchall() == [(2,)]


def test_a_file_is_opened_beside_another_and_again_for_the_same(path, tmp_path):
    other = tmp_path / "other.duckdb"
    with store.connect(path) as con:
        with store.connect(other) as beside:
            beside.execute("create table o as select 7 as a")
            assert store.relations(con) == {"t": "table"}
        with store.connect(path) as again:
            again.execute("insert into t values (2)")
        assert con.execute("select count(*) from t").fetchall() == [(2,)]
    assert rows(other, "o") == [(7,)]


def test_a_file_open_for_reading_is_not_opened_for_writing(path):
    with (
        store.connect(path, read_only=True) as con,
        pytest.raises(store.StoreError, match="open already, once for reading and once for"),
        store.connect(path),
    ):
        con.execute("select 1")


def test_a_reader_writes_nothing(path):
    with (
        store.connect(path, read_only=True) as con,
        pytest.raises(duckdb.InvalidInputException, match="read-only"),
    ):
        con.execute("insert into t values (2)")


def test_a_file_that_is_called_as_a_catalog_of_duckdb_is_opened(tmp_path):
    for name in ("memory", "temp", "my log"):
        with store.connect(tmp_path / f"{name}.duckdb") as con:
            con.execute("create table t as select 5 as a")
        assert rows(tmp_path / f"{name}.duckdb") == [(5,)]


def test_what_does_not_fit_into_memory_goes_to_the_folder_of_each_opening(path, tmp_path):
    for folder in (tmp_path / "first", tmp_path / "first", tmp_path / "second"):
        with store.connect(path, memory_limit="60MB", threads=1, temp_directory=folder) as con:
            con.execute("create or replace temp table big as select hash(i) as h "
                        "from range(12000000) as r (i)")  # fmt: skip
            assert any(folder.iterdir())


def test_limits_are_those_of_each_opening(path):
    for threads in (1, 2, 1):
        with store.connect(path, threads=threads, memory_limit=f"{threads}00MB") as con:
            limits = store.limits_of(con)
            assert limits["threads"] == threads
            assert limits["temp_directory"] == f"{path}.tmp"


def test_damage_is_told_and_a_new_file_is_opened_after_it(path, tmp_path):
    whole = path.read_bytes()
    path.write_bytes(b"user_id,item_id\n" * 1000)
    with pytest.raises(store.StoreError, match=r"not a DuckDB database .* move p\.duckdb away"):
        rows(path)
    path.write_bytes(whole)
    assert rows(path) == [(1,)]
