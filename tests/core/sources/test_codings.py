"""A column decides how its values are read: units, codings of labels, what is missing."""

import datetime
import logging
import re
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from din_core.sources import codings
from din_core.store import sql_files
from din_core.tutorial import generate_seq_feature
from tests.core.ingested_logs import ingested, refused, rejected, rows, write


def log(path, *, times=None, labels=None, cates=None):
    """A log of users 1, items 1, 2, 3 ...; what is not given is constant."""
    n_rows = len(times or labels or cates)
    columns = {
        "user_id": [1] * n_rows,
        "item_id": range(1, n_rows + 1),
        "time": times or [7] * n_rows,
        "cate_id": cates or ["c"] * n_rows,
        **({"label": labels} if labels else {}),
    }
    lines = [
        ",".join(columns),
        *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True)),
    ]
    return write(path, "\n".join(lines) + "\n")


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
    "labels",
    [
        ["1", "0", "1"],
        ["1.0", "0.0", "1.0"],
        ["True", "False", "True"],
        ["TRUE", "false", "true"],
        ["t", "f", "T"],
        ["yes", "no", "Yes"],
        ["1", "-1", "1"],
        ["1.0", "-1.0", "1"],
        ["1.000000e+00", "0.000000e+00", "1"],
    ],
)
def test_an_unambiguous_coding_of_labels_is_read(con, tmp_path, labels):
    ingested(con, log(tmp_path / "log.csv", labels=labels))
    assert rows(con, "item_id, label") == [(1, 1), (2, 0), (3, 1)]


@pytest.mark.parametrize(
    "labels",
    [pa.array([True, False, None]), pa.array([1.0, 0.0, float("nan")]), pa.array([1, 0, None])],
)
def test_labels_in_parquet_are_read_as_in_text_and_a_row_without_one_is_rejected(
    con, tmp_path, labels
):
    table = pa.table({name: [1, 2, 3] for name in ("user_id", "item_id", "time", "cate_id")})
    pq.write_table(table.append_column("label", labels), tmp_path / "log.parquet")
    for name in ("log.parquet", "log.csv"):
        if name == "log.csv":
            table.append_column("label", labels).to_pandas().to_csv(tmp_path / name, index=False)
        ingested(con, f"{tmp_path}/{name}")
        assert rows(con, "item_id, label") == [(1, 1), (2, 0)]
        assert [row[1] for row in rejected(con)] == ["label is neither 0 nor 1"]


@pytest.mark.parametrize(
    ("labels", "shown"),
    [
        (["5", "4", "1", "2"], "'1' (1 rows), '2' (1 rows), '4' (1 rows), '5' (1 rows)"),
        (["1", "0", "-1", "-1"], "'-1' (2 rows), '0' (1 rows), '1' (1 rows)"),
        (["bought", "seen"], "'bought' (1 rows), 'seen' (1 rows)"),
        (["1", "0", "0_1", "0_0"], "'0' (1 rows), '0_0' (1 rows), '0_1' (1 rows), '1' (1 rows)"),
        (["2", "1"] * 3, "'1' (3 rows), '2' (3 rows)"),
    ],
)
def test_other_values_than_labels_are_refused_whole_with_the_options(con, tmp_path, labels, shown):
    message = refused(con, log(tmp_path / "log.csv", labels=labels))
    assert "label_col 'label' holds other values than labels (1 and 0" in message
    assert shown in message
    for option in ("positive_labels", "another column with label_col", "label_col=''"):
        assert option in message


@pytest.mark.parametrize(
    ("labels", "positive", "read"),
    [
        (["5", "4.0", "1", "2"], ("4", "5"), [1, 1, 0, 0]),
        (["bought", "seen", "Bought"], ("bought",), [1, 0, 0]),
        (["1", "2", "2"], ("2",), [0, 1, 1]),
        (["4.5", "4"], ("4.5",), [1, 0]),
        (["True", "False"], ("false",), [0, 1]),
        # Numbers that DuckDB or Python reads, and nobody else: words here.
        (["1000", "1_000", "x"], ("1_000",), [0, 1, 0]),
        (["1", "\uff11", "x"], ("\uff11",), [0, 1, 0]),
        # Beyond what 64 bits hold.
        (["1e400", "0", "x"], ("1e400",), [1, 0, 0]),
        (["1e200", "0", "x"], ("1E+200",), [1, 0, 0]),
        (["9007199254740993", "9007199254740992"], ("9007199254740993",), [1, 0]),
    ],
)
def test_named_positive_labels_tell_taken_from_not_taken(con, tmp_path, labels, positive, read):
    ingested(con, log(tmp_path / "log.csv", labels=labels), positive_labels=positive)
    assert rows(con, "label") == [(label,) for label in read]


def test_a_few_broken_labels_are_rejected_rows(con, tmp_path):
    ingested(con, log(tmp_path / "log.csv", labels=["1", "0"] * 20 + ["?", "-1"]))
    assert [row[:2] for row in rejected(con)] == [
        (line, "label is neither 0 nor 1") for line in (42, 43)
    ]
    ingested(con, log(tmp_path / "log.csv", labels=["1", "-1"] * 20 + ["0", "2"]))
    assert [row[:2] for row in rejected(con)] == [
        (line, "label is neither 1 nor -1") for line in (42, 43)
    ]


def test_labels_of_one_class_are_refused_with_the_true_cause(con, tmp_path):
    message = refused(con, log(tmp_path / "log.csv", labels=[0, 0, 0]))
    assert "label_col 'label' has no positive label" in message
    assert "'0' (3 rows)" in message
    message = refused(con, log(tmp_path / "log.csv", labels=["1", "", "1"]))
    assert "has positive labels only" in message
    assert "'1' (2 rows), '' (1 rows)" in message
    assert "or write 0 where an empty label means not taken: such rows are left out" in message
    assert "write 0" not in refused(con, log(tmp_path / "log.csv", labels=["1", "1"]))
    message = refused(con, log(tmp_path / "log.csv", labels=[1, 2]), positive_labels=("3",))
    assert "has no positive label" in message
    ingested(con, log(tmp_path / "log.csv", labels=[1, 1]), label_col="")
    assert len(rows(con)) == 2


def test_a_named_label_column_must_be_there(con, tmp_path):
    path = write(tmp_path / "log.csv", "user_id,item_id,time,cate_id,click\n1,2,3,4,1\n1,3,4,4,0\n")
    message = refused(con, path, label_col="clicked")
    assert "the column 'clicked' is not in the header" in message
    assert "label_col=click" in message
    assert "'label' is not in the header" in refused(con, path, label_col="label")
    ingested(con, path, label_col="click")
    assert rows(con, "item_id, label") == [(2, 1), (3, 0)]


@pytest.mark.parametrize("name", ["Label", "LABEL", "click", "is_click"])
def test_a_column_that_may_be_the_label_is_warned_of(con, tmp_path, caplog, name):
    path = write(tmp_path / "log.csv", f"user_id,item_id,time,cate_id,{name}\n1,2,3,4,1\n")
    (warning,) = ingested(con, path).source.notes
    assert f"the column '{name}' is not read" in warning
    assert f"label_col={name}" in warning
    assert warning in caplog.text
    assert ingested(con, path, label_col="").source.notes == ()


@pytest.mark.parametrize("option", ["user_col", "item_col"])
def test_a_column_of_that_name_that_has_another_role_is_no_label(con, tmp_path, option):
    role = {"user_col": "user_id", "item_col": "item_id"}[option]
    text = "user_id,item_id,time,cate_id\n1,1,7,c\n0,0,8,c\n".replace(role, "label")
    report = ingested(con, write(tmp_path / "log.csv", text), **{option: "label"})
    assert not report.source.has_label
    assert not report.source.notes
    assert rows(con, role) == [(1,), (0,)]


def test_positive_labels_without_a_label_are_refused(con, tmp_path):
    path = write(tmp_path / "log.csv", "user_id,item_id,time,cate_id\n1,2,3,4\n")
    assert "no column is read as the label" in refused(con, path, positive_labels=("1",))


def test_a_row_that_lacks_an_attribute_stays(con, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    report = ingested(con, log(tmp_path / "log.csv", cates=["4", "", "5.0", " "]))
    assert rows(con, "item_id, cate_id") == [(1, 4), (2, None), (3, 5), (4, None)]
    assert rejected(con) == []
    assert report.source.notes == ()
    assert "the attribute 'cate_id' is missing in 2 of 4 rows" in caplog.text


def test_an_attribute_without_any_value_is_warned_of(con, tmp_path):
    (warning,) = ingested(con, log(tmp_path / "log.csv", cates=["", ""])).source.notes
    assert "the attribute 'cate_id' is empty in every row" in warning


def test_a_positive_label_that_no_row_has_is_noticed(con, tmp_path):
    labels = ["click", "purchase", "seen", "4.0"]
    report = ingested(
        con, log(tmp_path / "log.csv", labels=labels), positive_labels=("click", "purchse", "4")
    )
    (note,) = [each for each in report.source.notes if "positive_labels" in each]
    assert "'purchse', which no row has" in note


def test_words_for_nothing_among_numbers_are_the_empty_value(con, tmp_path):
    path = write(
        tmp_path / "log.csv",
        "user_id,item_id,time,cate_id\n1.0,7,1,5\nNA,7,2,nan\n2,8,3,5.0\n1,NULL,4,<NA>\n",
    )
    report = ingested(con, path)
    assert rows(con) == [(1, 7, 1, 5), (2, 8, 3, 5)]
    assert rejected(con) == [
        (3, "empty user_id", "NA,7,2,nan"),
        (5, "empty item_id", "1,NULL,4,<NA>"),
    ]
    assert report.source.recognised == tuple(
        f"'{name}' holds numbers, and words such as NULL, nan or -: nothing stands there"
        for name in ("user_id", "item_id", "cate_id")
    )


NOTHINGS = ["-", "?", "n/a", "none", "-nan", "inf", "-inf"]


@pytest.mark.parametrize("kind", ["csv", "parquet", "frame"])
def test_what_logs_write_for_nobody_is_no_user_among_numbers(con, tmp_path, caplog, kind):
    users = ["1", *NOTHINGS, "2", "1.0"]
    frame = pd.DataFrame({"user": users, "item": range(10), "time": range(10)})
    if kind == "frame":
        train, val, test = generate_seq_feature(frame, "user", "item", "time")
        assert [len(train), len(val)] == [0, 0]
        assert sorted(test["user"]) == [1, 1]
        assert "7 of 10 rows were left out: empty user_id (7)" in caplog.text
        return
    path = tmp_path / f"log.{kind}"
    frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
    names = {"user_col": "user", "item_col": "item", "item_attribute_cols": ()}
    ingested(con, str(path), **names)
    assert rows(con, "user_id, item_id") == [(1, 0), (2, 8), (1, 9)]
    assert {reason for _, reason, _ in rejected(con)} == {"empty user_id"}


def test_what_logs_write_for_nobody_is_warned_of_among_names(con, tmp_path):
    lines = [f"{user},1,7" for user in ("ann", *NOTHINGS)]
    text = "\n".join(["user_id,item_id,time", *lines])
    report = ingested(con, write(tmp_path / "log.csv", text), item_attribute_cols=())
    assert report.interactions == 8
    assert sorted(note.split("'")[3] for note in report.source.notes) == sorted(NOTHINGS)


def test_words_for_nothing_among_text_are_ids_and_warned_of(con, tmp_path):
    path = write(
        tmp_path / "log.csv",
        "user_id,item_id,time,cate_id\nann,7,1,\nNULL,7,2,x\nNULL,8,x,x\nNULL,9,3,#N/A\n",
    )
    report = ingested(con, path)
    assert rows(con, "user_id, cate_id") == [("ann", None), ("NULL", "x"), ("NULL", "#N/A")]
    of_cates, of_users = report.source.notes
    assert "'cate_id' is the word '#N/A' in 1 rows (first log.csv line 5)" in of_cates
    assert "they count as one value of that name" in of_cates
    assert "'user_id' is the word 'NULL' in 2 rows (first log.csv line 3)" in of_users
    assert "they count as one user of that name" in of_users


def test_backslash_n_is_nothing_as_databases_write_it(con, tmp_path):
    text = "user_id\titem_id\ttime\tcate_id\nann\t1\t1\t\\N\n\\N\t1\t2\tx\nC:\\New\t1\t3\t\\N \n"
    ingested(con, write(tmp_path / "log.tsv", text))
    assert rows(con) == [("ann", 1, 1, None), ("C:\\New", 1, 3, None)]
    assert rejected(con) == [(3, "empty user_id", "\\N\t1\t2\tx")]


def test_ids_with_exponents_are_warned_of(con, tmp_path):
    path = write(
        tmp_path / "log.csv",
        "user_id,item_id,time,cate_id\n12,1,1,a\n1.23457E+17,1,2,a\n1.23457E+17,2,3,a\n",
    )
    (note,) = ingested(con, path).source.notes
    assert rows(con, "user_id") == [(12,), (123_457_000_000_000_000,), (123_457_000_000_000_000,)]
    assert (
        "'user_id' has an exponent in 2 rows (first log.csv line 3: 1.23457E+17), as spreadsheets "
        "write long numbers and cut their digits off" in note
    )


def test_label_that_is_a_positive_one_but_for_its_case_is_warned_of(con, tmp_path):
    path = log(tmp_path / "log.csv", labels=["buy", "Buy", "view", "BUY", "True"])
    report = ingested(con, path, positive_labels=("buy", "true"))
    assert rows(con, "label") == [(1,), (0,), (0,), (0,), (1,)]
    assert "the label 'BUY' counts as not taken" in report.source.notes[0]
    assert "the label 'Buy' counts as not taken" in report.source.notes[1]
    assert len(report.source.notes) == 2


@pytest.mark.parametrize(("n_rows", "n_bad", "is_refused"), [(99, 2, True), (300, 2, False)])
def test_text_in_another_encoding_is_refused_and_not_thinned_out(
    con, tmp_path, n_rows, n_bad, is_refused
):
    items = ["tea"] * (n_rows - n_bad) + ["café"] * n_bad
    text = "user_id,item_id,time,cate_id\n" + "".join(f"1,{item},1,a\n" for item in items)
    path = write(tmp_path / "log.csv", text.encode("latin-1"))
    if is_refused:
        message = refused(con, path)
        assert "2 of 99 rows are not UTF-8 (log.csv line 99: 1,caf\\xe9,1,a)" in message
        assert "iconv -f WINDOWS-1252 -t UTF-8" in message
    else:
        assert ingested(con, path).rejected == n_bad


@pytest.mark.parametrize(
    ("row", "way_out"),
    [
        ("1,2,31.01.2020,a", "write times as 2020-01-31 10:00:00, or as numbers since 1970"),
        ("1,2,1900-01-01,a", "times count from 1970 on"),
        ("1,2,3,a,", "give the rows as many values as the header has names"),
        ('1,"2,3,a', "set quoting: none"),
        ("1,2,3,a\r1,3,4,a\r1,4,5,a", r"with `tr '\r' '\n'"),
        ("1,2\0,3,a", "write the log again"),
        (",2,3,a", "check which column is which"),
    ],
)
def test_way_out_fits_the_reason_where_no_row_can_be_used(con, tmp_path, row, way_out):
    path = write(tmp_path / "log.csv", f"user_id,item_id,time,cate_id\n{row}\n")
    message = refused(con, path)
    assert message.startswith(f"{path}: not one of 1 rows can be used: ")
    assert way_out in message


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


def test_a_number_is_the_same_in_python_and_in_sql():
    macros = (sql_files.SQL_ROOT / "macros" / "source_values.jinja").read_text(encoding="utf-8")
    [pattern] = re.findall(r'number_pattern = literal\("(.*)"\)', macros)
    assert codings._NUMBER.pattern == pattern
