"""A column decides how its values are read: codings of labels, what is missing."""

import logging
import re

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from din_core.sources import codings
from din_core.store import sql_files
from din_core.tutorial import generate_seq_feature
from tests.core.ingested_logs import ingested, log, refused, rejected, rows, write


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


def test_a_number_is_the_same_in_python_and_in_sql():
    macros = (sql_files.SQL_ROOT / "macros" / "source_values.jinja").read_text(encoding="utf-8")
    [pattern] = re.findall(r'number_pattern = literal\("(.*)"\)', macros)
    assert codings._NUMBER.pattern == pattern
