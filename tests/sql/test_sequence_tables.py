"""The rules of the tables, one by one, on logs small enough to check by hand."""

import pytest

from din_core import store
from din_core.config import SequenceConfig, SourceConfig
from din_core.tables import sequences
from tests.sql.built_by_hand import build


def test_events_are_ordered_by_time_then_by_line(con):
    build(con, [(1, 30, 5), (1, 20, 5), (1, 10, 4)])
    assert con.execute("select position, item_idx, time from events").fetchall() == [
        (1, 1, 4),
        (2, 3, 5),
        (3, 2, 5),
    ]


def test_numbers_are_ordered_as_numbers_and_text_as_text(con):
    build(con, [(10, "10", 1), (9, "9", 2)])
    assert con.execute("select user_id from users order by user_idx").fetchall() == [(9,), (10,)]
    assert con.execute("select item_id from items order by item_idx").fetchall() == [
        ("10",),
        ("9",),
    ]


def test_ids_up_to_the_largest_are_kept_exactly(con):
    largest = 2**63 - 1
    build(con, [(largest, largest, 1), (largest - 1, largest - 1, 2)])
    assert con.execute("select user_id from users order by user_idx").fetchall() == [
        (largest - 1,),
        (largest,),
    ]


@pytest.mark.parametrize(
    ("n_events", "splits"),
    [(1, []), (2, ["test"]), (3, ["val", "test"]), (4, ["train", "val", "test"])],
)
def test_the_last_event_is_test_and_the_one_before_val(con, n_events, splits):
    build(con, [(1, item, item) for item in range(n_events)])
    found = con.execute("select split from encoded_samples order by position").fetchall()
    assert [split for (split,) in found] == splits


def test_heavy_user_keeps_every_split_and_the_most_recent_history(con):
    build(con, [(1, item, item) for item in range(1, 61)] + [(2, 99, 1)], max_history=50)
    rows = con.execute(
        "select split, hist_item_idx from encoded_samples where label = 1 and position >= 58 "
        "order by position"
    ).fetchall()
    assert [split for split, _ in rows] == ["train", "val", "test"]
    assert rows[2][1] == list(range(10, 60))


def test_a_negative_shares_split_and_history_with_its_positive(con):
    build(con, [(1, item, 10 * item) for item in range(1, 5)] + [(2, 9, 1)])
    rows = con.execute(
        "select position, label, split, target_item_idx, hist_item_idx, time from encoded_samples "
        "order by position, label"
    ).fetchall()
    # User 1 interacted with items 1 to 4 of five: the only negative is item 5.
    assert rows == [
        (2, 0, "train", 5, [1], 20),
        (2, 1, "train", 2, [1], 20),
        (3, 0, "val", 5, [1, 2], 30),
        (3, 1, "val", 3, [1, 2], 30),
        (4, 0, "test", 5, [1, 2, 3], 40),
        (4, 1, "test", 4, [1, 2, 3], 40),
    ]


def test_users_under_the_least_are_left_out_and_their_items_stay(con):
    rows = build(con, [(1, 1, 1), (1, 2, 2), (2, 3, 1)], min_interactions=2)
    assert (rows["users"], rows["items"], rows["events"]) == (1, 3, 2)
    # Item 3 was interacted with by nobody who is left: it is what can be drawn.
    assert con.execute("select item_idx from negatives").fetchall() == [(3,)]


def test_an_item_s_attribute_is_the_majority_s_then_the_smallest(con):
    build(
        con,
        [(1, 1, 1, 7), (1, 1, 2, 7), (2, 1, 3, 5), (1, 2, 4, 7), (2, 2, 5, 5), (2, 3, 6, None)],
        columns="user_id, item_id, time, cate_id",
        attributes=("cate_id",),
    )
    assert con.execute("from cates").fetchall() == [(1, 5), (2, 7)]
    assert con.execute("from items").fetchall() == [(1, 1, 2), (2, 2, 1), (3, 3, 0)]
    assert con.execute("select cate_idx from events where user_idx = 2").fetchall() == [
        (2,),
        (1,),
        (0,),
    ]


def test_attributes_have_their_columns_and_one_vocabulary(con):
    build(
        con,
        [(1, 1, 1, 7, "b", "old"), (1, 2, 2, 7, "a", "old"), (2, 1, 3, 7, "b", None)],
        columns="user_id, item_id, time, cate_id, brand, age",
        attributes=("cate_id", "brand"),
        users=("age",),
        negatives_per_positive=0,
    )
    assert con.execute("from attributes").fetchall() == [
        ("age", 1, "old"),
        ("brand", 1, "a"),
        ("brand", 2, "b"),
        ("cate_id", 1, "7"),
    ]
    assert con.execute("from cates").fetchall() == [(1, 7)]
    assert con.execute("from users").fetchall() == [(1, 1, True, 1), (2, 2, True, 0)]
    columns = [row[0] for row in con.execute("describe encoded_samples").fetchall()]
    assert columns == [
        "split", "label", "user_idx",
        "target_item_idx", "target_cate_idx", "target_brand_idx",
        "hist_item_idx", "hist_cate_idx", "hist_brand_idx",
        "age_idx", "position", "history_end", "time",
    ]  # fmt: skip
    assert con.execute("from encoded_samples").fetchall() == [
        ("test", 1, 1, 2, 1, 1, [1], [1], [2], 1, 2, 1, 2)
    ]


def test_without_attributes_there_is_no_category_anywhere(con):
    build(con, [(1, 1, 1), (1, 2, 2), (2, 3, 3)])
    assert con.execute("from cates").fetchall() == []
    for table in ("items", "events", "negatives", "user_sequences", "encoded_samples"):
        columns = [row[0] for row in con.execute(f"describe {table}").fetchall()]
        assert not [column for column in columns if "cate" in column]


def test_an_attribute_may_have_any_name(con):
    build(
        con,
        [(1, 1, 1, "x"), (1, 2, 2, "y"), (2, 3, 3, "y")],
        columns='user_id, item_id, time, "the ""best"" brand"',
        attributes=('the "best" brand',),
    )
    found = con.execute(
        'select "hist_the ""best"" brand_idx" from encoded_samples where label = 1'
    ).fetchall()
    assert found == [([1],)]


def test_what_is_not_sampled_from_is_counted(con):
    rows = [
        (1, 1, 5, 1),  # one moment only, however many events it has
        (1, 2, 5, 1),
        (1, 3, 5, 0),
        (2, 1, 5, 1),
        (2, 2, 6, 1),
        (3, 1, 5, 0),  # one row: below min_interactions of 2, else without an event
    ]
    source = SourceConfig(path="", item_attribute_cols=())
    for least, left_out, silent in ((1, 0, 2), (2, 1, 1)):
        config = SequenceConfig(min_interactions=least)
        build(con, rows, columns="user_id, item_id, time, label", min_interactions=least)
        context = sequences.template_context(con, source, config)
        assert sequences.figures(con, "users", context) == {"users_left_out": left_out}
        assert sequences.figures(con, "samples", context) == {"users_without_samples": silent}


def test_of_a_labelled_log_what_was_shown_counts_whatever_was_taken(con):
    rows = [(1, 1, 1, 1), (1, 2, 2, 1), (2, 1, 1, 1), (2, 2, 2, 0), (2, 3, 3, 0), (3, 1, 1, 1)]
    build(con, rows, columns="user_id, item_id, time, label", min_interactions=2)
    assert con.execute("select user_id from users").fetchall() == [(1,), (2,)]
    assert con.execute(
        "select user_idx, count(*) from events group by all order by all"
    ).fetchall() == [(1, 2), (2, 1)]


def test_users_of_one_event_are_counted_without_labels(con):
    build(con, [(1, 1, 5), (2, 1, 5), (2, 2, 5)])
    source = SourceConfig(path="", item_attribute_cols=())
    context = sequences.template_context(con, source, SequenceConfig())
    assert sequences.figures(con, "samples", context) == {"users_without_samples": 1}


def test_a_temporal_split_goes_by_the_clock_of_each_row(con):
    rows = [(1, 1, 10, 1), (1, 2, 20, 1), (1, 3, 29, 0), (1, 4, 30, 1), (1, 5, 40, 1)]
    build(
        con,
        rows,
        columns="user_id, item_id, time, label",
        split="temporal",
        val_from=29,
        test_from=40,
    )
    assert con.execute(
        "select target_item_idx, split from encoded_samples order by time"
    ).fetchall() == [
        (2, "train"),
        (3, "val"),
        (4, "val"),
        (5, "test"),
    ]


def test_bounds_say_where_a_history_begins(con):
    build(con, [(1, item, item) for item in range(1, 6)], max_history=2)
    assert con.execute(
        "select position, history_start, history_end from sample_bounds where k = 0 "
        "order by position"
    ).fetchall() == [(2, 1, 1), (3, 1, 2), (4, 2, 3), (5, 3, 4)]


def test_the_samples_version_follows_the_length_of_histories(con):
    rows = [(1, item, item) for item in range(1, 6)]
    versions = {}
    for max_history in (2, 4, 50):
        build(con, rows, max_history=max_history)
        versions[max_history] = store.content_version(con, "samples")
    assert versions[2] != versions[4]
    # No history is longer than four: the rows are the same.
    assert versions[4] == versions[50]


def test_no_log_at_all_gives_empty_tables(con):
    build(con, [(1, 1, 1)])
    con.execute("delete from interactions")
    rows = sequences.build(con, SourceConfig(path="", item_attribute_cols=()), SequenceConfig())
    assert set(rows.values()) == {0}
    assert con.execute("from encoded_samples").fetchall() == []


def test_many_attributes_are_each_decided_by_their_own_votes(con):
    # Attribute n of item 1 is n, but for the even ones, on which two of three rows say n + 100;
    # item 2 has none. 40 attributes make three blocks of the pivot.
    names = [f"a{n}" for n in range(40)]
    said = [list(range(40)), [n + 100 * (n % 2 == 0) for n in range(40)]]
    rows = [(1, 1, 1, *said[0]), (1, 1, 2, *said[1]), (2, 1, 3, *said[1]), (2, 2, 4, *[None] * 40)]
    columns = ", ".join(["user_id", "item_id", "time", *names])
    build(con, rows, columns=columns, attributes=tuple(names[:20]), users=tuple(names[20:]))
    found = con.execute("from items order by item_idx").fetchall()
    vocabularies = {n: sorted({said[0][n], said[1][n]}) for n in range(40)}
    assert found == [
        (1, 1, *(vocabularies[n].index(said[1][n]) + 1 for n in range(20))),
        (2, 2, *[0] * 20),
    ]
    users = con.execute("from users order by user_idx").fetchall()
    # User 1 said both once: the smaller value. User 2 said one, and once nothing.
    assert users == [
        (1, 1, True, *[1] * 20),
        (2, 2, True, *(vocabularies[n].index(said[1][n]) + 1 for n in range(20, 40))),
    ]
