"""One user with most of the events: in linear time up to a limit, and a sentence beyond it."""

import pytest

from din_core import store
from din_core.config import SequenceConfig, SourceConfig
from din_core.engines.errors import EngineError
from din_core.tables import heavy_users, sequences
from tests import contexts
from tests.engines import tables

SOURCE = SourceConfig(path="", item_attribute_cols=())


def create_interactions(con, events_by_user):
    """Users with so many events each, over thirteen items."""
    con.execute(
        "create table interactions as select user_id, range % 13 as item_id, range as time, "
        "'a.csv' as file, range + 2 as line from ("
        f"values {', '.join(map(str, events_by_user.items()))}) as listed (user_id, n), range(n)"
    )


def build_up_to(name, con, engine, config):
    """Make the tables up to one; what comes after it takes twice as long."""
    names = ("known_ids", "attributes", "items", "users", "events", "user_sequences")
    for each in names[: names.index(name) + 1]:
        with engine.transaction(), store.transaction(con):
            sequences.build_table(con, each, SOURCE, config, engine)


def test_a_user_with_more_events_than_a_row_takes_is_named(engine, theirs, monkeypatch):
    monkeypatch.setattr(heavy_users, "MOST_EVENTS", 20)
    create_interactions(theirs, {"reader": 20, "a bot": 21, "other": 3})
    refusal = (
        r"^user 'a bot' has 21 events, and on Spark .* takes 20 with max_history 50 and "
        r"negatives_per_positive 1; leave the user's rows out of the log .*DIN_ENGINE=duckdb"
    )
    with pytest.raises(EngineError, match=refusal):
        tables.build(theirs, engine, SOURCE, SequenceConfig())
    # What came before it is there, and what did not come about is not.
    assert store.row_count(theirs, "events") == 44
    assert "user_sequences" not in store.relations(theirs)


def test_of_several_heaviest_users_the_first_is_named(engine, theirs):
    create_interactions(theirs, {"z": 5, "k": 5, "b": 5, "a": 1, **{f"m{n}": 5 for n in range(9)}})
    build_up_to("events", theirs, engine, SequenceConfig())
    select = engine.render("heaviest_user")
    assert [tuple(row) for row in engine.query(theirs, select).rows] == [("b", 5)]


def test_longer_histories_and_more_negatives_leave_room_for_fewer_events():
    few = contexts.context(max_history=50, negatives_per_positive=1)
    many = contexts.context(max_history=800, negatives_per_positive=9)
    # So many events times the samples that the checks judge are below 2**31.
    assert heavy_users.most_events(few) == 4_294_967
    assert heavy_users.most_events(many) == 214_748
    assert (
        heavy_users.most_events(contexts.context(max_history=1, negatives_per_positive=0)) == 10**7
    )


def test_a_user_with_as_many_as_that_is_not(engine, theirs, monkeypatch):
    monkeypatch.setattr(heavy_users, "MOST_EVENTS", 20)
    create_interactions(theirs, {"reader": 20, "other": 3})
    build_up_to("user_sequences", theirs, engine, SequenceConfig())
    [row] = theirs.execute(
        "select array_length(items) from user_sequences order by 1 desc limit 1"
    ).fetchall()
    assert row == (20,)


def test_duckdb_has_no_such_limit(ours, monkeypatch):
    monkeypatch.setattr(heavy_users, "MOST_EVENTS", 20)
    create_interactions(ours, {"reader": 21})
    assert sequences.build(ours, SOURCE, SequenceConfig())["user_sequences"] == 1


def test_memory_grows_with_the_events_of_a_user_and_not_with_their_square(engine, ours, theirs):
    # Beside each of the user's rows, the list of all of them would take 30 GB.
    events = {"bot": 60_000, "other": 3}
    for con in (ours, theirs):
        create_interactions(con, events)
    config = SequenceConfig(negatives_per_positive=0)
    sequences.build(ours, SOURCE, config)
    build_up_to("user_sequences", theirs, engine, config)
    assert (
        theirs.execute("from user_sequences order by 1").fetchall()
        == ours.execute("from user_sequences order by 1").fetchall()
    )
