"""Times: their unit, ways of writing them, and numbers that are none."""

import datetime
import logging
from decimal import Decimal

import pytest

from din_core.sources import codings
from tests.core.ingested_logs import ingested, log, refused, rejected, rows, write

MOMENT = datetime.datetime(2019, 10, 1, 17, 30, 49, 541_000, datetime.UTC)
SECONDS = Decimal("1569951049.541")


@pytest.mark.parametrize(
    ("unit", "written"),
    [
        ("milliseconds", "1569951049541"),
        ("microseconds", "1569951049541000"),
        ("nanoseconds", "1569951049541000000"),
        ("seconds", "1569951049.541"),
    ],
)
def test_the_unit_of_times_is_recognised_by_their_size_and_said(
    con, tmp_path, caplog, unit, written
):
    assert MOMENT.timestamp() == float(SECONDS)
    caplog.set_level(logging.INFO)
    report = ingested(con, log(tmp_path / "log.csv", times=[written, 0]))
    assert rows(con, "time, typeof(time)") == [(SECONDS, "DECIMAL(18,6)"), (0, "DECIMAL(18,6)")]
    assert report.source.summary.codings.unit_name == unit
    assert (f"'time' is read as {unit}" in caplog.text) == (unit != "seconds")


def test_whole_seconds_in_milliseconds_are_whole_seconds(con, tmp_path):
    ingested(con, log(tmp_path / "log.csv", times=["1569951049000", "1569951050000"]))
    assert rows(con, "time, typeof(time)") == [
        *((1_569_951_049, "BIGINT"), (1_569_951_050, "BIGINT"))
    ]


@pytest.mark.parametrize(
    ("unit", "seconds"),
    [("s", 1_000_000_000_000), ("ms", 1_000_000_000), ("us", 1_000_000), ("ns", 1_000)],
)
def test_a_named_unit_is_taken_whatever_the_size(con, tmp_path, unit, seconds):
    ingested(con, log(tmp_path / "log.csv", times=["1000000000000", "5"]), time_unit=unit)
    assert rows(con, "time")[0] == (seconds,)
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    assert rows(con, "time")[1] == (Decimal(5) / per_second,)


def test_times_of_several_units_are_refused_with_an_example_and_the_option(con, tmp_path):
    times = ["1569951049", "1569951050", "1569951051541"]
    message = refused(con, log(tmp_path / "log.csv", times=times))
    assert "time_col 'time' mixes units: of 3 numbers 2 are seconds by their size" in message
    assert "1 are not, most of those milliseconds (log.csv line 4: 1,3,1569951051541,c)" in message
    assert "time_unit=" in message


def test_one_time_of_another_unit_in_a_hundred_is_one_rejected_row(con, tmp_path):
    times = [1_569_951_049_000 + n for n in range(99)] + [1_569_951_049]
    ingested(con, log(tmp_path / "log.csv", times=times))
    assert rejected(con) == [
        (101, "time is not in milliseconds, as the others are", "1,100,1569951049,c")
    ]


def test_dates_keep_their_moment_beside_numbers_in_another_unit(con, tmp_path):
    ingested(con, log(tmp_path / "log.csv", times=["1569951049541", "2019-10-01 17:30:49.541 UTC"]))
    assert rows(con, "time") == [(SECONDS,), (SECONDS,)]


def test_a_unit_for_dates_and_dates_without_hyphens_are_warned_of(con, tmp_path):
    report = ingested(con, log(tmp_path / "a.csv", times=["2019-10-01"]), time_unit="ms")
    assert "time_unit=ms has no effect" in report.source.notes[0]
    report = ingested(con, log(tmp_path / "b.csv", times=["20171125", "20171203"]))
    assert "from 20171125 to 20171203 look like dates" in report.source.notes[0]


def test_a_date_without_hyphens_among_moments_is_warned_of(con, tmp_path):
    times = ["20171125T130000Z", "20171125", "2017-11-26"]
    [note] = ingested(con, log(tmp_path / "log.csv", times=times)).source.notes
    assert "times such as 20171125 look like dates and are read as seconds since 1970" in note


def test_one_number_as_a_time_is_no_date_without_hyphens(con, tmp_path):
    assert not ingested(con, log(tmp_path / "log.csv", times=["20171125"])).source.notes


UNREAD = "they are years, days and months in this order, and if the others are, too, they are read"


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (
            ["2024-31-01", "2024-05-02", "2024-28-02"],
            f"(the first is '2024-31-01', {{0}}): {UNREAD}",
        ),
        (["2012/04/13", "2012-04-14", "13.4.2012"], "dates with slashes or dots"),
        (["13-04-2012", "2012-04-14", "1-4-12 9:30"], "dates that end in the year"),
        (["2012-04-13 9:30:00 AM", "2012-04-14", "2012-4-13 9:30PM"], "hours of a 12-hour clock"),
        (
            ["2024-06-01 10:00 BST", "2024-01-01 10:00 GMT", "2024-06-01T10:00[Europe/London]"],
            "moments of a zone that is named: UTC and GMT are read, others as +01:00",
        ),
        (["Tue Apr 03 18:00:06 +0000 2012", "7", "03-APR-12"], "names of months"),
        (['"1511544071,5"', "1511544072", '"7,5"'], "numbers with a decimal comma"),
    ],
)
def test_a_file_with_times_of_two_ways_of_writing_is_refused_and_not_halved(
    con, tmp_path, times, said
):
    message = refused(con, log(tmp_path / "log.csv", times=times))
    assert "time_col 'time' is written in more than one way: 2 of 3 times are not read" in message
    assert said.format("log.csv line 2") in message
    assert "write all of them as 2020-01-31 10:00:00" in message


def test_a_file_without_any_row_to_use_is_not_said_to_be_of_two_ways(con, tmp_path):
    path = log(tmp_path / "log.csv", times=["2012/04/13"] * 3)
    write(tmp_path / "log.csv", (tmp_path / "log.csv").read_text() + ",9,2012/04/13,c\n")
    message = refused(con, path)
    assert "not one of 4 rows can be used: time is neither" in message
    assert "more than one way" not in message


@pytest.mark.parametrize(
    "times",
    [
        ["2012/04/13", "7", "8"],  # one alone
        ["2012/04/13", "2024-31-01", "7"],  # one of each way
        ["2012/04/13"] * 2 + ["2012-04-13"] * 198,  # 1 in 100
        ["marching 7", "mayor 7", "7"],  # words
        ["0000-00-00 00:00:00"] * 2 + ["2012-04-13"],  # nothing, as MySQL writes it
    ],
)
def test_other_times_that_are_not_read_are_rejected_rows(con, tmp_path, times):
    report = ingested(con, log(tmp_path / "log.csv", times=times))
    assert 1 <= report.rejected <= 2
    assert report.rejected + report.interactions == len(times)


@pytest.mark.parametrize(
    ("times", "what"),
    [
        (["2018", "2020"], "years"),
        (["43861.5", "43900"], "days of a spreadsheet"),
        (["201801", "201912"], "months"),
        (["829", "1111"], "months and days without a year"),
        (["829", "1311"], None),
        (["14102100", "14103023"], "dates of two digits a year, with hours"),
        (["2024050113", "2024063000"], "dates with hours"),
        (["202405011305", "202406300059"], "dates with hours and minutes"),
        (["20240501130559", "20240630005900"], "dates with a time of day"),
        (["736330", "738642.5"], "days since the year 1"),
        (["2451544.5", "2460432"], "Julian days"),
        (["13359081600000000", "13359081600000001"], "microseconds since 1601, as browsers count"),
        (["133590816000000000", "133590816000000001"], "ticks of Windows"),
        (["638500000000000000", "638500000000000001"], "ticks of .NET"),
        (["0", "43900"], None),
        (["14102124", "14103023"], None),  # there is no hour 24
        (["1714521600", "2024050113"], None),
        (["1714521600000", "1714521600001"], None),
        (["1714521600000000", "1714521600000001"], None),
        (["1714521600000000000", "1714521600000000001"], None),
    ],
)
def test_numbers_that_look_like_dates_are_warned_of(con, tmp_path, times, what):
    notes = ingested(con, log(tmp_path / "log.csv", times=times)).source.notes
    assert [
        f"from {times[0].split('.')[0]} to {times[1].split('.')[0]} look like {what}" in note
        for note in notes
    ] == ([True] if what else [])


@pytest.mark.parametrize(
    ("times", "what"),
    [
        (["0", "20240501", "20240502"], "dates"),  # nothing stands where 0 does
        (["-1", "20240501", "20240502"], "dates"),
        (["20240501", "20240502", "99991231"] + ["20240503"] * 7, "dates"),
        (["0", "2024050113", "2024063000"], "dates with hours"),
        (["1714521600", "1714521601", "20240501", "20240502"], "dates"),
        (["1714521600"] * 200 + ["20240501", "20240502"], None),  # 1 in 100
        (["0", "1400", "1900", "1950", "1960", "4000"], None),
    ],
)
def test_numbers_that_look_like_dates_hide_behind_none_that_does_not(con, tmp_path, times, what):
    notes = ingested(con, log(tmp_path / "log.csv", times=times)).source.notes
    example = min(time for time in times if time.startswith("2024")) if what else ""
    assert [f"times such as {example} look like {what} and are" in note for note in notes] == (
        [True] if what else []
    )


def test_numbers_that_look_like_dates_are_found_in_a_part_of_a_large_log(
    con, tmp_path, monkeypatch
):
    monkeypatch.setattr(codings, "_LOOKED_AT", 10)
    times = [str(20240501 + n % 30) for n in range(99)]
    (note,) = ingested(con, log(tmp_path / "log.csv", times=["0", *times])).source.notes
    # Lines 10, 20, 30 ...: the header is line 1, and 0 stands in line 2.
    assert "times such as 20240508 look like dates" in note


@pytest.mark.parametrize(
    ("times", "is_cut"),
    [
        (["1.6E+12"] * 3, True),
        (["1.60E+09", "1.6e9", "1600000001"], True),
        (["1.71452e+18", "1.714520001000e+18", "1.71453e+18"], True),
        (["1.600000001E+12", "1.600000002E+12", "1.6E+12"], False),
        (["1.600000000000000000e+09"] * 3, False),
        (["1.6E+09", "1600000001", "1600000002.5"], False),
    ],
)
def test_times_whose_digits_were_cut_off_are_warned_of(con, tmp_path, times, is_cut):
    report = ingested(con, log(tmp_path / "log.csv", times=times, cates=["a", "NULL", "b"]))
    notes = [note for note in report.source.notes if "'time'" in note]
    assert [f"(first log.csv line 2: {times[0]}), as spreadsheets" in note for note in notes] == (
        [True] if is_cut else []
    )
    assert all("if different times became one, export them as text" in note for note in notes)
    assert report.interactions == 3
