"""The drift of a log: what is kept of each, and what is said of the next, by hand."""

import hashlib
import math

import pytest

from din_core.evaluation import drift_picture
from din_core.store import ledger
from din_core.tables import checks, drift
from din_core.tables.attributes import Attribute
from tests import contexts

DAY = 86_400


def read(con, rows, version, column="cate_id"):
    """Read a log of (user, item, day, category) and compare it with the one before."""
    con.execute(
        "create or replace table interactions "
        f'(user_id varchar, item_id varchar, time bigint, "{column}" varchar)'
    )
    users, items, days, cates = (list(column) for column in zip(*rows, strict=True))
    con.execute(
        f"insert into interactions select unnest(?), unnest(?), unnest(?) * {DAY}, unnest(?)",
        [users, items, days, cates],
    )
    recorded("interactions", con, version, {"item_attribute_cols": [column]})
    drift.write(con)
    recorded("drift", con, "", {}, {"interactions": version})
    return {
        (measure, about): (value, threshold, outcome)
        for measure, about, value, threshold, outcome in con.execute(
            "select measure, about, value, threshold, outcome from drift"
        ).fetchall()
    }


def recorded(asset, con, version, options, inputs=()):
    entry = ledger.Entry(
        asset=asset, data_version=version, code_version="", options=options, inputs=dict(inputs)
    )
    ledger.record(con, entry)


def log(n_days, a_day=40, *, users=20, items=10, cates=("a", "b"), first=0):
    """A log of so many rows a day; ids and categories go round."""
    return [
        (f"u{n % users}", f"i{n % items}", first + n // a_day, cates[n % len(cates)])
        for n in range(n_days * a_day)
    ]


def by_digest(prefix, n):
    """So many ids in the order of their digests."""
    ids = [f"{prefix}{each}" for each in range(n)]
    return sorted(ids, key=lambda each: hashlib.md5(each.encode()).hexdigest())


def test_first_log_has_nothing_to_be_compared_with_and_says_so(con):
    found = read(con, log(3), "one")
    assert {outcome for _, _, outcome in found.values()} == {"no log before"}
    assert {value for (name, _), (value, _, _) in found.items() if name.startswith("new_")} == {
        None
    }
    assert drift_picture.draw(con) is None
    for check in checks.checks_of("drift"):
        assert checks.run_check(con, check.name, contexts.context()).passed


def test_population_stability_index_is_the_sum_by_hand(con):
    # Before: 60 of a, 40 of b. Now 20 of a, 60 of b, 120 of c, which none of before was.
    read(con, [("u", "i", 0, cate) for cate in "a" * 60 + "b" * 40], "one")
    found = read(con, [("u", "i", 0, cate) for cate in "a" * 20 + "b" * 60 + "c" * 120], "two")
    value, threshold, outcome = found["stability_of_attribute", "cate_id"]
    by_hand = (
        (0.1 - 0.6) * math.log(0.1 / 0.6)
        + (0.3 - 0.4) * math.log(0.3 / 0.4)
        + (0.6 - 0.0001) * math.log(0.6 / 0.0001)  # no share counts below 0.0001
    )
    assert value == pytest.approx(by_hand, abs=1e-4)
    assert (threshold, outcome) == (0.2, "drifted")


def test_stability_names_the_twenty_most_frequent_values_and_adds_up_the_others(con):
    frequent, rare = [f"b{n:02}" for n in range(20)], [f"a{n}" for n in range(5)]
    before = [cate for cate in frequent for _ in range(10)] + rare * 2
    # One of the twenty gives its rows to another; what the rare ones do is seen in their sum alone.
    now = [cate.replace("b19", "b18") for cate in before]
    now = [cate.replace("a1", "a0").replace("a2", "a0") for cate in now]
    read(con, [("u", "i", 0, cate) for cate in before], "one")
    value, threshold, _ = read(con, [("u", "i", 0, cate) for cate in now], "two")[
        "stability_of_attribute", "cate_id"
    ]
    p, none = 10 / 210, 0.0001
    by_hand = (none - p) * math.log(none / p) + p * math.log(2)
    assert value == pytest.approx(by_hand, abs=1e-4)
    # 21 buckets of 210 rows each time.
    assert threshold == pytest.approx((20 + 3 * math.sqrt(40)) * 2 / 210, abs=1e-4)


def test_of_very_many_values_the_thousand_most_frequent_are_kept(con):
    read(con, [("u", "i", 0, f"c{n:04}") for n in [*range(1200), 1199]], "one")
    kept = con.execute(
        "select bucket, n from log_profile where measure = 'attribute' order by n desc, bucket"
    ).fetchall()
    assert kept == [("c1199", 2), *((f"c{n:04}", 1) for n in range(999))]


def test_threshold_of_a_small_log_is_what_chance_explains(con):
    # Ten values of ten rows each and none beside them: 9 degrees of freedom, 1/100 + 1/50.
    read(con, [("u", "i", 0, str(n % 10)) for n in range(100)], "one")
    found = read(con, [("u", "i", 0, str(n % 10)) for n in range(50)], "two")
    value, threshold, outcome = found["stability_of_attribute", "cate_id"]
    assert value == 0
    assert threshold == pytest.approx((9 + 3 * math.sqrt(18)) * 0.03, abs=1e-4)
    assert outcome == "steady"


def test_popularity_drifts_where_the_first_items_take_other_shares(con):
    # Ten items of as many rows: the first has 0.1 of the rows, four more 0.4, the rest 0.5.
    read(con, [("u", f"i{n % 10}", 0, "a") for n in range(1000)], "one")
    # One item has 0.55, the others 0.05 each.
    rows = [("u", f"i{n % 10}" if n < 500 else "i0", 0, "a") for n in range(1000)]
    value, _, outcome = read(con, rows, "two")["stability_of_popularity", ""]
    by_hand = sum((q - p) * math.log(q / p) for p, q in ((0.1, 0.55), (0.4, 0.2), (0.5, 0.25)))
    assert value == pytest.approx(by_hand, abs=1e-4)
    assert outcome == "drifted"


def test_new_ids_are_counted_by_share_of_those_there_are_now(con):
    # Those that are new have the greatest digests: of a log this small, each one is looked at.
    users, items = by_digest("u", 5), by_digest("i", 40)
    read(con, [(users[n % 4], items[n % 8], 0, "a") for n in range(80)], "one")
    # Of five users one is new, of forty items 32 are.
    found = read(con, [(users[n % 5], items[n % 40], 0, "a") for n in range(80)], "two")
    assert found["new_users", ""] == (0.2, 0.5, "steady")
    assert found["new_items", ""] == (0.8, 0.5, "drifted")


def test_share_of_new_ids_of_a_large_log_is_estimated_from_a_sample(con):
    def users(first, last):
        con.execute(
            "create or replace table interactions as select range as user_id, 1 as item_id, "
            f"range as time, 'a' as cate_id from range({first}, {last})"
        )
        version = f"{first} {last}"
        recorded("interactions", con, version, {"item_attribute_cols": ["cate_id"]})
        drift.write(con)
        recorded("drift", con, "", {}, {"interactions": version})

    users(0, 40_000)
    users(10_000, 50_000)  # a quarter is new
    [(share,)] = con.execute("select value from drift where measure = 'new_users'").fetchall()
    assert share == pytest.approx(0.25, abs=0.02)
    assert con.execute("select count(*) < 20100 from log_profile").fetchall() == [(True,)]
    # Half of them are left, and none is new: the sample of now reaches twice as far.
    users(20_000, 40_000)
    [(share,)] = con.execute("select value from drift where measure = 'new_users'").fetchall()
    assert share == 0


def test_shorter_log_and_other_days_drift(con):
    read(con, log(10), "one")
    found = read(con, log(8), "two")  # 320 rows instead of 400
    assert found["rows", ""] == (-0.2, -0.1, "drifted")
    assert found["rows_per_day", ""] == (0.0, 0.5, "steady")
    found = read(con, log(8, a_day=70), "three")
    assert found["rows", ""] == (0.75, -0.1, "steady")
    assert found["rows_per_day", ""] == (0.75, 0.5, "drifted")


def test_day_that_is_missing_and_last_day_that_is_not_over_are_said(con):
    read(con, log(10), "one")
    # Days 0 to 9, day 11, and ten rows of day 12: day 10 is missing.
    rows = log(10) + log(1, first=11) + log(1, a_day=10, first=12)
    found = read(con, rows, "two")
    assert found["days_without_events", ""] == (1.0, 0.0, "drifted")
    # The seven days before day 12 (5 to 11) have 240 rows, 240 / 7 a day.
    value, threshold, outcome = found["last_day_rows", ""]
    assert value == pytest.approx(10 / (240 / 7), abs=1e-4)
    assert threshold == pytest.approx(1 - 3 / math.sqrt(240 / 7), abs=1e-4)
    assert outcome == "drifted"
    # The gap stays in the log, and the next day is whole: nothing new.
    found = read(con, log(10) + log(2, first=11), "three")
    assert found["days_without_events", ""][2] == found["last_day_rows", ""][2] == "steady"


def test_days_without_events_are_held_against_their_share_before(con):
    # Two of ten days are empty; then four of twenty are, which is the same share.
    read(con, [row for row in log(10) if row[2] not in (3, 4)], "one")
    found = read(con, [row for row in log(20) if row[2] not in (3, 4, 13, 14)], "two")
    # 0.2 of 20 days, and three deviations.
    assert found["days_without_events", ""] == (4.0, 4 + 3 * 2, "steady")


def test_last_day_of_a_young_log_is_held_against_the_days_that_there_are(con):
    read(con, log(10), "one")
    # Three days of 40 rows, and 30 on the fourth.
    found = read(con, log(3) + log(1, a_day=30, first=3), "two")
    assert found["last_day_rows", ""][0] == 0.75


def test_log_that_is_read_twice_is_compared_with_the_last_other_one(con):
    read(con, log(10), "one")
    once = read(con, log(8), "two")
    again = read(con, log(8), "two")
    assert once == again
    assert again["rows", ""][0] == -0.2
    assert read(con, log(10), "one")["rows", ""][0] == 0.25


def test_attribute_that_the_log_before_had_not_is_not_compared(con):
    read(con, log(3), "one")
    found = read(con, log(3), "two", column="brand")
    assert found["stability_of_attribute", "brand"][2] == "not compared"


def test_profile_that_another_version_wrote_is_no_log_before(con):
    read(con, log(3), "one")
    con.execute("alter table log_profile drop column about")
    assert {outcome for *_, outcome in read(con, log(2), "two").values()} == {"no log before"}


def test_each_check_finds_its_figures_and_the_picture_shows_any_name(con):
    hostile = "$\\frac{1}{2}$ <b>|`"
    read(con, log(10), "one", column=hostile)
    rows = log(2, 100, users=90, items=90, cates=("$x^", "b|<i>"), first=3) + log(1, 1, first=9)
    read(con, rows, "two", column=hostile)
    found = {
        check.name: {row["measure"] for row in checks.run_check(con, check.name, None).examples}
        for check in checks.checks_of("drift")
    }
    assert found == {
        "drift_volume": {"rows"},
        "drift_ids": {"new_users", "new_items"},
        "drift_population": {"stability_of_attribute", "stability_of_popularity"},
        "drift_time": {"days_without_events", "last_day_rows"},
    }
    assert drift_picture.draw(con).startswith(b"\x89PNG")


def test_context_names_the_columns_as_the_source_was_read(con):
    read(con, log(3), "one", column="brand")
    assert drift.write(con).item_attributes == (Attribute("brand"),)
