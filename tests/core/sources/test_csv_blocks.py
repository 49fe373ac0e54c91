"""Rows and their lines, however the text is cut into blocks."""

import functools
import io

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from din_core.sources import csv_blocks
from din_core.sources.csv_blocks import read_rows
from din_core.sources.csv_header import Header, read_header
from din_core.sources.raw_lines import raw_text
from din_core.sources.record_rows import BadRow, RecordReader
from din_core.sources.records import RecordRules
from tests.core.sources.slow_reader import read_slowly

HEADER = Header(",", ("a", "b", "c"), 0, 2)
WITHOUT_QUOTING = Header("\t", ("a", "b", "c"), 0, 2, quoting=False)


def read(text, header=HEADER, block_bytes=1 << 20, **limits):
    return read_rows(
        io.BytesIO(text),
        header,
        {"a": 0, "c": 2},
        **{"pending": b"", "where": "t", "block_bytes": block_bytes, **limits},
    )


def parsed(text, header=HEADER, block_bytes=1 << 20, **limits):
    """Read text below a header; return [(line, a, c)] and the bad rows."""
    found, bad = [], []
    for rows in read(text, header, block_bytes, **limits):
        values = [column.to_pylist() for column in rows.values.values()] or [[], []]
        found += list(zip(rows.lines.tolist(), *values, strict=True))
        bad += rows.bad
    return found, bad


def test_blank_lines_count_as_lines_but_are_no_rows():
    assert parsed(b"\n1,2,3\n\r\n\n4,5,6\r\n") == ([(3, "1", "3"), (6, "4", "6")], [])


def test_value_with_a_line_break_is_one_row_at_its_first_line():
    text = b'1,"x\ny\n",3\n4,5,6\n"a\nb",2,"c"\n'
    assert parsed(text) == ([(2, "1", "3"), (5, "4", "6"), (6, "a\nb", "c")], [])


def test_quotes_inside_a_value():
    text = b'"a""b",2,"x,y"\na"b,2,"3"4\n"",2,""\n'
    assert parsed(text) == ([(2, 'a"b', "x,y"), (3, 'a"b', "34"), (4, "", "")], [])


def test_open_quote_rejects_its_own_line_only():
    text = b'1,"2,3\n4,5,6\n7,8,9\n'
    assert parsed(text) == (
        [(3, "4", "6"), (4, "7", "9")],
        [BadRow(2, "a quote is opened and not closed", '1,"2,3')],
    )


def test_open_quote_does_not_take_the_next_quoted_value_for_its_end():
    text = b'1,"2,3\n4,"5",6\n7,8,"9"\n'
    found, bad = parsed(text)
    assert found == [(3, "4", "6"), (4, "7", "9")]
    assert [row.line for row in bad] == [2]


def test_open_quote_at_the_very_end():
    for text in (b'1,2,"', b'1,2,"\n', b'1,2,"3'):
        found, bad = parsed(text)
        assert found == []
        assert [(row.line, row.raw) for row in bad] == [(2, text.decode().rstrip("\n"))]


def test_ragged_rows_say_what_they_have():
    assert parsed(b"1,2\n1,2,3,4\n1,2,3\n")[1] == [
        BadRow(2, "expected 3 fields, found 2", "1,2"),
        BadRow(3, "expected 3 fields, found 4", "1,2,3,4"),
    ]


def test_bytes_that_are_not_utf_8_reject_their_line_and_stay_readable():
    found, bad = parsed(b"1,\xff,3\n\xc3\xa9,2,3\n")
    assert found == [(3, "é", "3")]
    assert bad == [BadRow(2, "not UTF-8 (byte 0xff)", r"1,\xff,3")]


def test_bare_carriage_return_rejects_its_line():
    found, bad = parsed(b"1,2\r,3\n4,5,6\n")
    assert found == [(3, "4", "6")]
    assert bad == [BadRow(2, "a carriage return inside the line", "1,2\r,3")]


def test_doubled_carriage_returns_end_a_line():
    text = b'1,2,3\r\r\n\r\r\n4,5,"6"\r\r\n'
    assert parsed(text) == ([(2, "1", "3"), (4, "4", "6")], [])


def test_nul_byte_rejects_its_line_and_is_shown():
    found, bad = parsed(b"1\x00,2,3\n4,5,6\n")
    assert found == [(3, "4", "6")]
    assert bad == [BadRow(2, "a NUL byte", r"1\x00,2,3")]


def test_blanks_may_stand_around_quotes():
    text = b'1, "x, y" , "z"\n "a\nb" ,2,\t"c"\n'
    assert parsed(text) == ([(2, "1", "z"), (3, "a\nb", "c")], [])


def test_quotes_mean_nothing_without_quoting():
    text = b'"1\t2\t3\n4\t5\t6"\n"7"\t""\t8"9\n"\t"\n'
    assert parsed(text, WITHOUT_QUOTING) == (
        [(2, '"1', "3"), (3, "4", '6"'), (4, '"7"', '8"9')],
        [BadRow(5, "expected 3 fields, found 2", '"\t"')],
    )


@pytest.mark.parametrize("around", ["", "\x1f"], ids=["at_once", "line_by_line"])
def test_delimiter_of_two_characters(around):
    header = Header("::", ("a", "b", "c"), 0, 2, quoting=False)
    text = f"1::{around}x:y::3\n:4:::5::6\n7::8\n".encode()
    assert parsed(text, header) == (
        [(2, "1", "3"), (3, ":4", "6")],
        [BadRow(4, "expected 3 fields, found 2", "7::8")],
    )


def test_quoted_value_of_two_delimiters_is_split_by_neither():
    header = Header("::", ("a", "b", "c"), 0, 2)
    assert parsed(b'"1::2"::2::3\n"a\nb"::2::c\n', header)[0] == [
        (2, "1::2", "3"),
        (3, "a\nb", "c"),
    ]


def test_long_quoted_value_is_one_row_in_blocks_of_any_size():
    # csv.reader refuses a field from 128 KiB on, and each of its lines was a rejected row then.
    long = "x\n" * 200_000
    text = f'1,"{long}",3\n4,5,6\n'.encode()
    for block_bytes in (1 << 12, 1 << 20):
        assert parsed(text, block_bytes=block_bytes) == ([(2, "1", "3"), (200_003, "4", "6")], [])
        raws = raw_text(
            io.BytesIO(text), HEADER, np.array([2]), pending=b"", block_bytes=block_bytes
        )
        assert [(line, len(raw)) for line, raw in raws] == [(2, 400_006)]


def test_quote_open_for_longer_than_a_record_may_be_says_the_limit():
    text = b'1,"2,3\n' + b"4,5,6\n" * 100
    found, bad = parsed(text, block_bytes=60, longest_record_bytes=300)
    assert [line for line, *_ in found] == list(range(3, 103))
    assert bad == [BadRow(2, "a quote is opened and not closed within 300 bytes", '1,"2,3')]


def test_lines_that_a_quoted_value_takes_in_are_counted_and_rows_among_them_reported():
    header = Header(",", ("a", "time", "c"), 0, 2)
    text = b'1,5,"x\n2,6,y"\n1,5,"see a, b,\nand c, d, e"\n3,4,5\n'
    rows = list(read_rows(io.BytesIO(text), header, {"a": 0, "time": 1}, pending=b"", where="t"))
    assert [line for some in rows for line in some.lines.tolist()] == [2, 4, 6]
    assert sum(some.continued for some in rows) == 2
    assert [line for some in rows for line in some.swallowed] == [2]


def test_values_that_keep_their_quotes_are_counted():
    text = b'"1"\t2\t"3"\n"4\t5\t6"\n7"\t"8"\t9\r\n'
    assert sum(some.enclosed for some in read(text, WITHOUT_QUOTING)) == 3


class Counting:
    """A compiled pattern that counts the bytes which its matches cover."""

    def __init__(self, pattern):
        self.pattern, self.bytes = pattern, 0

    def match(self, text, start, stop):
        found = self.pattern.match(text, start, stop)
        self.bytes += found.end() - start
        return found


def work(monkeypatch, text, width, **limits):
    """Bytes that the parser and the search for closing quotes look at, reading the text."""
    looked_at = []
    init, parse = RecordRules.__init__, csv_blocks._Reader.parse

    def counting_init(self, *args, **options):
        init(self, *args, **options)
        self._inside = Counting(self._inside)
        looked_at.append(self._inside)

    def counting_parse(self, block, line):
        n_parsed.append(len(block))
        return parse(self, block, line)

    n_parsed = []
    header = Header(",", tuple("abcdefghij"[:width]), 0, 2)
    with monkeypatch.context() as patch:
        patch.setattr(RecordRules, "__init__", counting_init)
        patch.setattr(csv_blocks._Reader, "parse", counting_parse)
        rows = list(read(text, header, block_bytes=1 << 13, **limits))
    n_lines = sum(len(some.lines) + len(some.bad) + some.continued for some in rows)
    assert n_lines == text.count(b"\n")
    return sum(n_parsed) + sum(each.bytes for each in looked_at)


# A broader header only lets a line end later: with three columns every unit is asked already.
@pytest.mark.parametrize("width", [3, pytest.param(10, marks=pytest.mark.thorough)])
@pytest.mark.parametrize(
    "unit",
    [
        b'x"y,"abc\n',
        b'x","abc\n',
        b'1,"2,3\n',
        b'1,2,"""\n',
        b'"\n',
        b'1,"2,3\n' + b"4,5,6\n" * 500,
        b'1,"x"",3\n' + b"4,5,6\n" * 40,
        b'1,"x\ny",3\n1,"2,3\n' + b"4,5,6\n" * 50,
        b'"a","b\n',
        b'1,"' + b"x" * 3000 + b"\n",
    ],
)
def test_quotes_that_never_close_cost_no_more_the_longer_the_file(monkeypatch, unit, width):
    once, twice = (
        work(monkeypatch, unit * (n_bytes // len(unit)), width) for n_bytes in (1 << 16, 1 << 17)
    )
    assert twice < 2.5 * once
    assert twice < 40 * (1 << 17)


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_delimiter_is_the_one_that_shows_the_required_columns(delimiter):
    names = ("user_id", "x,y;z", "time")
    start = delimiter.join(f'"{name}"' for name in names).encode() + b"\r\n1\n"
    header = read_header(b"\xef\xbb\xbf\n" + start, required=("user_id", "time"), where="t")
    assert (header.delimiter, header.columns, header.first_line) == (delimiter, names, 3)
    assert (b"\xef\xbb\xbf\n" + start)[header.first_byte :] == b"1\n"


def test_delimiters_inside_values_do_not_split():
    header = Header("|", ("a", "b", "c"), 0, 2)
    assert parsed(b'1,2|"x|y"|3;4\n', header) == ([(2, "1,2", "3;4")], [])


def test_one_bad_line_does_not_slow_down_its_block(monkeypatch):
    # The record-by-record way must see a small window around the bad line, not the whole block.
    taken = []
    take = RecordReader._take
    monkeypatch.setattr(
        RecordReader, "_take", lambda self, *args: (taken.append(1), take(self, *args))[1]
    )
    lines = [b"1,2,3\n"] * 200_000
    lines[120_000] = b'1,"2,3\n'
    found, bad = parsed(b"".join(lines))
    assert len(found) == 199_999
    assert [row.line for row in bad] == [120_002]
    assert len(taken) < 15_000


def test_long_quoted_value_is_looked_at_no_more_often_the_longer_it_is(monkeypatch):
    # Of 32 and of 64 blocks: read block by block, it would be looked at from its start each time.
    once, twice = (
        work(monkeypatch, b'1,"' + b"x\n" * (n_bytes // 2) + b'",3\n', 3)
        for n_bytes in (1 << 18, 1 << 19)
    )
    assert twice < 2.5 * once


def test_line_without_end_is_refused_before_it_fills_the_memory():
    with pytest.raises(csv_blocks.SourceError, match="line 2 is longer than"):
        parsed(b"x" * 9_000, block_bytes=1_000, longest_record_bytes=4_000)


line = st.one_of(
    st.sampled_from(["1,2,3", '"a",b,"c"', '"x\ny",2,3', "1,2", "", '1,"2,3', '1,2,"3', "a,b,c,d"]),
    st.sampled_from(['1, "2,3" ,4', ' "x\ny" ,2, "3"', '"a"b,"c"d,e', '""",2,3', '"1,2,3"']),
    st.text(alphabet='1,"\n é', max_size=12),
)
text_of_lines = st.lists(line, max_size=12).map("\n".join)
dialect = st.sampled_from([(",", True), ("\t", True), ("\t", False), ("::", True), ("::", False)])


def rewritten(text, delimiter):
    return text.replace(",", delimiter), functools.partial(Header, delimiter, ("a", "b", "c"), 0, 2)


@given(text_of_lines, st.integers(1, 60), dialect)
@example('1,2,"\n"', 60, (",", True))
@example('"a\n",2,3\n"', 3, (",", True))
@example('1,2," \n "', 3, (",", True))
def test_rows_are_those_of_the_rules_however_the_text_is_cut(text, block_bytes, dialect):
    delimiter, quoting = dialect
    text, header = rewritten(text, delimiter)
    encoded = text.encode()
    n_bytes = max(block_bytes, 1 + len(encoded) // 4)
    rows = list(read(encoded, header(quoting=quoting), n_bytes))
    found, bad = parsed(encoded, header(quoting=quoting), n_bytes)
    expected = read_slowly(text, 3, delimiter, quoting=quoting)
    good = [row for row in expected if not row.problem]
    assert found == [(row.line, row.fields[0], row.fields[2]) for row in good]
    assert [(row.line, row.problem, row.raw) for row in bad] == [
        (row.line, row.problem, row.raw) for row in expected if row.problem
    ]
    assert sum(some.continued for some in rows) == sum(row.n_lines - 1 for row in good)


@given(text_of_lines, st.integers(1, 60), dialect)
def test_raw_text_of_a_row_is_found_again_by_its_line(text, block_bytes, dialect):
    delimiter, quoting = dialect
    text, header = rewritten(text, delimiter)
    encoded = text.encode()
    good = [row for row in read_slowly(text, 3, delimiter, quoting=quoting) if not row.problem]
    lines = np.array([row.line for row in good], dtype=np.int64)
    raws = raw_text(
        io.BytesIO(encoded), header(quoting=quoting), lines, pending=b"", block_bytes=block_bytes
    )
    assert list(raws) == [(row.line, row.raw) for row in good]


def test_blanks_of_any_kind_are_dropped_whatever_stands_beside_them():
    for beside in ("", "x y,2,3\n"):
        rows, bad = parsed(f"1\f,2,3\n\v4,5,\f6\f\n{beside}".encode())
        assert rows[:2] == [(2, "1", "3"), (3, "4", "6")]
        assert not bad


def test_marks_of_files_put_one_behind_the_other_are_no_part_of_a_value():
    mark = b"\xef\xbb\xbf"
    text = b"1,2,3\n" + mark + b"4,5,6\n7," + mark + b",\\N\n"
    for some in (text, mark + text, text + b'"8","9","x\ny"\n'):
        rows, bad = parsed(some)
        assert rows[:3] == [(2, "1", "3"), (3, "4", "6"), (4, "7", "")]
        assert not bad
