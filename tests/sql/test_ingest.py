"""`interactions` and `rejected_rows`: what is usable, typed how, and where every row went."""

import csv
import gzip
import io

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from din_core.config import SourceConfig
from din_core.sources import SourceError, ingest
from din_core.sources.rendering import WORDS_FOR_NOTHING

NAMES = ("user_id", "item_id", "time", "cate_id")


def ingest_rows(con, tmp_path, rows, names=NAMES, **config):
    path = tmp_path / "log.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([names, *rows])
    return ingest(con, SourceConfig(path=str(path), **config))


TIMES = [
    ("0", 0),
    ("1400457600", 1_400_457_600),
    ("007", 7),
    ("+7", 7),
    ("1400457600.0", 1_400_457_600),
    ("1.4004576e9", 1_400_457_600),
    ("1.4004576E+09", 1_400_457_600),
    ("1970-01-02", 86_400),
    ("2024-02-29", 1_709_164_800),
    ("2024-02-29T00:00", 1_709_164_800),
    ("2024-02-29 00:00:01", 1_709_164_801),
    ("2024-02-29T00:00:01Z", 1_709_164_801),
    ("2024-02-29 00:00:01 UTC", 1_709_164_801),
    ("2024-02-29 00:00:01GMT", 1_709_164_801),
    ("2024-02-29T00:00:01.000", 1_709_164_801),
    ("2024-02-29T01:00:01+01:00", 1_709_164_801),
    ("2024-02-29T01:00+0100", 1_709_164_800),
    ("20240229T000001Z", 1_709_164_801),
    ("20240229T010001+0100", 1_709_164_801),
    ("20240229T0100+01", 1_709_164_800),
    ("20240229 00:00:01", 1_709_164_801),
    ("2024-02-28 18:30:01 -05:30", 1_709_164_801),
    ("2024-02-28T22:00:01-02", 1_709_164_801),
    ("2024-2-29", 1_709_164_800),
    ("2024-02-1", 1_706_745_600),
    ("2024-2-1 1:00", 1_706_749_200),
    ("2024-02-29 0:00:01", 1_709_164_801),
    ("2024-02-29T1:00:01+01:00", 1_709_164_801),
    ("2024-11-1 10:00", 1_730_455_200),
]


@pytest.mark.parametrize("times", [TIMES, [("1400457600000", 1_400_457_600)]], ids=["s", "ms"])
def test_time_is_read_as_seconds_utc(con, tmp_path, times):
    con.execute("set timezone = 'America/New_York'")  # must not matter
    ingest_rows(con, tmp_path, [("1", "2", written, "3") for written, _ in times])
    found = con.execute("select time from interactions order by line").fetchall()
    assert found == [(seconds,) for _, seconds in times]


@pytest.mark.parametrize(
    ("written", "kind", "seconds"),
    [
        ("7.5", "DECIMAL(18,6)", "7.500000"),
        (".5", "DECIMAL(18,6)", "0.500000"),
        ("1593878903.438", "DECIMAL(18,6)", "1593878903.438000"),
        ("1400457600438", "DECIMAL(18,6)", "1400457600.438000"),
        ("1400457600438.25", "DECIMAL(18,6)", "1400457600.438250"),
        ("1400457600438001", "DECIMAL(18,6)", "1400457600.438001"),
        ("1400457600438001000", "DECIMAL(18,6)", "1400457600.438001"),
        ("1400457600438001002", "DECIMAL(38,18)", "1400457600.438001002000000000"),
        ("2024-02-29T00:00:01.999", "DECIMAL(18,6)", "1709164801.999000"),
        ("2024-02-29T00:00:01,5Z", "DECIMAL(18,6)", "1709164801.500000"),
        ("2024-02-29T01:00:01.5+01:00", "DECIMAL(18,6)", "1709164801.500000"),
        ("20240229T010001,5+01", "DECIMAL(18,6)", "1709164801.500000"),
        ("2024-2-29 0:00:01.999", "DECIMAL(18,6)", "1709164801.999000"),
        ("2024-02-29 00:00:01.123456789 UTC", "DECIMAL(38,18)", "1709164801.123456789000000000"),
        ("0.1234567", "DECIMAL(38,18)", "0.123456700000000000"),
    ],
)
def test_a_fraction_of_a_second_is_kept(con, tmp_path, written, kind, seconds):
    ingest_rows(con, tmp_path, [("1", "2", written, "3")])
    found = con.execute("select typeof(time), time::varchar from interactions").fetchall()
    assert found == [(kind, seconds)]


def test_fractions_of_rejected_rows_have_no_say_in_the_type_of_time(con, tmp_path):
    ingest_rows(con, tmp_path, [("1", "2", "7.0", "4"), ("", "2", "7.5", "4")])
    found = con.execute("select typeof(time), time from interactions").fetchall()
    assert found == [("BIGINT", 7)]


NO_TIME = "time is neither a number nor ISO 8601 such as 2024-05-01T13:00:00Z"


NO_TIMES = [
    ("yesterday", NO_TIME),
    ("1_000", NO_TIME),
    ("nan", NO_TIME),
    ("1e300", NO_TIME),
    ("2024-01-01 10:00 CET", NO_TIME),
    ("9223372036854775808", NO_TIME),
    ("2023-02-29", NO_TIME),
    ("2024-13-01", NO_TIME),
    ("2024-01-01T25:00", NO_TIME),
    ("01/02/2024", NO_TIME),
    ("20240102T", NO_TIME),
    ("2024-1-", NO_TIME),
    ("2024-1-2T", NO_TIME),
    ("2024-1-2 9", NO_TIME),
    ("2024-1-2 24:00", NO_TIME),
    ("2024-1-2 9:5:8", NO_TIME),
    ("2016-12-31T23:59:60Z", NO_TIME),  # a leap second, which seconds since 1970 lack
    ("2024-01-01T24:00:00", NO_TIME),
    ("-1", "negative time"),
    ("-0.5", "negative time"),
    ("1969-12-31", "negative time"),
    ("1969-12-31T23:59:59.9Z", "negative time"),
    ("", "empty time"),
    ("  ", "empty time"),
]


def test_other_times_are_rejected(con, tmp_path):
    times = ["3", *(written for written, _ in NO_TIMES)]
    ingest_rows(con, tmp_path, [("1", "2", time, "4") for time in times])
    assert con.execute("select line, reason, raw from rejected_rows order by line").fetchall() == [
        (line, reason, f"1,2,{written},4")
        for line, (written, reason) in enumerate(NO_TIMES, start=3)
    ]


@pytest.mark.parametrize(
    ("ids", "kind"),
    [
        (("7", "0", "-3", str(2**63 - 1)), "BIGINT"),
        ((" 7 ", "8"), "BIGINT"),
        (("7", "007"), "VARCHAR"),
        (("7", "+8"), "VARCHAR"),
        (("7", "-0"), "VARCHAR"),
        (("7", "1e3"), "VARCHAR"),
        (("7", "7.5"), "VARCHAR"),
        (("x", "7.0"), "VARCHAR"),
        (("7", str(2**63)), "VARCHAR"),
        (("B00YQ6X8EO", "7"), "VARCHAR"),
    ],
)
def test_ids_are_integers_only_where_each_is_one(con, tmp_path, ids, kind):
    ingest_rows(con, tmp_path, [(i, "1", "1", i) for i in ids])
    types = {row[0]: row[1] for row in con.execute("describe interactions").fetchall()}
    assert (types["user_id"], types["cate_id"]) == (kind, kind)
    assert (types["item_id"], types["time"]) == ("BIGINT", "BIGINT")
    found = con.execute("select user_id::varchar from interactions order by line").fetchall()
    assert [row[0] for row in found] == [i.strip() for i in ids]


@pytest.mark.parametrize(
    ("ids", "read"),
    [
        (("1", "1.0", "2.00", "-3.0", "-0.0"), [1, 1, 2, -3, 0]),
        (("1", "1e+06", "1.5E7"), [1, 1_000_000, 15_000_000]),
        ((str(2**53 + 1), f"{2**53 + 1}.0"), [2**53 + 1] * 2),
        # A fraction: all numbers, so whole ones are alike, and the others stay as they are written.
        (("1", "1.0", "1.5", "1.50"), ["1", "1", "1.5", "1.50"]),
        ((str(2**64), "7.0"), [str(2**64), "7"]),
        # Text that is no number: the column holds names, and a name is what is written.
        (("1.0", "1.0.1"), ["1.0", "1.0.1"]),
        (("7.0", "007.0"), ["7.0", "007.0"]),
        (("7.0", "1e3"), ["7.0", "1e3"]),
        (("True", "false", "TRUE"), [1, 0, 1]),
        (("True", "1"), ["True", "1"]),
    ],
)
def test_a_number_is_one_id_however_it_is_written(con, tmp_path, ids, read):
    ingest_rows(con, tmp_path, [(i, "1", "1", i) for i in ids])
    found = con.execute("select user_id, cate_id from interactions order by line").fetchall()
    assert found == [(value, value) for value in read]


def test_a_number_written_in_two_ways_among_text_is_warned_of(con, tmp_path):
    report = ingest_rows(con, tmp_path, [("1", "2", "3", "x"), ("1.0", "2", "3", "x"), "a234"])
    (warning,) = report.source.notes
    assert "'user_id' holds text, and among it numbers both as '1' and as '1.0'" in warning


def test_rejected_rows_have_no_say_in_the_types(con, tmp_path):
    ingest_rows(con, tmp_path, [("7", "1", "1", "1"), ("seven", "1", "x", "1")])
    assert con.execute("select typeof(user_id) from interactions").fetchall() == [("BIGINT",)]


def test_of_equal_rows_the_earliest_by_file_and_line_stays(con, tmp_path):
    for name, lines in {"b": "1,1,1,1\n", "a": "2,2,2,2\n1,1,1,1\n1,1,1,1\n"}.items():
        (tmp_path / f"{name}.csv").write_text("user_id,item_id,time,cate_id\n" + lines)
    source = SourceConfig(path=f"{tmp_path}/*.csv", drop_duplicates=True)
    assert ingest(con, source).duplicates == 2
    assert con.execute("select file, line, user_id from interactions order by all").fetchall() == [
        ("a.csv", 2, 2),
        ("a.csv", 3, 1),
    ]


def test_rows_that_differ_in_label_or_time_notation_alone(con, tmp_path):
    names = (*NAMES, "label")
    rows = [(*"1234", "0"), (*"1234", "1"), ("1", "2", "1970-01-01T00:00:03", "4", "1")]
    report = ingest_rows(con, tmp_path, rows, names, drop_duplicates=True)
    # The label makes a difference; how the same second was written does not.
    assert (report.interactions, report.duplicates) == (2, 1)


def test_columns_of_both_tables_are_commented(con, tmp_path):
    ingest_rows(con, tmp_path, [("1", "2", "3", "4")])
    comments = con.execute(
        "select comment from duckdb_columns() where table_name in ('interactions', 'rejected_rows')"
    ).fetchall()
    assert len(comments) == 10
    assert all(comment for (comment,) in comments)


def as_csv(rows, delimiter=",", line_end="\n", quoting=csv.QUOTE_MINIMAL):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=line_end, quoting=quoting)
    writer.writerows([NAMES, *rows])
    return text.getvalue().encode()


VALID = [("u1", "1", "5", "x, y"), ('u"2"', "2", "2024-01-01", "é"), ("u3", "3", "7", "a|b;c")]


@pytest.mark.parametrize(
    "content",
    [
        as_csv(VALID),
        as_csv(VALID, delimiter="\t"),
        as_csv(VALID, delimiter=";"),
        as_csv(VALID, delimiter="|"),
        as_csv(VALID, quoting=csv.QUOTE_ALL),
        as_csv(VALID, line_end="\r\n"),
        b"\xef\xbb\xbf" + as_csv(VALID),
        as_csv(VALID).rstrip(b"\n"),
        gzip.compress(as_csv(VALID)),
        gzip.compress(as_csv(VALID)[:40]) + gzip.compress(as_csv(VALID)[40:]),
        pa.compress(as_csv(VALID), "zstd", asbytes=True),
    ],
    ids=[
        *("comma", "tab", "semicolon", "pipe", "quoted", "crlf", "bom", "no_end"),
        *("gzip", "gzip_members", "zstd"),
    ],
)
def test_every_dialect_gives_the_same_rows(con, tmp_path, content):
    (tmp_path / "log.csv").write_bytes(content)
    ingest(con, SourceConfig(path=f"{tmp_path}/log.csv"))
    assert con.execute(
        "select user_id, item_id, time, cate_id, line from interactions order by line"
    ).fetchall() == [
        ("u1", 1, 5, "x, y", 2),
        ('u"2"', 2, 1_704_067_200, "é", 3),
        ("u3", 3, 7, "a|b;c", 4),
    ]


def test_parquet_gives_the_same_interactions_as_csv(con, tmp_path):
    table = pa.Table.from_pylist([dict(zip(NAMES, row, strict=True)) for row in VALID])
    pq.write_table(table, tmp_path / "log.parquet")
    (tmp_path / "log.csv").write_bytes(as_csv(VALID))
    answers = []
    for name in ("log.parquet", "log.csv"):
        ingest(con, SourceConfig(path=f"{tmp_path}/{name}"))
        answers.append(con.execute("select * exclude (file, line) from interactions").fetchall())
    assert answers[0] == answers[1]


value = st.one_of(
    st.sampled_from(["", " ", "1", "2", "3", "-1", "007", "a", 'q"q', "é", "two\nlines", "x,y"]),
    # No number in two ways of writing, and no word for nothing, which have tests of their own.
    st.text(st.characters(codec="utf-8", exclude_characters="\0\r.eE"), max_size=4).filter(
        lambda some: some.strip() not in WORDS_FOR_NOTHING
    ),
)
time = st.sampled_from(["1", "2", "3", "x", "", "-4", "2024-01-01", "1969-01-01"])
row = st.one_of(
    st.tuples(st.sampled_from(["1", "2"]), st.sampled_from(["1", "2"]), time, st.just("1")),
    st.tuples(value, value, time, value),
    # Without line breaks: a ragged record over several lines counts as the lines it spans.
    st.lists(value.filter(lambda v: "\n" not in v), min_size=1, max_size=6).filter(
        lambda some: len(some) != 4
    ),
)


@settings(max_examples=max(10, settings.default.max_examples // 4))
@given(rows=st.lists(row, max_size=15), drop_duplicates=st.booleans())
def test_every_row_is_accounted_for(tmp_path_factory, rows, drop_duplicates):
    folder = tmp_path_factory.mktemp("source")
    with duckdb.connect() as con:
        try:
            report = ingest_rows(con, folder, rows, drop_duplicates=drop_duplicates)
        except SourceError:
            assert not any(usable(some) for some in rows)
            return
        found = con.execute(
            "select file, line, user_id::varchar, item_id::varchar, time, cate_id::varchar "
            "from interactions order by line"
        ).fetchall()
        rejected = con.execute("select line, reason, raw from rejected_rows").fetchall()
    expected = [usable(some) for some in rows]
    good = [some for some in expected if some]
    if drop_duplicates:
        good = list(dict.fromkeys(good))
    assert [some[2:] for some in found] == good
    assert report.lines_read == len(rows) == len(found) + len(rejected) + report.duplicates
    assert (report.interactions, report.rejected) == (len(found), len(rejected))
    assert len({some[1] for some in found} | {some[0] for some in rejected}) == len(found) + len(
        rejected
    )
    # Each rejected row is kept whole: it reads back as the row that was written.
    written = {tuple(some) for some in rows}
    for _, reason, raw in rejected:
        assert reason
        assert tuple(next(csv.reader([raw], strict=False))) in written


def usable(fields):
    """The rules of `sql/macros/source_rows.jinja` for the times that this test draws, slowly."""
    blanks = " \t\n\v\f\r"
    if len(fields) != 4:
        return None
    user, item, written, cate = (field.strip(blanks) for field in fields)
    seconds = {"1": 1, "2": 2, "3": 3, "2024-01-01": 1_704_067_200}.get(written)
    return (user, item, seconds, cate or None) if user and item and seconds else None
