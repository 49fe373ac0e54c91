"""A time is as exact as the source gives it, from the file to what analysts read."""

from datetime import datetime
from decimal import Decimal

import pytest

from din_core import store
from din_core.config import SequenceConfig, SourceConfig
from din_core.inputs.samplers import SAMPLERS
from din_core.sources import ingest
from din_core.tables import analytics, checks, sequences
from tests.contexts import OF_A_MODEL

# Out of order, and all but D within one second: D sees A, B, C.
LOG = """user_id,item_id,time,cate_id
1,C,2020-07-05 00:08:23.900,4
1,A,2020-07-05 00:08:23.100,4
1,B,2020-07-05 00:08:23.500,4
1,D,2020-07-05 00:08:24.000,4
"""
SECOND = 1_593_907_703  # of A
at = datetime.fromisoformat
TENTHS = [Decimal(f"{SECOND}.{tenth}") for tenth in (1, 5, 9)] + [Decimal(SECOND + 1)]


@pytest.fixture
def build(con, tmp_path):
    def build(log=LOG, time_unit="auto", **config):
        path = tmp_path / "log.csv"
        path.write_text(log)
        source = SourceConfig(path=str(path), time_unit=time_unit)
        config = SequenceConfig(**config)
        ingest(con, source)
        sequences.build(con, source, config, in_ids=True)
        return sequences.template_context(con, source, config)

    return build


def test_events_within_a_second_are_ordered_by_its_fraction(con, build):
    build(negatives_per_positive=0)
    assert con.execute(
        "select item_id, time from events inner join items using (item_idx) order by position"
    ).fetchall() == list(zip("ABCD", TENTHS, strict=True))
    # Items 1 ... 4 are A ... D.
    assert con.execute(
        "select hist_item_idx, time from encoded_samples where split = 'test'"
    ).fetchall() == [([1, 2, 3], TENTHS[3])]


def test_every_check_passes_on_fractions_of_seconds(con, build):
    context = build(split="temporal", val_from=0.5, test_from=0.75)
    for check in checks.all_checks():
        if check.severity == "error" and check.asset not in OF_A_MODEL:
            assert checks.run_check(con, check.name, context).examples == [], check.name


@pytest.mark.parametrize("sampling", SAMPLERS)
def test_negatives_have_the_time_of_their_positive_in_the_same_type(con, build, sampling):
    other = "2,E,2020-07-05 00:08:24.000,4\n2,A,2020-07-05 00:08:24.250,4\n"
    build(LOG + other, negative_sampling=sampling)
    assert con.execute(
        "select distinct typeof(negatives.time), negatives.time = events.time "
        "from negatives inner join events using (user_idx, position)"
    ).fetchall() == [("DECIMAL(18,6)", True)]


def test_a_split_begins_at_a_fraction_of_a_second(con, build):
    build(split="temporal", val_from=float(TENTHS[1]), test_from=float(TENTHS[2]))
    split = "select split from encoded_samples where label = 1 order by position"
    assert [row[0] for row in con.execute(split).fetchall()] == ["val", "test", "test"]
    # The quantile 1/2: more than half of four events do not come after the third.
    context = build(split="temporal", val_from=0.5, test_from=0.75)
    assert Decimal(context.val_from) == TENTHS[2]
    assert context.test_from == SECOND + 1


def test_analysts_read_the_moment_with_its_fraction(con, build):
    context = build(max_history=3)
    analytics.create_views(con, context)
    moments = [at(f"2020-07-05 00:08:23.{tenth}00") for tenth in (5, 9)]
    moments.append(at("2020-07-05 00:08:24"))
    found = con.execute("select time from samples where label = 1 order by position")
    assert [row[0] for row in found.fetchall()] == moments
    assert con.execute("select first_time, last_time from user_activity").fetchall() == [
        (at("2020-07-05 00:08:23.100"), moments[2])
    ]
    assert con.execute("select first_time from split_summary where split = 'val'").fetchall() == [
        (moments[1],)
    ]


def test_milliseconds_are_published_as_real_dates(con, build):
    log = "user_id,item_id,time,cate_id\n1,A,1569951049541,1\n1,B,1569951050000,1\n"
    context = build(log)
    analytics.create_views(con, context)
    assert con.execute("select first_time, last_time from user_activity").fetchall() == [
        (at("2019-10-01 17:30:49.541"), at("2019-10-01 17:30:50"))
    ]
    assert checks.run_check(con, "events_times_plausible", context).passed


def test_times_of_nanoseconds_and_the_last_of_all_are_published(con, build):
    context = build("user_id,item_id,time,cate_id\n1,A,7.0000015,1\n1,B,9e18,1\n", time_unit="s")
    assert con.execute("select distinct typeof(time) from events").fetchall() == [
        ("DECIMAL(38,18)",)
    ]
    analytics.create_views(con, context)
    assert con.execute("select first_time, last_time from user_activity").fetchall() == [
        (at("1970-01-01 00:00:07.000002"), at("9999-12-31 23:59:59"))
    ]


def test_the_version_of_a_table_follows_the_fractions(con, build):
    build()
    version = store.content_version(con, "events")
    build(LOG.replace("23.900", "23.901"))
    assert store.content_version(con, "events") != version
    build()
    assert store.content_version(con, "events") == version
