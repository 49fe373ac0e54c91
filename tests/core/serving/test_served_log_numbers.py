"""Numbers of the log that a ranker counts for a request: by hand, from four training events.

The score of the hand-made bundle has a tenth of each number on top, so a number shows in it.
"""

from __future__ import annotations

import datetime
import math

import pytest

from din_core.errors import WrongRequestError
from din_core.serving.ranker import Ranker
from tests.core.serving import hand_made_bundle

DAY = 86_400.0
WORTH = hand_made_bundle.ITEMS["int64"]
USER, NEW = 1, 2  # events on the days 0 and 100, of items 10 and 40; none


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Return the ranker of a bundle whose model takes some numbers."""
    made = {}

    def of(*names):
        if names not in made:
            folder = tmp_path_factory.mktemp("bundle")
            made[names] = Ranker(hand_made_bundle.write(folder, log_numbers=names))
        return made[names]

    return of


def number_of(ranker, item, **asked):
    """The number that the one candidate had, from its score; 0 where it was missing."""
    asked = {"history": [], "exclude_history": False} | asked
    if "user_id" in asked and asked["history"] == []:
        del asked["history"]
    ranking = ranker.rank(candidates=[item], **asked)
    of_history = sum(WORTH.get(each, 0) for each in ranking.history) / 100
    return (ranking.probability[0] - WORTH.get(item, 0) - of_history) * 10


# By day: events of item 10 are on 0 and 100, of 20 on 10, of 40 on 100, of 30 never. Four items.
@pytest.mark.parametrize(
    ("name", "item", "day", "expected"),
    [
        ("popularity", 10, 0, 0.0),  # not of itself, and nothing is earlier
        ("popularity", 10, 1, math.log1p(1) - math.log1p(1 / 4)),
        ("popularity", 10, 100, math.log1p(1) - math.log1p(2 / 4)),
        ("popularity", 10, 101, math.log1p(2) - math.log1p(4 / 4)),
        ("popularity", 30, 101, -math.log1p(4 / 4)),
        ("popularity", 99, 101, -math.log1p(4 / 4)),  # an unknown item has no events
        ("popularity_90_days", 10, 95, -math.log1p(1 / 4)),  # day 0 is too old, day 10 is not
        ("popularity_365_days", 10, 95, math.log1p(1) - math.log1p(2 / 4)),
        # Day 10 is in the window and day 0 is not: one event of the two so far.
        ("trend_90_days", 10, 95, -math.log1p(1 / 2)),
        ("trend_90_days", 20, 95, math.log1p(1) - math.log1p(1 / 2)),
        ("trend_90_days", 30, 95, 0.0),  # no events, no trend
        ("trend_90_days", 99, 95, 0.0),
        ("trend_365_days", 20, 95, 0.0),  # all events so far are in the window
        ("days_since_item_event", 20, 14, math.log1p(4)),
        ("days_since_item_event", 10, 103, math.log1p(3)),
        ("days_since_item_event", 20, 10, 0.0),  # missing: its first event is not earlier
        ("days_since_item_event", 30, 103, 0.0),  # missing
    ],
)
def test_an_item_is_counted_in_training_events_before_the_moment(served, name, item, day, expected):
    assert number_of(served(name), item, at=day * DAY) == pytest.approx(expected, abs=1e-5)


def test_the_moment_is_the_end_of_the_log_where_nobody_says_one(served):
    ranker = served("days_since_item_event")
    assert number_of(ranker, 10) == pytest.approx(math.log1p(10), abs=1e-5)
    moment = datetime.datetime(1970, 4, 14)  # noqa: DTZ001 - as the tables have it: UTC; day 103
    assert number_of(ranker, 10, at=moment) == pytest.approx(math.log1p(3), abs=1e-5)
    zone = datetime.timezone(datetime.timedelta(hours=12))
    assert number_of(ranker, 10, at=moment.replace(tzinfo=zone)) == pytest.approx(
        math.log1p(2.5), abs=1e-5
    )


def test_a_known_users_history_has_its_times(served):
    ranker = served("days_since_last_event")
    assert number_of(ranker, 30, user_id=USER) == pytest.approx(math.log1p(10), abs=1e-5)
    assert number_of(ranker, 30, user_id=USER, at=104 * DAY) == pytest.approx(
        math.log1p(4), abs=1e-5
    )
    assert number_of(ranker, 30, user_id=NEW) == pytest.approx(0, abs=1e-6)  # missing
    at_once = served("same_moment_events")
    assert number_of(at_once, 30, user_id=USER, at=100 * DAY) == pytest.approx(
        math.log1p(1), abs=1e-5
    )


def test_a_history_that_is_brought_along_may_bring_its_times(served):
    ranker = served("days_since_last_event")
    asked = {"history": [20, 30], "at": 20 * DAY}
    found = number_of(ranker, 10, **asked, history_times=[3 * DAY, 13 * DAY])
    assert found == pytest.approx(math.log1p(7), abs=1e-5)
    # So it does where the user has another one in the log, on the days 0 and 100.
    found = number_of(ranker, 10, **asked, user_id=USER, history_times=[3 * DAY, 13 * DAY])
    assert found == pytest.approx(math.log1p(7), abs=1e-5)
    # An unknown item counts for nothing, and so does the time of its event.
    asked["history"] = [20, 99]
    found = number_of(ranker, 10, **asked, history_times=[3 * DAY, 13 * DAY])
    assert found == pytest.approx(math.log1p(17), abs=1e-5)


def test_without_times_the_number_is_missing_and_the_answer_says_so(served):
    ranking = served("days_since_last_event").rank(history=[20], candidates=[10])
    assert ranking.probability == pytest.approx([0.1 + 0.004])
    [note] = ranking.notes
    assert "history_times" in note
    assert "days_since_last_event counts as missing" in note


def test_events_of_the_candidates_category_are_counted_among_the_latest(served):
    ranker = served("same_category_events")
    # Items 10 and 30 have one category, 20 another, that of 40 is unknown; three events count.
    assert number_of(ranker, 10, history=[10, 30, 20]) == pytest.approx(math.log1p(2), abs=1e-5)
    assert number_of(ranker, 20, history=[10, 30, 20]) == pytest.approx(math.log1p(1), abs=1e-5)
    ranking = ranker.rank(candidates=[10], history=[30, 30, 20, 99, 20], exclude_history=False)
    # The graph made by hand counts every event of the history: 0.4 + 0.4 + 0.4 + 0.4 hundredths.
    assert ranking.probability == pytest.approx([0.1 + 0.016 + 0.1 * math.log1p(1)])


def test_a_number_that_the_caller_gives_is_taken_as_it_is(served):
    ranker = served("days_since_item_event", "popularity")
    popularity = math.log1p(2) - math.log1p(4 / 4)
    asked = {"candidates": [10], "history": [], "at": 103 * DAY}
    given = ranker.rank(**asked, context={"days_since_item_event": 5.0})
    assert given.probability == pytest.approx([0.1 + 0.1 * (5 + popularity)])
    missing = ranker.rank(**asked, context={"days_since_item_event": math.nan})
    assert missing.probability == pytest.approx([0.1 + 0.1 * popularity])


def test_rows_go_by_their_own_times(served):
    ranker = served("days_since_item_event", "days_since_last_event")
    rows = {
        "target_item_id": [10, 20],
        "hist_item_id": [[20, 30], []],
        "hist_time": [[0.0, 13 * DAY], []],
        "time": [103 * DAY, 14 * DAY],
    }
    expected = [0.1 + 0.008 + 0.1 * (math.log1p(3) + math.log1p(90)), 0.4 + 0.1 * math.log1p(4)]
    assert ranker.score(rows) == pytest.approx(expected)
    shown = [datetime.datetime(1970, 4, 14), datetime.datetime(1970, 1, 15)]  # noqa: DTZ001
    assert ranker.score({**rows, "time": shown}) == pytest.approx(expected)
    at_the_end = ranker.score({**rows, "time": [None, None]})
    assert at_the_end[1] == pytest.approx(0.4 + 0.1 * math.log1p(100))
    del rows["time"]
    assert ranker.score(rows) == pytest.approx(at_the_end)


def test_pairs_are_counted_alike_as_rows_and_user_by_user(served):
    ranker = served("days_since_item_event", "days_since_last_event")
    one = ranker.score_pairs([USER, NEW], [10, 20], at=103 * DAY)
    assert one == pytest.approx(
        [0.1 + 0.003 + 0.1 * (math.log1p(3) + math.log1p(3)), 0.4 + 0.1 * math.log1p(93)]
    )
    many = ranker.score_pairs([USER] * 40 + [NEW] * 40, [10] * 40 + [20] * 40, at=103 * DAY)
    assert many[[0, 39, 40, 79]] == pytest.approx(one[[0, 0, 1, 1]])


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"at": "yesterday"}, "at is 'yesterday'; give a finite number of seconds since 1970"),
        ({"at": math.inf}, "at is inf; give a finite number of seconds"),
        ({"history_times": [1.0]}, "history_times are given, and no history; give both"),
        (
            {"history": [10, 20], "history_times": [1.0]},
            "history_times are 1, and the history has 2 events; give one for each",
        ),
        (
            {"history": [10], "history_times": [None]},
            "history_times[0] is None; give a finite number of seconds",
        ),
    ],
)
def test_moments_that_are_none_end_in_a_sentence(served, asked, sentence):
    with pytest.raises(WrongRequestError) as error:
        served("days_since_last_event").rank(**asked)
    assert str(error.value).startswith(sentence)


def test_moments_are_refused_where_no_number_goes_by_them(served):
    for asked in ({"at": 1.0}, {"history": [10], "history_times": [1.0]}):
        with pytest.raises(WrongRequestError, match=r"is given, and the model takes no number of"):
            served().rank(**asked)


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({}, "the rows have no column 'hist_time', which the model's number"),
        ({"hist_time": [[]]}, "row 0: 0 times in 'hist_time' and 1 events in 'hist_item_id'"),
        ({"hist_time": [1.0]}, "column 'hist_time' holds double; it is to hold lists of seconds"),
        ({"hist_time": [[1.0]], "time": ["noon"]}, "column 'time' holds string; it is to hold"),
    ],
)
def test_rows_without_their_times_end_in_a_sentence(served, columns, sentence):
    rows = {"target_item_id": [10], "hist_item_id": [[20]], **columns}
    with pytest.raises(WrongRequestError) as error:
        served("days_since_item_event", "days_since_last_event").score(rows)
    assert str(error.value).startswith(sentence)
