"""Connections are closed whatever happens; a transaction is all or nothing."""

import errno
import os
import re

import duckdb
import pytest

from din_core import store
from din_core.store import errors
from din_core.tables.attributes import Attribute
from tests.core.other_processes import holding, kill, run_python


@pytest.fixture
def con():
    with store.connect(":memory:") as connection:
        yield connection


def test_the_file_is_free_after_an_exception(tmp_path):
    path = tmp_path / "new" / "folder" / "p.duckdb"

    def create_and_fail():
        with store.connect(path) as con:
            con.execute("create table t as select 1 as a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        create_and_fail()
    with store.connect(path, read_only=True) as con:
        assert con.execute("from t").fetchall() == [(1,)]


def test_settings_are_in_force(tmp_path):
    with store.connect(
        tmp_path / "p.duckdb", memory_limit="64MB", threads=1, temp_directory=tmp_path / "x'y"
    ) as con:
        setting = "select current_setting('{}')"
        assert con.execute(setting.format("threads")).fetchall() == [(1,)]
        assert "61" in con.execute(setting.format("memory_limit")).fetchall()[0][0]
        assert con.execute(setting.format("temp_directory")).fetchall()[0][0].endswith("x'y")


def test_a_missing_file_says_how_to_make_it(tmp_path):
    with (
        pytest.raises(store.StoreError, match="run the pipeline once"),
        store.connect(tmp_path / "w.duckdb", read_only=True),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_another_process_that_holds_the_file_is_named(tmp_path):
    path = tmp_path / "p.duckdb"
    with (
        holding(path) as holder,
        pytest.raises(store.StoreError, match=rf"process {holder.pid} \(.*close it"),
        store.connect(path),
    ):
        pass
    with store.connect(path) as con:
        assert con.execute("select 1").fetchall() == [(1,)]


def test_a_file_that_is_no_database_is_left_alone(tmp_path):
    path = tmp_path / "p.duckdb"
    path.write_text("user_id,item_id\n" * 1000)
    with (
        pytest.raises(store.StoreError, match=r"not a DuckDB database .* move p\.duckdb away"),
        store.connect(path),
    ):
        pass
    assert path.read_text().startswith("user_id")


@pytest.fixture
def database(tmp_path):
    """A file of two tables, its content in blocks of its own, and nothing beside it."""
    path = tmp_path / "p.duckdb"
    with store.connect(path) as con:
        con.execute("create table t as select i, 'text ' || i as s from range(200000) as r (i)")
        con.execute("create table u as select 1 as a")
    assert not path.with_name("p.duckdb.wal").exists()
    return path


def read_everything(path):
    with store.connect(path, read_only=True) as con:
        return con.execute("select sum(i), max(s) from t").fetchall()


@pytest.mark.parametrize("n_places", [15, pytest.param(40, marks=pytest.mark.thorough)])
def test_damage_anywhere_ends_in_a_sentence_or_harms_nothing(database, n_places):
    whole = database.read_bytes()
    expected = read_everything(database)
    told = []
    for position in range(5, len(whole), len(whole) // n_places):
        damaged = bytearray(whole)
        damaged[position] ^= 16
        database.write_bytes(damaged)
        try:
            assert read_everything(database) == expected
        except store.StoreError as error:
            told.append(str(error))
    assert len(told) > n_places / 2
    sentence = re.compile(r"\S+/p\.duckdb: damaged, .*; move p\.duckdb away, .* from the source")
    assert [each for each in told if not sentence.fullmatch(each)] == []


@pytest.mark.parametrize("kept", [0.0, 0.2, 0.6, 0.99])
def test_a_truncated_file_ends_in_a_sentence(database, kept):
    os.truncate(database, int(database.stat().st_size * kept))
    with pytest.raises(store.StoreError, match=r"p\.duckdb: damaged.*run again"):
        read_everything(database)


def test_a_damaged_log_beside_the_file_ends_in_a_sentence(database):
    writer = run_python(
        "import duckdb, os, sys\n"
        "con = duckdb.connect(sys.argv[1])\n"
        "con.execute('insert into u values (2)')\n"
        "print('written', flush=True)\n"
        "os._exit(9)",
        database,
    )
    writer.wait()
    kill(writer)
    log = database.with_name("p.duckdb.wal")
    content = bytearray(log.read_bytes())
    content[-3] ^= 16
    log.write_bytes(content)
    with pytest.raises(store.StoreError, match=r"damaged.*and p\.duckdb\.wal where it"):
        read_everything(database)


@pytest.mark.parametrize("read_only", [True, False])
def test_a_folder_in_the_place_of_the_file_is_named(tmp_path, read_only):
    (tmp_path / "p.duckdb").mkdir()
    with (
        pytest.raises(store.StoreError, match=r"/p.duckdb is a folder, .* move it away"),
        store.connect(tmp_path / "p.duckdb", read_only=read_only),
    ):
        pass


def test_a_torn_file_that_a_query_reads_is_not_the_databases_damage(tmp_path):
    error = duckdb.IOException('IO Error: Could not read enough bytes from file "log.parquet": x')
    assert errors.damage(tmp_path / "p.duckdb", error) is None
    assert errors.damage("log.parquet", error) is not None


def test_an_exception_leaves_the_table_as_it_was(con):
    con.execute("create table t as select 1 as a")

    def replace_and_fail():
        with store.transaction(con):
            con.execute("create or replace table t as select 2 as a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        replace_and_fail()
    assert con.execute("from t").fetchall() == [(1,)]


def test_an_error_of_the_engine_is_the_one_that_is_raised(con):
    with (
        pytest.raises(duckdb.CatalogException, match="nothing_here"),
        store.transaction(con),
    ):
        con.execute("from nothing_here")
    con.execute("create table t as select 1 as a")


def test_changes_are_kept(con):
    with store.transaction(con):
        con.execute("create table t as select 1 as a")
    assert con.execute("from t").fetchall() == [(1,)]


def know(con, *values):
    """What is known of one vocabulary, in the order of its indices."""
    con.execute("create table known_ids (vocabulary varchar, idx integer, value varchar)")
    con.executemany(
        "insert into known_ids values ('cate_id', ?, ?)", list(enumerate(values, start=1))
    )


def test_a_table_carries_its_comments(con):
    know(con, "5", "7")
    options = {"item_attributes": (Attribute("cate_id"),), "user_attributes": ()}
    rows = store.create_table(con, "attributes", **options)
    assert rows == 2
    assert con.execute("from attributes").fetchall() == [("cate_id", 1, "5"), ("cate_id", 2, "7")]
    comments = con.execute(
        "select column_name, comment from duckdb_columns() where table_name = 'attributes'"
    ).fetchall()
    assert comments[1] == (
        "value_idx",
        "Index of the value, 1 ... n within its attribute, as in known_ids; 0 means unknown.",
    )
    assert (
        con.execute("select comment from duckdb_tables() where table_name = 'attributes'")
        .fetchall()[0][0]
        .startswith("Vocabularies of all attributes")
    )


def test_a_view_takes_the_place_of_a_table_of_its_name_and_the_other_way_round(con):
    options = {"item_attributes": (Attribute("cate_id", is_integer=True),), "user_attributes": ()}
    know(con, "7")
    con.execute("create table cates as select 1 as cate_idx")
    con.execute("create view attributes as select 1 as cate_idx")
    store.create_table(con, "attributes", **options)
    store.create_view(con, "cates", **options)
    assert con.execute("from cates").fetchall() == [(1, 7)]
    assert (store.relations(con)["attributes"], store.relations(con)["cates"]) == ("table", "view")


def test_a_rolled_back_table_leaves_neither_rows_nor_comments(con):
    know(con, "7")
    options = {"item_attributes": (Attribute("cate_id"),), "user_attributes": ()}

    def create_and_fail():
        with store.transaction(con):
            store.create_table(con, "attributes", **options)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        create_and_fail()
    assert con.execute("from duckdb_tables() where table_name = 'attributes'").fetchall() == []


def test_disk_that_runs_full_meanwhile_is_explained(tmp_path):
    message = f'IO Error: Could not write file "x.wal": {os.strerror(errno.ENOSPC)}'
    with (
        pytest.raises(store.StoreError, match=r"p\.duckdb: the disk .*DIN_HOME"),
        store.connect(tmp_path / "p.duckdb"),
    ):
        raise duckdb.IOException(message)
    with (
        pytest.raises(duckdb.CatalogException),
        store.connect(tmp_path / "p.duckdb") as con,
    ):
        con.execute("from nothing")


@pytest.mark.parametrize("refusal", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_file_of_another_user_is_told_as_such_and_not_as_a_full_disk(tmp_path, refusal):
    message = f'IO Error: Cannot open file "p.duckdb": {os.strerror(refusal)}'
    with (
        pytest.raises(store.StoreError, match=r"p\.duckdb: may not be .* this user") as told,
        store.connect(tmp_path / "p.duckdb"),
    ):
        raise duckdb.IOException(message)
    assert "make room" not in str(told.value)


def test_memory_limit_that_is_too_small_names_the_option(tmp_path):
    def sort_too_much():
        with store.connect(tmp_path / "p.duckdb", memory_limit="1MB") as con:
            con.execute("set max_temp_directory_size = '0KB'")
            con.execute("create table t as select range as x from range(3000000)")

    with pytest.raises(store.StoreError, match="memory_limit"):
        sort_too_much()


def test_failed_query_is_told_where_something_was_registered(con):
    given = duckdb.sql("select 1 as a").to_arrow_table()

    def register_and_fail():
        with store.transaction(con):
            con.register("given", given)
            try:
                con.execute("select error('what went wrong') from given")
            finally:
                store.unregister(con, "given")

    with pytest.raises(duckdb.Error, match="what went wrong"):
        register_and_fail()
    assert "given" not in store.relations(con)
    with store.transaction(con):
        con.register("given", given)
        assert con.execute("from given").fetchall() == [(1,)]
        store.unregister(con, "given")
    assert "given" not in store.relations(con)


class _Listening:
    """A connection that keeps what it is asked to execute."""

    def __init__(self, con):
        self._con, self.asked = con, []

    def execute(self, query, *values):
        self.asked.append(query)
        return self._con.execute(query, *values)


def _comments(con):
    return con.execute(
        "select comment from duckdb_tables() where table_name = 'users' union all "
        "select comment from duckdb_columns() where table_name = 'users' order by 1"
    ).fetchall()


def test_only_comments_that_differ_are_written_again(con):
    con.execute("create table users (user_idx integer, user_id integer, unheard_of integer)")
    store.describe_all(con)
    written = _comments(con)
    assert len(written) == 4
    assert all(text for (text,) in written)
    again = _Listening(con)
    store.describe_all(again)
    assert not [query for query in again.asked if query.startswith("comment")]
    con.execute("comment on column users.user_id is 'an earlier description'")
    con.execute("comment on table users is null")
    once_more = _Listening(con)
    store.describe_all(once_more)
    assert _comments(con) == written
    told = "".join(query for query in once_more.asked if query.startswith("comment"))
    assert told.count("comment on ") == 2
