"""What the test samples are judged by, on a log to be counted by hand."""

import numpy as np
import pytest

from din_core import metrics
from din_core.config import SequenceConfig, SourceConfig
from din_core.evaluation import metrics_table, scored_rows, slices
from din_core.evaluation.scored_rows import ScoredRows
from din_core.store import ledger
from din_core.tables import sequences

CATES = {"a": "x", "b": "x", "c": "y", "d": None}
HOUR = 3_600
# Users and their items, an hour apart, oldest first: the last is test, the one before validation.
HISTORIES = {
    "u1": "abcd",
    "u2": "abdc",
    "u3": "bacb",
    "u4": "cabd",
}


def build(con, histories=HISTORIES, source=None, **choices):
    """Build the samples of a log in which positives alone are samples, each with the score 0.5."""
    source = source or SourceConfig(path="")
    options = {"negatives_per_positive": 0, **choices}
    rows = [
        (user, item, number * HOUR, CATES[item], "log.csv", 10 * row + number)
        for row, (user, items) in enumerate(histories.items())
        for number, item in enumerate(items)
    ]
    con.execute(
        "create table interactions (user_id varchar, item_id varchar, time bigint, "
        "cate_id varchar, file varchar, line bigint)"
    )
    con.executemany("insert into interactions values (?, ?, ?, ?, ?, ?)", rows)
    sequences.build(con, source, SequenceConfig(**options))
    for asset, values in (
        ("interactions", {"item_attribute_cols": list(source.item_attribute_cols)}),
        ("negatives", {"negatives_per_positive": options.pop("negatives_per_positive")}),
        ("samples", options),
    ):
        made = ledger.Entry(
            asset=asset, data_version="", code_version="", options=values, inputs={}
        )
        ledger.record(con, made)
    scores = con.sql(
        "select user_idx, position, k, 0.5 as score from sample_bounds where split = 'test'"
    ).to_arrow_table()
    metrics_table.write_test_predictions(con, scores)


def test_rows_say_how_long_ago_how_popular_and_whether_the_category_was_seen(con):
    build(con)
    rows = scored_rows.read(con)
    assert rows.user_id.tolist() == ["u1", "u2", "u3", "u4"]
    assert rows.item_id.tolist() == ["d", "c", "b", "d"]
    assert rows.seconds_since_last.tolist() == [HOUR] * 4
    assert rows.history_length.tolist() == [3] * 4
    # Training: a b | a b | b a | c a. b is in it three times, a four times, c once, d never.
    assert rows.popularity.tolist() == [0, 1, 3, 0]
    # d has no category; c after a, b, d; b after b, a, c.
    assert rows.category_seen.tolist() == pytest.approx([np.nan, 0.0, 1.0, np.nan], nan_ok=True)


def test_category_is_looked_for_in_the_history_that_the_model_saw_alone(con):
    build(con, {"u1": "abcb", "u2": "bcca"}, max_history=1)
    assert scored_rows.read(con).category_seen.tolist() == [0.0, 0.0]


def test_log_without_attributes_has_no_category_to_be_seen(con):
    build(con, source=SourceConfig(path="", item_attribute_cols=()))
    assert np.isnan(scored_rows.read(con).category_seen).all()


def test_cooccurrence_is_counted_in_training_alone_by_hand(con):
    build(con, {"u1": "abcd", "u2": "abda", "u3": "bacb", "u4": "acbd", "u5": "acaa"})
    rows = scored_rows.read(con)
    # Training: ab, ab, ba, ac, ac. Users: a 5, b 3, c 2, d 0. Common: ab 3, ac 2.
    strength = {
        "u1": 0.0,  # d after a, b, c: never with anything in training, although it is in the log
        "u2": 3 / 15**0.5,  # a after a, b, d: with b; with itself not counted
        "u3": 3 / 15**0.5,  # b after b, a, c: with a, never with c
        "u4": 0.0,
        "u5": 2 / 10**0.5,  # a after a, c, a: with c
    }
    order = sorted(set(strength.values()))
    asked, place = scored_rows.cooccurrence(con, rows)
    assert asked.all()
    # u2 and u3 are equally strong: the more popular a goes above b. d is nowhere.
    assert [strength[user] for user in rows.user_id[np.argsort(place, kind="stable")]] == sorted(
        strength.values()
    )
    by_user = dict(zip(rows.user_id, place, strict=True))
    assert by_user["u1"] == by_user["u4"] < by_user["u5"] < by_user["u3"] < by_user["u2"]
    assert order[0] == 0.0


def test_held_out_event_is_in_no_count_of_cooccurrence(con):
    # Training: ab, ab, ab. The log itself has d with a, b and c twice, so that d would be above a.
    build(con, {"u1": "abcd", "u2": "abcd", "u3": "abca"})
    rows = scored_rows.read(con)
    _, place = scored_rows.cooccurrence(con, rows)
    assert place.tolist() == [0.0, 0.0, 1.0]
    assert rows.popularity.tolist() == [0, 0, 3]


def some_rows(**columns):
    n_rows = len(next(iter(columns.values())))
    nothing = np.zeros(n_rows)
    values = {
        "user_id": nothing, "item_id": nothing, "item_idx": nothing, "position": nothing,
        "k": nothing, "popularity": nothing, "history_length": nothing + 1,
        "category_seen": nothing + np.nan, "seconds_since_last": nothing + np.nan,
    }  # fmt: skip
    given = {name: np.asarray(value, dtype=float) for name, value in columns.items()}
    return ScoredRows(metrics.ScoredSamples(nothing, nothing, nothing), **{**values, **given})


@pytest.mark.parametrize(
    ("column", "slice_name", "values", "parts"),
    [
        (
            "history_length", "history_length", [1, 4, 5, 19, 20, 49, 50, 900],
            ["1 to 4", "1 to 4", "5 to 9", "10 to 19", "20 to 49", "20 to 49", "50 or more",
             "50 or more"],
        ),
        (
            "popularity", "item_popularity", [0, 1, 4, 5, 20, 99, 100, 0],
            ["0 (cold)", "1 to 4", "1 to 4", "5 to 19", "20 to 99", "20 to 99", "100 or more",
             "0 (cold)"],
        ),
        ("category_seen", "category_seen", [0, 1, np.nan], ["no", "yes", None]),
        (
            "seconds_since_last", "time_since_last",
            [0, 3_599, 3_600, 86_399, 86_400, 604_800, 2_592_000, np.nan],
            ["under an hour", "under an hour", "an hour to a day", "an hour to a day",
             "a day to a week", "a week to 30 days", "30 days or more", None],
        ),
    ],
)  # fmt: skip
def test_every_sample_falls_into_the_part_that_it_is_of(column, slice_name, values, parts):
    found = [None] * len(values)
    for name, part, chosen in slices.parts_of(some_rows(**{column: values})):
        if name == slice_name:
            for row in np.flatnonzero(chosen):
                assert found[row] is None
                found[row] = part
    assert found == parts
