"""A log that grows: ids keep their indices, whatever comes, goes and comes back."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from din_core import store
from din_core.config import SequenceConfig, SourceConfig
from din_core.inputs import training_data
from din_core.inputs.samplers import SAMPLERS
from din_core.serving.bundle import building
from din_core.store import sql_files
from din_core.tables import known_ids, sequences

SOURCE = SourceConfig(path="", item_attribute_cols=("cate_id",), user_attribute_cols=("age",))


@pytest.fixture(scope="module")
def con():
    with store.connect(":memory:", threads=1) as connection:
        yield connection


def create_interactions(con, rows):
    """Write (user, item, cate, age) rows as the next load of a log."""
    kinds = [
        "bigint" if all(isinstance(row[place], (int, type(None))) for row in rows) else "varchar"
        for place in range(4)
    ]
    typed = zip(("user_id", "item_id", "cate_id", "age"), kinds, strict=True)
    columns = ", ".join(f"{name} {kind}" for name, kind in typed)
    con.execute(
        f"create or replace table interactions ({columns}, time bigint, file varchar, line bigint)"
    )
    columns = [list(column) for column in zip(*rows, strict=True)]
    values = ", ".join(f"unnest(?::{kind}[])" for kind in kinds)
    con.execute(
        f"insert into interactions select {values}, unnest(range(?)), 'log', unnest(range(?))",
        [*columns, len(rows), len(rows)],
    )


def read(con, rows, *, source=SOURCE, **config):
    """Read rows as the next load of a log, and build everything."""
    create_interactions(con, rows)
    return sequences.build(con, source, SequenceConfig(**config), grows=True)


NUMBERED = (known_ids.TABLE, "attributes", "users", "items")
WITH_EVENTS = (*NUMBERED, "events")


def build_some(con, rows, *names, source=SOURCE, **config):
    """Read rows as the next load of a log, and build only the tables that are looked at."""
    create_interactions(con, rows)
    for name in names:
        with store.transaction(con):
            sequences.build_table(con, name, source, SequenceConfig(**config))


def indices(con):
    """Index by id, of each vocabulary."""
    queries = {
        "user": "select user_id, user_idx from users",
        "item": "select item_id, item_idx from items",
        "cate_id": "select value, value_idx from attributes where attribute = 'cate_id'",
        "age": "select value, value_idx from attributes where attribute = 'age'",
    }
    return {name: dict(con.execute(query).fetchall()) for name, query in queries.items()}


def new_log(con):
    known_ids.forget(con)


def day(number):
    """Rows of a day: each day brings ids that sort before those of all earlier days."""
    return [
        (f"u{90 - number}", f"i{95 - number}", f"c{60 - number}", f"a{number % 3}"),
        (f"u{90 - number}", "i99", None, f"a{number % 3}"),
        ("u0" if number > 4 else "u91", f"i{95 - number}", f"c{60 - number}", None),
    ]


def test_ten_days_leave_every_earlier_index_as_it_was(con):
    new_log(con)
    log, moved_by_sorting = [], 0
    before = {name: {} for name in ("user", "item", "cate_id", "age")}
    for number in range(10):
        log += day(number)
        build_some(con, log, *NUMBERED)
        now = indices(con)
        for name, known in before.items():
            assert {each: now[name][each] for each in known} == known
            assert sorted(now[name].values()) == list(range(1, len(now[name]) + 1))
            by_order = {each: place for place, each in enumerate(sorted(now[name]), start=1)}
            moved_by_sorting += any(by_order[each] != known[each] for each in known)
        before = now
    # The days would show it: numbered in their order, ids move on each of them.
    assert moved_by_sorting >= 2 * 9


def test_first_load_numbers_in_the_order_of_the_ids(con):
    new_log(con)
    build_some(
        con,
        [(10, "10", 7, "b"), (9, "9", 30, "a"), (-1, "B", None, None), (2, "a", 7, "b")],
        *NUMBERED,
    )
    assert indices(con) == {
        "user": {-1: 1, 2: 2, 9: 3, 10: 4},
        "item": {"10": 1, "9": 2, "B": 3, "a": 4},
        "cate_id": {"7": 1, "30": 2},
        "age": {"a": 1, "b": 2},
    }


VALUES = st.sampled_from([1, 2, 3, 10, 20, 100])
ROWS = st.lists(st.tuples(VALUES, VALUES, VALUES, VALUES), min_size=1, max_size=8)
LOADS = st.lists(st.tuples(ROWS, st.integers(0, 3)), min_size=1, max_size=5)


def expected_after(loads):
    """The slow way: one dictionary a vocabulary, asked id by id."""
    known = {name: {} for name in ("user", "item", "cate_id", "age")}
    for rows, least in loads:
        users = [row[0] for row in rows]
        found = {
            "user": {user for user in users if users.count(user) >= least},
            "item": {row[1] for row in rows},
            "cate_id": {row[2] for row in rows},
            "age": {row[3] for row in rows},
        }
        for name, values in found.items():
            for value in sorted(values):
                if value not in known[name]:
                    known[name][value] = len(known[name]) + 1
    return known


@settings(max_examples=max(6, settings.default.max_examples // 100))
@given(LOADS)
def test_any_loads_give_the_indices_of_a_dictionary_and_replayed_they_give_them_again(con, loads):
    for _ in range(2):
        new_log(con)
        *before, (rows, least) = loads
        for earlier, earlier_least in before:
            build_some(con, earlier, known_ids.TABLE, min_interactions=earlier_least)
        build_some(con, rows, *WITH_EVENTS, min_interactions=least)
        expected = expected_after(loads)
        found = indices(con)
        assert found["user"] == expected["user"]
        assert found["item"] == expected["item"]
        for name in ("cate_id", "age"):
            assert found[name] == {str(value): at for value, at in expected[name].items()}
        # Of users, only those of the last load with enough interactions have events.
        users = [row[0] for row in rows]
        with_events = "select distinct user_id from events join users using (user_idx)"
        assert {user for (user,) in con.execute(with_events).fetchall()} == {
            user for user in users if users.count(user) >= least
        }
        assert con.execute("select count(*) from events").fetchall() == [
            (sum(users.count(user) >= least for user in users),)
        ]


def test_id_that_left_keeps_its_index_until_it_comes_back(con):
    new_log(con)
    build_some(con, [("a", "x", 1, 5), ("b", "y", 2, 6)], *WITH_EVENTS)
    build_some(con, [("c", "z", 3, 7)], *WITH_EVENTS)
    assert con.execute("from users order by user_idx").fetchall() == [
        (1, "a", False, 0),
        (2, "b", False, 0),
        (3, "c", True, 3),
    ]
    assert con.execute("from items order by item_idx").fetchall() == [
        (1, "x", 0),
        (2, "y", 0),
        (3, "z", 3),
    ]
    assert con.execute("select user_idx from events").fetchall() == [(3,)]
    assert con.execute(
        "select load, in_log, count(*) from known_ids group by all order by all"
    ).fetchall() == [(1, False, 8), (2, True, 4)]
    build_some(con, [("b", "x", 1, 5)], *WITH_EVENTS)
    assert con.execute("select user_idx, item_idx, cate_idx from events").fetchall() == [(2, 1, 1)]


def test_user_below_min_interactions_is_left_out_and_keeps_the_index(con):
    new_log(con)
    rows = [("b", "x", 1, 5)] * 3 + [("c", "y", 1, 5)] * 2
    build_some(con, rows, *WITH_EVENTS)
    build_some(con, [*rows, ("a", "x", 1, 5)], *WITH_EVENTS, min_interactions=3)
    assert con.execute("select user_id, user_idx, in_log from users order by 2").fetchall() == [
        ("b", 1, True),
        ("c", 2, False),
    ]
    assert con.execute("select distinct user_idx from events").fetchall() == [(1,)]
    build_some(con, [*rows, ("a", "x", 1, 5)], *WITH_EVENTS)
    assert indices(con)["user"] == {"b": 1, "c": 2, "a": 3}


def test_attribute_that_was_not_read_for_a_load_keeps_its_indices(con):
    new_log(con)
    build_some(con, [(1, 1, 20, "z"), (1, 2, 30, "y")], *WITH_EVENTS)
    build_some(
        con, [(1, 1, 10, "x")], *WITH_EVENTS, source=SourceConfig(path="", item_attribute_cols=())
    )
    assert con.execute("select count(*) from attributes").fetchall() == [(0,)]
    build_some(con, [(1, 1, 10, "a"), (1, 2, 30, "y")], *WITH_EVENTS)
    assert indices(con)["cate_id"] == {"20": 1, "30": 2, "10": 3}
    assert indices(con)["age"] == {"y": 1, "z": 2, "a": 3}


@pytest.mark.parametrize(
    ("before", "now"), [((7, 5), ("7", "u5")), (("7", "u5"), (7, 5))], ids=["to text", "to integer"]
)
def test_ids_of_another_type_start_their_vocabulary_anew_and_no_other(con, caplog, before, now):
    new_log(con)
    read(con, [(before[0], 1, 1, 1), (before[1], 9, 9, 9)])
    caplog.clear()
    read(con, [(now[0], 0, 1, 1), (now[1], 9, 9, 9)])
    assert indices(con)["item"] == {1: 1, 9: 2, 0: 3}
    assert indices(con)["user"] == {each: at for at, each in enumerate(sorted(now), start=1)}
    [said] = [record.getMessage() for record in caplog.records]
    assert "'user' were" in said
    assert "numbered anew" in said


def test_users_of_text_keep_their_indices_where_all_that_are_known_look_like_integers(con, caplog):
    new_log(con)
    # Text for a guest's sake, who has too few interactions to be known.
    rows = [("2", 1, 1, 1), ("2", 1, 1, 1), ("10", 1, 1, 1), ("10", 1, 1, 1), ("guest", 1, 1, 1)]
    read(con, rows, min_interactions=2)
    assert indices(con)["user"] == {"10": 1, "2": 2}
    caplog.clear()
    read(con, [*rows, ("1", 1, 1, 1), ("1", 1, 1, 1)], min_interactions=2)
    assert indices(con)["user"] == {"10": 1, "2": 2, "1": 3}
    assert not caplog.records
    # The guest is gone, and with it the text: other texts may stand for the same ids.
    read(con, [(2, 1, 1, 1), (2, 1, 1, 1), (1, 1, 1, 1), (1, 1, 1, 1)], min_interactions=2)
    assert indices(con)["user"] == {1: 1, 2: 2}
    assert "'user' were text and are integers now" in caplog.records[0].getMessage()


def test_an_attribute_is_decided_by_the_smallest_value_and_not_by_the_first_known(con):
    new_log(con)
    build_some(con, [(1, 1, 20, "z")], *NUMBERED)
    # Item 2 says 9 and 20 once each, user 2 says b and z: 9 and b are new, and smaller.
    build_some(con, [(1, 1, 20, "z"), (2, 2, 20, "z"), (2, 2, 9, "b")], *NUMBERED)
    assert con.execute("select cate_idx from items where item_id = 2").fetchall() == [(2,)]
    assert con.execute("select age_idx from users where user_id = 2").fetchall() == [(2,)]


def test_attribute_with_the_name_of_a_column_of_the_table_is_numbered_as_any_other(con):
    names = ("value", "place", "vocabulary", "idx", "load", "in_log")
    new_log(con)
    numbers = ", ".join(f'number as "{name}"' for name in names)
    con.execute(
        f"create or replace table interactions as select 1 as user_id, 1 as item_id, {numbers}, "
        "0 as time, 'log' as file, 0 as line from (values (10), (9)) as l (number)"
    )
    source = SourceConfig(path="", item_attribute_cols=names)
    sequences.build(con, source, SequenceConfig(), in_ids=True)
    for name in names:
        assert con.execute(
            "select value, value_idx from attributes where attribute = ? order by 2", [name]
        ).fetchall() == [("9", 1), ("10", 2)], name
        # Both were said once: the smaller number.
        [(index,)] = con.execute(f'select "{name}_idx" from items').fetchall()
        assert index == 1, name


@pytest.mark.parametrize("grown", [False, True])
def test_files_of_a_bundle_number_elsewhere_as_the_log_was_numbered(
    con, tmp_path, monkeypatch, grown
):
    new_log(con)
    for rows in ([("b", "y", 2, 6), ("d", "x", 1, 5)], [("a", "z", 0, 5)])[: 1 + grown]:
        build_some(con, rows, known_ids.TABLE)
    statement = building.kept_ids_statement(con, tmp_path)
    monkeypatch.chdir(tmp_path)
    variables = sequences.template_context(con, SOURCE, SequenceConfig()).variables()
    select = sql_files.render("known_ids", **variables, load=1)
    with store.connect(":memory:") as elsewhere:
        elsewhere.register("interactions", con.table("interactions").to_arrow_table())
        elsewhere.execute(statement)
        again = elsewhere.execute(f"select vocabulary, value, idx from ({select})").fetchall()
    assert sorted(again) == sorted(
        con.execute("select vocabulary, value, idx from known_ids").fetchall()
    )


@pytest.mark.parametrize("sampling", SAMPLERS)
def test_samples_of_a_grown_log_are_whole_and_an_item_that_left_may_be_a_negative(con, sampling):
    new_log(con)
    read(con, [(1, 1, 1, 1), (1, 7, 1, 1)])
    rows = [(2, 2, 1, 1), (2, 3, 1, 1), (2, 2, 2, 1), (3, 3, 1, 1), (3, 2, 1, 1)]
    read(con, rows, negative_sampling=sampling, negatives_per_positive=50)
    drawn = {item for (item,) in con.execute("select distinct item_idx from negatives").fetchall()}
    # Both users touched items 2 and 3; what is left are 1 and 7, known from the first load.
    assert drawn <= {1, 2}
    assert drawn
    data = training_data.load(con)
    assert (data.vocabulary.n_users, data.vocabulary.n_items) == (3, 4)
    assert data.user_offsets.tolist() == [0, 0, 3, 5]


def test_id_that_another_vocabulary_knows_is_new_in_its_own(con):
    new_log(con)
    build_some(con, [(1, 7, 7, 7)], *NUMBERED)
    build_some(con, [(1, 7, 7, 7), (7, 1, 1, 1)], *NUMBERED)
    assert indices(con) == {
        "user": {1: 1, 7: 2},
        "item": {7: 1, 1: 2},
        "cate_id": {"7": 1, "1": 2},
        "age": {"7": 1, "1": 2},
    }


def test_ids_are_counted_in_the_load_that_brought_them(con):
    new_log(con)
    for number, rows in enumerate(itertools.accumulate([day(0), day(1), day(2)]), start=1):
        build_some(con, rows, known_ids.TABLE)
        [(last,)] = con.execute("select max(load) from known_ids").fetchall()
        assert last == number
    assert sql_files.schema("known_ids").column("load")
