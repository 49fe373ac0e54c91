"""Which values are quoted is found out per file, said, and can be named."""

import csv
import io
import itertools

import pandas as pd
import pytest

from din_core.sources.csv_header import read_header
from tests.core.ingested_logs import ingested, refused, rejected, rows, write

NAMES = ("user_id", "item_id", "time", "title")


def titles(con, path, **config):
    report = ingested(con, path, item_attribute_cols=("title",), **config)
    return [title for (title,) in rows(con, "title")], report


def tab_separated(*written):
    """A log with these titles, as they are."""
    lines = [f"1\t{i}\t{100 + i}\t{title}" for i, title in enumerate(written, start=2)]
    return "\n".join(["\t".join(NAMES), *lines, ""])


def test_quotes_of_titles_swallow_no_line_of_a_tab_separated_log(con, tmp_path):
    written = ['"Heroes', "Something", 'Blue Monday 12"', "x"]
    found, report = titles(con, write(tmp_path / "log.tsv", tab_separated(*written)))
    assert found == written
    assert (report.lines_read, report.rejected, report.source.continued) == (4, 0, 0)
    assert report.source.dialect == "tab-separated without quoting"
    assert report.source.notes == ()


DELIMITERS = ["\t", "|", "\x01"]
QUOTINGS = [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]
SPECIALS = ["a{}b", 'say "x"', "two\nlines", 'all "{}"\nof it']


def a_third_of_all():
    """All triples; outside of the thorough tests those that hold each pair of two of them once."""
    return [
        pytest.param(
            DELIMITERS[a], QUOTINGS[b], SPECIALS[c],
            marks=[] if (a + b + c) % 3 == 0 else [pytest.mark.thorough],
        )
        for a, b, c in itertools.product(range(3), range(3), range(4))
    ]  # fmt: skip


@pytest.mark.parametrize(("delimiter", "quoting", "special"), a_third_of_all())
def test_quoting_of_pandas_and_the_csv_module_is_recognised(
    con, tmp_path, delimiter, quoting, special
):
    written = ["plain", special.format(delimiter), "plain again"]
    frame = pd.DataFrame(
        [(1, i, 100 + i, title) for i, title in enumerate(written)], columns=list(NAMES)
    )
    frame.to_csv(tmp_path / "log.txt", sep=delimiter, index=False, quoting=quoting)
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting)
    writer.writerows([NAMES, *frame.itertuples(index=False)])
    write(tmp_path / "log.csv", text.getvalue())
    for name in ("log.txt", "log.csv"):
        found, report = titles(con, str(tmp_path / name))
        assert found == written
        assert report.source.continued == special.count("\n")


@pytest.mark.parametrize(
    ("written", "quoted"),
    [
        (['"Heroes"', "x"], False),  # could be either: no value needs its quotes
        (['"Heroes" (live)', "x"], False),
        (['"say ""x"""', "x"], True),
        (['"say ""x"""', '"Heroes'], False),  # as many votes for it as against
        (['"say ""x"""', '"Heroes', '"a ""b"""'], True),
        (['"a\tb"', "x"], True),
        (['"', '"', '"'], False),
        (['""', '""'], False),
        (["x", 'y"'], False),
    ],
)
def test_beginning_of_a_tab_separated_log_decides(written, quoted):
    header = read_header(tab_separated(*written).encode(), required=NAMES, where="log.tsv")
    assert header.quoting is quoted
    assert header.columns == NAMES


def test_option_goes_before_what_the_file_shows(con, tmp_path):
    path = write(tmp_path / "log.tsv", tab_separated('"Heroes"', '"a ""b"""'))
    assert titles(con, path, quoting="minimal")[0] == ["Heroes", 'a "b"']
    assert titles(con, path, quoting="none")[0] == ['"Heroes"', '"a ""b"""']
    path = write(tmp_path / "log.csv", tab_separated('"x', 'y"').replace("\t", ","))
    assert titles(con, path, quoting="none")[0] == ['"x', 'y"']
    assert titles(con, path)[0] == ["x\n1,3,103,y"]


def test_quoted_names_are_kept_where_nothing_is_quoted():
    text = b'"user_id"\t"item_id"\n1\t2\n'
    header = read_header(text, required=(), where="t", quoting="none")
    assert header.columns == ('"user_id"', '"item_id"')
    assert read_header(text, required=(), where="t").columns == ("user_id", "item_id")


def test_rows_taken_in_by_a_quoted_value_are_warned_of(con, tmp_path, caplog):
    text = tab_separated('"Heroes', "Something", 'Blue Monday 12"', "x").replace("\t", ",")
    found, report = titles(con, write(tmp_path / "log.csv", text))
    assert len(found) == 2
    # 4 lines below the header: 2 rows, and 2 lines that belong to the first of them.
    assert (report.lines_read, report.source.continued) == (2, 2)
    (note,) = report.source.notes
    assert note.startswith("log.csv: 1 rows (the first in line 2) take in lines that look like")
    assert "quoting: none" in note
    assert note in caplog.text


def test_quoted_text_of_several_lines_is_not_warned_of(con, tmp_path):
    text = tab_separated('"One,\ntwo, three, four,\n\nfive"').replace("\t", ",")
    report = titles(con, write(tmp_path / "log.csv", text))[1]
    assert (report.lines_read, report.source.continued, report.source.notes) == (1, 3, ())


def test_values_that_keep_their_quotes_are_warned_of_unless_asked_for(con, tmp_path):
    path = write(tmp_path / "log.tsv", tab_separated('"Heroes"', "x", '"y"'))
    (note,) = titles(con, path)[1].source.notes
    assert note.startswith("log.tsv: 2 values keep the quotes around them")
    assert "quoting: minimal" in note
    assert titles(con, path, quoting="none")[1].source.notes == ()


def test_quotes_that_are_kept_are_told_where_no_row_can_be_used(con, tmp_path):
    text = 'user_id|item_id|time|cate_id\n"1"|"2"|"3"|"4"\n'
    path = write(tmp_path / "log.csv", text)
    message = refused(con, path)
    assert "4 values keep the quotes around them" in message
    assert message.endswith("set quoting: minimal")
    assert ingested(con, path, quoting="minimal").interactions == 1


def test_quoting_named_for_parquet_is_said_to_change_nothing(con, tmp_path):
    frame = pd.DataFrame([(1, 2, 3, '"x"')], columns=list(NAMES))
    frame.to_parquet(tmp_path / "log.parquet")
    found, report = titles(con, f"{tmp_path}/log.parquet", quoting="minimal")
    assert found == ['"x"']
    assert "quoting=minimal changes nothing" in report.source.notes[0]


def test_blank_before_a_quote_belongs_to_no_value(con, tmp_path):
    text = 'user_id, item_id, "time", title\n1, 2, 3, "a, b"\n1, 3, 4, "c"\n'
    found, report = titles(con, write(tmp_path / "log.csv", text))
    assert found == ["a, b", "c"]
    assert report.rejected == 0


def test_sep_line_names_the_delimiter(con, tmp_path):
    for written in ("sep=;", '"sep=;"', "SEP=;\r"):
        text = f"\ufeff{written}\nuser_id;item_id;time;title\n1;2;3;4,5\n1;2;3\n"
        assert titles(con, write(tmp_path / "log.csv", text))[0] == ["4,5"]
        assert rejected(con) == [(4, "expected 4 fields, found 3", "1;2;3")]
        assert rows(con, "line") == [(3,)]
    text = "sep=^\nuser_id^item_id^time^title\n1^2^3^x\n"
    found, report = titles(con, write(tmp_path / "log.csv", text))
    assert (found, report.source.dialect) == (["x"], "'^'-separated without quoting")


@pytest.mark.parametrize(("delimiter", "name"), [("::", "'::'"), ("\x01", "ctrl-A")])
def test_delimiters_of_movielens_and_hive_are_known(con, tmp_path, delimiter, name):
    text = tab_separated("a:b", '"c').replace("\t", delimiter)
    found, report = titles(con, write(tmp_path / "log.dat", text))
    assert found == ["a:b", '"c']
    assert report.source.dialect == f"{name}-separated without quoting"


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("user_id item_id time title", "' ' stands there 3 times"),
        ("user_id^item_id^time^title", "'^' stands there 3 times"),
        ("identifier", "separate the columns by one of these"),
        ('"user_id"', "separate the columns by one of these"),
    ],
)
def test_unknown_delimiter_is_said_and_no_column_name_suggested(con, tmp_path, line, hint):
    message = refused(con, write(tmp_path / "log.csv", f"\n{line}\n1 2 3 4\n"))
    assert "no known delimiter in line 2 (comma, tab, semicolon, pipe, '::', ctrl-A)" in message
    assert f"it reads '{line}'" in message
    assert hint in message
    assert "_col=" not in message


def test_header_over_several_lines_is_one_header(con, tmp_path):
    text = 'user_id,item_id,"the\ntime",title\n1,2,3,x\n1,2\n'
    assert titles(con, write(tmp_path / "log.csv", text), time_col="the\ntime")[0] == ["x"]
    assert rejected(con) == [(4, "expected 4 fields, found 2", "1,2")]


def test_open_quote_in_the_header_is_said(con, tmp_path):
    message = refused(con, write(tmp_path / "log.csv", 'user_id,item_id,"time,title\n1,2,3,x\n'))
    assert 'the header (line 1) opens a quote and does not close it (user_id,item_id,"time' in (
        message
    )


@pytest.mark.parametrize("start", ["\ufeff\ufeff", "\n\ufeff", "\ufeff\r\n\n\ufeff\ufeff"])
def test_marks_before_the_header_are_no_part_of_a_name(con, tmp_path, start):
    text = start + "user_id,item_id,time,title\n1,2,3,x\n"
    assert titles(con, write(tmp_path / "log.csv", text))[0] == ["x"]


def test_header_without_an_end_is_refused():
    with pytest.raises(ValueError, match="goes on after 2 KiB; is this a text file"):
        read_header(b"x" * 2048, required=(), where="t", complete=False)


def test_quotes_escaped_by_a_backslash_are_warned_of(con, tmp_path):
    text = (
        "user_id,item_id,time,cate_id\n"
        r'1,"a\"b",3,4' + "\n" + r'1,"C:\dir\",4,4' + "\n" + r'1,"2 ""x""\",5,4' + "\n"
        r'2,"d\"e",6,5' + '\n2,9,9,"x\ny"\n'
    )
    (note,) = ingested(con, write(tmp_path / "log.csv", text)).source.notes
    assert "2 rows (the first in line 2) seem to escape quotes by a backslash" in note
    assert rows(con, "item_id") == [
        (r'a\b"',),
        ("C:\\dir\\",),
        (r'2 "x"' + "\\",),
        (r'd\e"',),
        ("9",),
    ]
    text = text.replace(r"\"b", "b").replace(r"\"e", "e")
    assert ingested(con, write(tmp_path / "log.csv", text)).source.notes == ()
