"""Names from a source stay text, whatever language they are written into."""

import re

import pytest

from din_core.escaping import (
    dot_label,
    markdown_code,
    markdown_code_cell,
    markdown_text,
    printable,
)

HOSTILE = [
    '<a href="javascript:alert(1)">x</a>',
    "[x](javascript:alert(1))",
    "![x](http://example.com/a.png)",
    "a|b",
    "`code` *bold* _it_ ~~no~~",
    "&lt;b&gt;",
    "two\nlines",
    "$x^2$",
    "https://example.com",
    "\\",
    "\x1b[2J\x00",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_in_a_markdown_cell_is_more_than_text(text):
    escaped = markdown_text(text)
    left = re.sub(r"&#\d+;", "", escaped)
    assert not re.search(r"[\\`*_\[\]<>&|~$\"\x00-\x1f]|://", left)
    shown = re.sub(r"&#(\d+);", lambda found: chr(int(found[1])), escaped)
    assert shown == printable(text)


def test_what_is_harmless_stays_as_it_is():
    for text in ("item 17", "2020-01-01 10:30:00", "naïve café", "a.b/c-d", "東京"):
        assert markdown_text(text) == printable(text) == text
    assert markdown_text(17) == "17"
    assert markdown_text(None) == "None"


def test_code_cannot_be_ended_from_within():
    assert markdown_code("a b") == "`a b`"
    assert markdown_code("a ``b`` c") == "``` a ``b`` c ```"
    assert markdown_code("a\nb") == "`a\\nb`"


def test_code_in_a_cell_ends_neither_the_code_nor_the_cell():
    assert markdown_code_cell("history_item_id") == "`history_item_id`"
    assert markdown_code_cell("a|b`c") == "`` a\\|b`c ``"


def test_a_terminal_obeys_nothing():
    assert printable("\x1b[31mred\r\n\x07\u202e") == "\\x1b[31mred\\r\\n\\x07\\u202e"


def test_label_has_no_quote_or_entity_of_its_own():
    assert dot_label('a"b') == '"a\\"b"'
    assert dot_label("a\\", "b") == '"a\\\\\\nb"'
    assert dot_label("&lt;\n") == '"&amp;lt;\\\\n"'
