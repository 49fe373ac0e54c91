"""A file of small tables is read with one thread; what may be large has all cores."""

import contextlib

import duckdb
import pytest

from din_core import store
from din_core.machine import limits
from din_core.store import publishing, threads
from din_core.store.kept_instance import kept_instance

CORES = 3


@pytest.fixture(autouse=True)
def _three_cores(monkeypatch):
    monkeypatch.setattr(limits, "cores", lambda: CORES)


@pytest.fixture(params=[contextlib.nullcontext, kept_instance], ids=["alone", "kept"])
def path(request, tmp_path):
    """A file, opened by an instance of its own or by the one that a run keeps."""
    with request.param():
        yield tmp_path / "p.duckdb"


def threads_of(path, **given):
    with store.connect(path, **given) as con:
        return con.execute("select current_setting('threads')").fetchone()[0]


def make(path, query):
    with store.connect(path) as con:
        con.execute(query)


def test_a_file_without_tables_says_nothing_of_what_comes(path):
    assert threads_of(path) == CORES


@pytest.mark.parametrize(
    ("n_rows", "expected"), [(0, 1), (threads.FEW_ROWS, 1), (threads.FEW_ROWS + 1, CORES)]
)
def test_the_largest_table_decides(path, n_rows, expected):
    make(path, "create table few as select 1 as a")
    make(path, f"create table many as select range as a from range({n_rows})")
    assert threads_of(path) == expected
    assert threads_of(path, read_only=True) == expected


def test_a_view_over_files_may_have_any_number_of_rows(path, tmp_path):
    file = tmp_path / "t.parquet"
    duckdb.sql("select 1 as a").write_parquet(str(file))
    make(path, "create table few as select 1 as a")
    make(path, "create view of_few as select * from few")
    assert threads_of(path) == 1
    make(path, f"create view of_files as select * from read_parquet(['{file}'])")
    assert threads_of(path) == CORES


def test_what_is_asked_for_is_had_and_only_for_that_opening(path):
    make(path, "create table few as select 1 as a")
    assert [threads_of(path, **given) for given in ({}, {"threads": 2}, {})] == [1, 2, 1]


def test_the_published_copy_is_made_with_as_many(tmp_path, monkeypatch):
    found, copy_into = [], publishing.copy_into

    def noted(con, *arguments):
        found.extend(con.execute("select current_setting('threads')").fetchone())
        return copy_into(con, *arguments)

    monkeypatch.setattr(publishing, "copy_into", noted)
    make(tmp_path / "p.duckdb", "create table few as select 1 as a")
    for given in ({}, {"threads": 2}):
        store.publish(tmp_path / "p.duckdb", tmp_path / "w.duckdb", **given)
    assert found == [1, 2]
