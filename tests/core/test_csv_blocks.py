"""Rows and their lines, however the text is cut into blocks."""

import io

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from din_core.sources import csv_blocks
from din_core.sources.csv_blocks import BadRow, read_rows
from din_core.sources.csv_header import Header, read_header
from din_core.sources.raw_lines import raw_text

HEADER = Header(",", ("a", "b", "c"), 0, 2)


def parsed(text, header=HEADER, block_bytes=1 << 20):
    """Read text below a header; return [(line, a, c)] and the bad rows."""
    found, bad = [], []
    reading = read_rows(
        io.BytesIO(text), header, {"a": 0, "c": 2}, pending=b"", where="t", block_bytes=block_bytes
    )
    for rows in reading:
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
    assert bad[0].problem.startswith("not CSV")


def test_nul_byte_in_a_value_is_kept():
    assert parsed(b"1\x00,2,3\n4,5,6\n")[0] == [(2, "1\x00", "3"), (3, "4", "6")]


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
    take = csv_blocks._Reader._take
    monkeypatch.setattr(
        csv_blocks._Reader, "_take", lambda self, *args: (taken.append(1), take(self, *args))[1]
    )
    lines = [b"1,2,3\n"] * 200_000
    lines[120_000] = b'1,"2,3\n'
    found, bad = parsed(b"".join(lines))
    assert len(found) == 199_999
    assert [row.line for row in bad] == [120_002]
    assert len(taken) < 15_000


def test_line_without_end_is_refused_before_it_fills_the_memory():
    with pytest.raises(csv_blocks.SourceError, match="line 2 is longer than"):
        parsed(b"x" * 9_000, block_bytes=1_000)


def obvious(text):
    """The rules, slowly: one line after the other, joined while a quote is open."""
    found, bad, lines, at = [], [], text.split("\n"), 0
    while at < len(lines):
        if lines[at]:
            for last in range(at, len(lines)):
                fields, closed, tidy = split("\n".join(lines[at : last + 1]))
                if closed:
                    break
            if closed and (last == at or (tidy and len(fields) == 3)):
                if len(fields) == 3:
                    found.append((at + 2, fields[0].strip(), fields[2].strip()))
                else:
                    bad.append((at + 2, f"expected 3 fields, found {len(fields)}", lines[at]))
                at = last
            else:
                bad.append((at + 2, "a quote is opened and not closed", lines[at]))
        at += 1
    return found, bad


def split(record):
    """Split a record; say whether its quotes are closed and end their values."""
    fields, at, tidy = [], 0, True
    while True:
        value = ""
        if record[at : at + 1] == '"':
            at += 1
            while at < len(record):
                if record[at] != '"':
                    value, at = value + record[at], at + 1
                elif record[at + 1 : at + 2] == '"':
                    value, at = value + '"', at + 2
                else:
                    break
            if at == len(record):
                return fields, False, tidy
            at += 1
            tidy &= record[at : at + 1] in ("", ",")
        end = record.find(",", at)
        fields.append(value + (record[at:] if end < 0 else record[at:end]))
        if end < 0:
            return fields, True, tidy
        at = end + 1


line = st.one_of(
    st.sampled_from(["1,2,3", '"a",b,"c"', '"x\ny",2,3', "1,2", "", '1,"2,3', '1,2,"3', "a,b,c,d"]),
    st.text(alphabet='1,"\n é', max_size=12),
)


@given(st.lists(line, max_size=12).map("\n".join), st.integers(1, 60))
@example('1,2,"\n"', 60)
@example('"a\n",2,3\n"', 3)
def test_rows_are_those_of_the_rules_however_the_text_is_cut(text, block_bytes):
    encoded = text.encode()
    found, bad = parsed(encoded, block_bytes=max(block_bytes, 1 + len(encoded) // 4))
    assert (found, [(row.line, row.problem, row.raw) for row in bad]) == obvious(text)


@given(st.lists(line, max_size=12).map("\n".join), st.integers(1, 60))
def test_raw_text_of_a_row_is_found_again_by_its_line(text, block_bytes):
    encoded = text.encode()
    found, _ = parsed(encoded)
    lines = np.array([row[0] for row in found], dtype=np.int64)
    raws = raw_text(io.BytesIO(encoded), HEADER, lines, pending=b"", block_bytes=block_bytes)
    assert [(line, split(raw)[0][0].strip()) for line, raw in raws] == [row[:2] for row in found]
