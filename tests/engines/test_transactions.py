"""What DuckDB has committed stays, whatever happens to the engine and its root afterwards."""

import os
from pathlib import Path

import pytest

from din_core import store
from din_core.config import SequenceConfig, SourceConfig
from din_core.engines import reading
from din_core.engines.errors import EngineError
from din_core.tables import sequences

SOURCE, CONFIG = SourceConfig(path="", item_attribute_cols=()), SequenceConfig()


@pytest.fixture
def theirs(theirs):
    theirs.execute(
        "create table interactions as select range % 5 as user_id, range % 3 as item_id, "
        "range as time, 'a.csv' as file, range + 2 as line from range(40)"
    )
    return theirs


def make(con, engine, name):
    with store.transaction(con):
        sequences.build_table(con, name, SOURCE, CONFIG, engine)


def fail_after_making(con, engine, name):
    """Make a table, and let the transactions of DuckDB and of the engine end in an error."""
    with (  # noqa: PT012
        pytest.raises(ZeroDivisionError),
        engine.transaction(),
        store.transaction(con),
    ):
        sequences.build_table(con, name, SOURCE, CONFIG, engine)
        raise ZeroDivisionError


def test_a_version_that_the_engine_wrote_is_on_the_disk_when_the_view_names_it(
    engine, root, theirs, monkeypatch
):
    flushed, flush = set(), os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: flush(file) or flushed.add(os.fstat(file).st_ino))
    with engine.transaction():
        make(theirs, engine, "known_ids")
        files = [*Path(root.url).glob("known_ids/*/**/*.parquet")]
        assert files
        assert {file.stat().st_ino for file in files} <= flushed


def test_an_interrupt_after_the_commit_takes_nothing_away(engine, theirs):
    with pytest.raises(KeyboardInterrupt), engine.transaction():  # noqa: PT012
        make(theirs, engine, "known_ids")
        raise KeyboardInterrupt
    assert store.row_count(theirs, "known_ids") == 8


def test_a_root_that_takes_no_manifest_loses_no_table(engine, root, theirs, monkeypatch):
    def refused(_):
        raise EngineError("not reachable")

    with monkeypatch.context() as patch:
        patch.setattr(root, "replace_manifest", refused)
        with pytest.raises(EngineError, match="not reachable"), engine.transaction():
            make(theirs, engine, "known_ids")
    # Another table fails, and takes back what it made itself.
    fail_after_making(theirs, engine, "attributes")
    assert store.row_count(theirs, "known_ids") == 8
    with engine.transaction():
        make(theirs, engine, "attributes")
    with reading.open_tables(root) as con:
        assert store.row_count(con, "known_ids") == 8


def test_a_version_stays_until_the_change_after_the_next(engine, root, theirs):
    """Whoever reads the tables while they are made anew reads on, until they are made once more."""
    seen = []
    for _ in range(3):
        with engine.transaction():
            make(theirs, engine, "known_ids")
        seen.append({path.name for path in Path(root.url).glob("known_ids/*")})
    first, second, third = seen
    assert (len(first), len(second), len(third)) == (1, 2, 2)
    assert first < second
    assert not first & third


def test_a_table_that_was_sent_to_the_engine_for_what_failed_is_sent_again(engine, theirs):
    fail_after_making(theirs, engine, "known_ids")
    with engine.transaction():
        make(theirs, engine, "known_ids")
    assert store.row_count(theirs, "known_ids") == 8


def test_what_is_made_again_is_read_again(engine, spark, theirs):
    with engine.transaction(), store.transaction(theirs):
        for number in (1, 2):
            engine.keep(theirs, "numbers", spark.sql(f"select {number} as n"))
            assert engine.query(theirs, "select n from numbers").rows == [(number,)]


def test_a_view_that_is_made_again_is_read_again(engine, theirs):
    theirs.execute("alter table interactions add column cate_id text")
    with engine.transaction(), store.transaction(theirs):
        for columns in ((), ("cate_id",)):
            source = SourceConfig(path="", item_attribute_cols=columns)
            context = sequences.template_context(theirs, source, CONFIG).variables()
            engine.create_view(theirs, "column_roles", **context)
            found = engine.query(theirs, "select name from column_roles").rows
            assert [name for (name,) in found] == [*columns]


def test_a_view_of_a_table_that_is_made_again_is_read_again(engine, spark, theirs):
    theirs.execute("alter table interactions add column cate_id text")
    source = SourceConfig(path="", item_attribute_cols=("cate_id",))
    context = sequences.template_context(theirs, source, CONFIG).variables()
    with engine.transaction(), store.transaction(theirs):
        for number in (1, 2):
            made = f"select 'cate_id' as attribute, {number} as value_idx, 'a' as value"
            engine.keep(theirs, "attributes", spark.sql(made))
            if number == 1:
                engine.create_view(theirs, "cates", **context)
            assert engine.query(theirs, "select cate_idx from cates").rows == [(number,)]


def test_a_view_of_a_transaction_that_failed_is_read_by_nobody(engine, theirs):
    theirs.execute("alter table interactions add column cate_id text")

    def create_view(*columns):
        source = SourceConfig(path="", item_attribute_cols=columns)
        context = sequences.template_context(theirs, source, CONFIG).variables()
        engine.create_view(theirs, "column_roles", **context)

    with engine.transaction(), store.transaction(theirs):
        create_view()
    with (  # noqa: PT012
        pytest.raises(ZeroDivisionError),
        engine.transaction(),
        store.transaction(theirs),
    ):
        create_view("cate_id")
        raise ZeroDivisionError
    with engine.transaction():
        assert engine.query(theirs, "select name from column_roles").rows == []


def test_what_was_handed_over_goes_with_the_transaction(engine, root, theirs):
    theirs.execute("create temp table handed as select 7 as n")
    with engine.transaction():
        engine.hand_over(theirs, "handed")
        assert engine.query(theirs, "select n from handed").rows == [(7,)]
        assert list(Path(root.url).glob("handed/*"))
    assert not list(Path(root.url).glob("handed/*"))


def test_a_table_takes_the_place_of_a_view_and_a_view_that_of_a_table(engine, root, spark, theirs):
    """The manifest names each relation once, as what it is."""
    theirs.execute("create table attributes as select 'a' as attribute, 1 as value_idx")
    context = sequences.template_context(theirs, SOURCE, CONFIG).variables()
    with engine.transaction(), store.transaction(theirs):
        engine.create_view(theirs, "column_roles", **context)
    assert "column_roles" in root.manifest().views
    with engine.transaction(), store.transaction(theirs):
        theirs.execute("drop view column_roles")
        engine.keep(theirs, "column_roles", spark.sql("select 1 as n"))
    assert "column_roles" not in root.manifest().views
    assert "column_roles" in root.manifest().tables
    with engine.transaction(), store.transaction(theirs):
        engine.create_view(theirs, "column_roles", **context)
    assert "column_roles" in root.manifest().views
    assert "column_roles" not in root.manifest().tables
