"""Connections are closed whatever happens; a transaction is all or nothing."""

import duckdb
import pytest

from din_core import warehouse
from din_core.sequences import Attribute
from tests.core.other_processes import kill, run_python


@pytest.fixture
def con():
    with warehouse.connect(":memory:") as connection:
        yield connection


def test_the_file_is_free_after_an_exception(tmp_path):
    path = tmp_path / "new" / "folder" / "p.duckdb"

    def create_and_fail():
        with warehouse.connect(path) as con:
            con.execute("create table t as select 1 as a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        create_and_fail()
    with warehouse.connect(path, read_only=True) as con:
        assert con.execute("from t").fetchall() == [(1,)]


def test_settings_are_in_force(tmp_path):
    with warehouse.connect(
        tmp_path / "p.duckdb", memory_limit="64MB", threads=1, temp_directory=tmp_path / "x'y"
    ) as con:
        setting = "select current_setting('{}')"
        assert con.execute(setting.format("threads")).fetchall() == [(1,)]
        assert "61" in con.execute(setting.format("memory_limit")).fetchall()[0][0]
        assert con.execute(setting.format("temp_directory")).fetchall()[0][0].endswith("x'y")


def test_a_missing_file_says_how_to_make_it(tmp_path):
    with (
        pytest.raises(warehouse.WarehouseError, match="run the pipeline once"),
        warehouse.connect(tmp_path / "w.duckdb", read_only=True),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_another_process_that_holds_the_file_is_named(tmp_path):
    path = tmp_path / "p.duckdb"
    holder = run_python(
        "import duckdb, sys, time\n"
        "con = duckdb.connect(sys.argv[1])\n"
        "print('open', flush=True)\n"
        "time.sleep(60)",
        path,
    )
    try:
        with (
            pytest.raises(warehouse.WarehouseError, match=rf"process {holder.pid} \(.*close it"),
            warehouse.connect(path),
        ):
            pass
    finally:
        kill(holder)
    with warehouse.connect(path) as con:
        assert con.execute("select 1").fetchall() == [(1,)]


def test_a_file_that_is_no_database_is_left_alone(tmp_path):
    path = tmp_path / "p.duckdb"
    path.write_text("user_id,item_id\n" * 1000)
    with (
        pytest.raises(warehouse.WarehouseError, match="not a DuckDB database"),
        warehouse.connect(path),
    ):
        pass
    assert path.read_text().startswith("user_id")


def test_an_exception_leaves_the_table_as_it_was(con):
    con.execute("create table t as select 1 as a")

    def replace_and_fail():
        with warehouse.transaction(con):
            con.execute("create or replace table t as select 2 as a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        replace_and_fail()
    assert con.execute("from t").fetchall() == [(1,)]


def test_an_error_of_the_engine_is_the_one_that_is_raised(con):
    with (
        pytest.raises(duckdb.CatalogException, match="nothing_here"),
        warehouse.transaction(con),
    ):
        con.execute("from nothing_here")
    con.execute("create table t as select 1 as a")


def test_changes_are_kept(con):
    with warehouse.transaction(con):
        con.execute("create table t as select 1 as a")
    assert con.execute("from t").fetchall() == [(1,)]


def test_a_table_carries_its_comments(con):
    con.execute("create table interactions as select 7 as cate_id union all select 5")
    rows = warehouse.create_table(con, "cates", item_attributes=(Attribute("cate_id"),))
    assert rows == 2
    assert con.execute("from cates").fetchall() == [(1, 5), (2, 7)]
    comments = con.execute(
        "select column_name, comment from duckdb_columns() where table_name = 'cates'"
    ).fetchall()
    assert comments[0] == (
        "cate_idx",
        "Index of the category, 1 ... n in the order of the values; 0 means unknown.",
    )
    assert (
        con.execute("select comment from duckdb_tables() where table_name = 'cates'")
        .fetchall()[0][0]
        .startswith("Vocabulary of the first item attribute")
    )


def test_a_rolled_back_table_leaves_neither_rows_nor_comments(con):
    con.execute("create table interactions as select 7 as cate_id")

    def create_and_fail():
        with warehouse.transaction(con):
            warehouse.create_table(con, "cates", item_attributes=(Attribute("cate_id"),))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        create_and_fail()
    assert con.execute("from duckdb_tables() where table_name = 'cates'").fetchall() == []
