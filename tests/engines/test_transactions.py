"""What DuckDB has committed stays, whatever happens to the engine and its root afterwards."""

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
    with (  # noqa: PT012
        pytest.raises(ZeroDivisionError),
        engine.transaction(),
        store.transaction(theirs),
    ):
        sequences.build_table(theirs, "attributes", SOURCE, CONFIG, engine)
        raise ZeroDivisionError
    assert store.row_count(theirs, "known_ids") == 8
    with engine.transaction():
        make(theirs, engine, "attributes")
    with reading.open_tables(root) as con:
        assert store.row_count(con, "known_ids") == 8
