"""Labelled lists that were shown at once: no row of a moment knows of another one."""

from tests.sql.built_by_hand import build


def test_logged_negatives_see_the_positives_before_them(con):
    rows = [
        (1, 1, 1, 0),  # before any positive: no history, left out
        (1, 2, 2, 1),
        (1, 3, 3, 0),
        (1, 4, 3, 0),
        (1, 5, 4, 1),
        (1, 6, 9, 0),  # after the last positive
    ]
    build(con, rows, columns="user_id, item_id, time, label")
    assert con.execute("select position, k, item_idx, time from negatives").fetchall() == [
        (2, 1, 3, 3),
        (2, 2, 4, 3),
        (3, 1, 6, 9),
    ]
    assert con.execute(
        "select split, label, target_item_idx, hist_item_idx from encoded_samples "
        "order by time, label"
    ).fetchall() == [
        # The user was last shown something at 9, and before that at 4; clicks do not decide it.
        ("train", 0, 3, [2]),
        ("train", 0, 4, [2]),
        ("val", 1, 5, [2]),
        ("test", 0, 6, [2, 5]),
    ]


LISTS = [
    (1, 10, 100, 1),
    (1, 11, 200, 0),
    (1, 12, 200, 1),
    (1, 13, 200, 0),
    (1, 14, 200, 1),
    (1, 15, 250, 0),
    (1, 16, 300, 1),
    (1, 17, 300, 0),
    (1, 18, 400, 0),
]


def test_rows_of_one_moment_know_nothing_of_each_other(con):
    build(con, LISTS, columns="user_id, item_id, time, label")
    found = con.execute(
        "select time, item_id, split, hist_item_idx, history_end from encoded_samples "
        "inner join items on target_item_idx = item_idx order by time, item_id"
    ).fetchall()
    # Items 10, 12, 14 and 16 are the events; their indices are 1, 3, 5 and 7.
    assert found == [
        (200, 11, "train", [1], 1),
        (200, 12, "train", [1], 1),
        (200, 13, "train", [1], 1),
        (200, 14, "train", [1], 1),
        (250, 15, "train", [1, 3, 5], 3),
        (300, 16, "val", [1, 3, 5], 3),
        (300, 17, "val", [1, 3, 5], 3),
        (400, 18, "test", [1, 3, 5, 7], 4),
    ]


def test_the_order_of_a_list_in_the_file_changes_no_sample(con):
    answers = []
    for rows in (LISTS, LISTS[::-1]):
        build(con, rows, columns="user_id, item_id, time, label")
        answers.append(
            con.execute(
                "select time, target_item_idx, label, split, list_sort(hist_item_idx), history_end "
                "from encoded_samples order by all"
            ).fetchall()
        )
    assert answers[0] == answers[1]


def test_bounds_and_keys_hold_where_moments_have_several_positives(con):
    build(con, LISTS, columns="user_id, item_id, time, label", max_history=2)
    assert con.execute(
        "select position, k, label, history_start, history_end from sample_bounds order by 1, 2"
    ).fetchall() == [
        (2, 0, 1, 1, 1),
        (2, 1, 0, 1, 1),
        (2, 2, 0, 1, 1),
        (3, 0, 1, 1, 1),
        (4, 0, 1, 2, 3),
        (4, 1, 0, 2, 3),
        (4, 2, 0, 2, 3),
        (5, 1, 0, 3, 4),
    ]


def test_a_first_moment_of_several_positives_is_history_and_no_sample(con):
    rows = [(1, 1, 5, 1), (1, 2, 5, 1), (1, 3, 5, 0), (1, 4, 6, 1), (1, 5, 6, 0)]
    build(con, rows, columns="user_id, item_id, time, label")
    assert con.execute(
        "select label, split, target_item_idx, hist_item_idx from encoded_samples order by label"
    ).fetchall() == [(0, "test", 5, [1, 2]), (1, "test", 4, [1, 2])]


def test_without_labels_the_order_within_a_moment_stays(con):
    build(con, [(1, 1, 5), (1, 2, 5), (1, 3, 5), (2, 4, 1)])
    assert con.execute(
        "select position, split, hist_item_idx from encoded_samples where label = 1 "
        "order by position"
    ).fetchall() == [(2, "val", [1]), (3, "test", [1, 2])]


def test_a_temporal_split_keeps_a_moment_whole(con):
    build(
        con,
        LISTS,
        columns="user_id, item_id, time, label",
        split="temporal",
        val_from=0.5,
        test_from=0.9,
    )
    # Of four events, at 100, 200, 200 and 300, more than half have passed at 200, all at 300.
    assert con.execute(
        "select distinct time, split from encoded_samples order by time"
    ).fetchall() == [
        (200, "val"),
        (250, "val"),
        (300, "test"),
        (400, "test"),
    ]
