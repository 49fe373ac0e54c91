"""Text from a source, such as a column's name or an id, on its way into another language.

One function a language; SQL's are :func:`din_core.store.sql_files.quote` and ``literal``. Whoever
writes a name into Markdown, into Graphviz's language or to a terminal goes through here.
"""

from __future__ import annotations

import html
import re

# What Markdown (GitHub's, as the Dagster UI shows it) or HTML could read as more than text.
_MARKDOWN = re.compile(r"""[\\`*_\[\]<>&|~#$!"']|:(?=//)""")


def printable(text: str) -> str:
    r"""Spell out what a terminal would obey instead of show.

    Example:
        >>> printable("a\x1b[2Jb\n")
        'a\\x1b[2Jb\\n'
    """
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii")
        for each in text
    )


def printable_lines(text: str) -> str:
    r"""A sentence or some lines for a terminal: lines stay, and what is not the first is indented.

    So a name with a line break in it, such as a file's, begins no line that looks like another's.

    Example:
        >>> print(printable_lines("a\x1b[2J\nWARNING b"))
        a\x1b[2J
          WARNING b
    """
    return "\n  ".join(map(printable, text.split("\n")))


def markdown_text(value: object) -> str:
    """A value as plain text within a line or a table's cell of Markdown.

    Example:
        >>> markdown_text("<b>1|2")
        '&#60;b&#62;1&#124;2'
    """
    return _MARKDOWN.sub(lambda found: f"&#{ord(found[0])};", printable(str(value)))


def markdown_code(text: str) -> str:
    """Text as code within a line of Markdown, outside of tables.

    Example:
        >>> markdown_code("cat `x`")
        '`` cat `x` ``'
    """
    text = printable(text)
    runs = [len(run) for run in re.findall("`+", text)]
    if not runs:
        return f"`{text}`"
    fence = "`" * (max(runs) + 1)
    return f"{fence} {text} {fence}"


def markdown_code_cell(text: str) -> str:
    r"""Text as code within a cell of a table of Markdown, where a bar would end the cell.

    Example:
        >>> print(markdown_code_cell("a|b_c"))
        `a\|b_c`
    """
    return markdown_code(text).replace("|", r"\|")


def dot_label(*lines: str) -> str:
    r"""Lines as the quoted label of a Graphviz node.

    Example:
        >>> print(dot_label('a"b', "(8, 4)"))
        "a\"b\n(8, 4)"
    """
    # Graphviz reads entities such as &lt; in any label.
    escaped = (html.escape(printable(each), quote=False) for each in lines)
    quoted = (each.replace("\\", r"\\").replace('"', r"\"") for each in escaped)
    return '"' + r"\n".join(quoted) + '"'


def dot_heading(heading: str, *lines: str) -> str:
    """A heading in bold above lines, as the label of a Graphviz node.

    Example:
        >>> print(dot_heading("a<b", "(8, 4)"))
        <<b>a&lt;b</b><br/>(8, 4)>
    """
    bold, *others = (html.escape(printable(each)) for each in (heading, *lines))
    return f"<{'<br/>'.join([f'<b>{bold}</b>', *others])}>"
