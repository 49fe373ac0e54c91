"""Each line that is not blank belongs to a row, good or rejected: on logs of any shape."""

import contextlib
import csv
import functools
import io
from unittest import mock

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from din_core.config import SourceConfig
from din_core.sources import SourceError, ingest, staging
from din_core.sources.csv_blocks import read_rows
from tests.core.sources.slow_reader import read_slowly

NAMES = ("user_id", "item_id", "time", "title")

value = st.one_of(
    st.sampled_from(["1", "2", '"', '""', '"Heroes', 'Monday 12"', "two\nlines", " x ", ""]),
    st.text(alphabet='12"\n ,\té', max_size=6),
)
row = st.one_of(
    st.tuples(st.sampled_from("12"), st.sampled_from("12"), st.sampled_from("3456"), value),
    st.tuples(value, value, value, value),
    st.lists(value, min_size=1, max_size=6),
)
quoting_of_writer = st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
delimiters = st.sampled_from([",", "\t", ";", "|", "\x01"])


def written(rows, delimiter, quoting, line_end):
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=line_end).writerows(rows)
    return text.getvalue()


@st.composite
def bodies(draw):
    """Rows of a log as text: parts that a writer made, parts by hand, blank lines between."""
    delimiter = draw(delimiters)
    line_end = draw(st.sampled_from(["\n", "\r\n"]))
    by_writer = st.builds(
        written,
        st.lists(row, min_size=1, max_size=4),
        st.just(delimiter),
        quoting_of_writer,
        st.just(line_end),
    )
    by_hand = row.map(lambda some: delimiter.join(some) + line_end)
    quoted_by_hand = row.map(
        lambda some: f"{delimiter} ".join(f'"{each}" ' for each in some) + line_end
    )
    blank = st.sampled_from([line_end, "\n\n"])
    parts = draw(st.lists(st.one_of(by_writer, by_hand, quoted_by_hand, blank), max_size=8))
    body = "".join(parts)
    return delimiter, body.rstrip("\r\n") if draw(st.booleans()) else body


def is_usable(row):
    """Whether a row of this test's values can be used: ids that are there, a time of digits."""
    user, item, time, _ = row.fields
    return bool(user and item) and time.isascii() and time.isdigit()


@contextlib.contextmanager
def small_blocks():
    reading = functools.partial(read_rows, block_bytes=32)
    with mock.patch.multiple(staging, BLOCK_BYTES=128, read_rows=reading):
        yield


@settings(max_examples=max(15, settings.default.max_examples // 2))
@given(body=bodies(), quoting=st.sampled_from(["minimal", "none"]))
def test_each_line_is_in_one_account(tmp_path_factory, body, quoting):
    delimiter, body = body
    path = tmp_path_factory.mktemp("log") / "log.txt"
    path.write_bytes((delimiter.join(NAMES) + "\n" + body).encode())
    expected = read_slowly(body, 4, delimiter, quoting=quoting == "minimal")
    good = [row for row in expected if not row.problem and is_usable(row)]
    bad = [row for row in expected if row.problem or not is_usable(row)]
    source = SourceConfig(path=str(path), quoting=quoting, item_attribute_cols=())
    with duckdb.connect() as con, small_blocks():
        if not good:
            with pytest.raises(SourceError, match=f"not one of {len(bad)} rows|no row below"):
                ingest(con, source)
            return
        report = ingest(con, source)
        found = con.execute(
            "select line, user_id::varchar, item_id::varchar, time from interactions order by line"
        ).fetchall()
        rejected = con.execute("select line, raw from rejected_rows order by line").fetchall()
    assert found == [(row.line, *row.fields[:2], int(row.fields[2])) for row in good]
    assert rejected == [(row.line, row.raw) for row in bad]
    # The account: rows, and the lines that belong to a quoted value of a row.
    covered = {row.line + i for row in expected for i in range(row.n_lines)}
    lines = enumerate(body.split("\n"), start=2)
    assert {line for line, text in lines if text.rstrip("\r")} <= covered
    assert len(covered) == report.lines_read + report.source.continued
    assert report.lines_read == report.interactions + report.rejected


@settings(max_examples=max(8, settings.default.max_examples // 4))
@given(
    titles=st.lists(value, min_size=1, max_size=12),
    delimiter=delimiters,
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    line_end=st.sampled_from(["\n", "\r\n"]),
)
def test_what_a_writer_quotes_throughout_is_read_back(
    tmp_path_factory, titles, delimiter, quoting, line_end
):
    rows = [("u", f"i{i}", i, f"t{title}") for i, title in enumerate(titles)]
    path = tmp_path_factory.mktemp("log") / "log.txt"
    path.write_bytes(written([NAMES, *rows], delimiter, quoting, line_end).encode())
    with duckdb.connect() as con:
        report = ingest(con, SourceConfig(path=str(path), item_attribute_cols=("title",)))
        found = con.execute(
            "select user_id, item_id, time, title from interactions order by time"
        ).fetchall()
    assert found == [(*row[:3], row[3].rstrip()) for row in rows]
    assert report.rejected == 0
