"""The tokens of a SQL template: of the SQL and of the Jinja in it, without comments and layout.

The template itself is taken, every branch of it, and not what comes out for some options: a limit
at which a branch is taken shows in no rendering that does not come near it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import jinja2

_TOKEN = re.compile(
    r"""
      (?P<comment> --[^\n]* | /\*.*?\*/ )
    | (?P<text> [eE]?'(?:[^']|'')*' | "(?:[^"]|"")*" | (?P<fence>\$\w*\$).*?(?P=fence) )
    | (?P<number> (?:\d[\w.]*|\.\d\w*)(?:(?<=[eE])[+-]\d+)? )
    | (?P<word> [\w\ue000-\uf8ff]+ )
    | (?P<space> \s+ )
    | (?P<alone> [()\[\]{};,] )
    | (?P<operator> (?:(?!--|/\*)[^\w\s()\[\]{};,"'\ue000-\uf8ff])+ )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_FIRST, _LAST = 0xE000, 0xF8FF
_PLACEHOLDER = re.compile(f"[{chr(_FIRST)}-{chr(_LAST)}]")
_OPENS = {"block_begin": "{%", "variable_begin": "{{"}
_CLOSES = {"block_end": "%}", "variable_end": "}}"}


def template_tokens(environment: jinja2.Environment, text: str) -> tuple[list[str], list[str]]:
    """Split a template into tokens.

    Args:
        environment: That of the templates: it says what white space Jinja removes.
        text: The template.

    Returns:
        The tokens, comments of either language left out, and the names of the templates that it
        takes macros from.
    """
    sql, constructs, others = _constructs(environment, text)
    tokens: list[str] = []
    for found in _TOKEN.finditer(sql):
        held = [constructs[ord(mark) - _FIRST] for mark in _PLACEHOLDER.findall(found[0])]
        if found.lastgroup == "space":
            continue
        # What Jinja does inside a comment it does all the same, as with `-- {% set a = 1 %}`.
        if found["comment"] is None:
            tokens.append(_PLACEHOLDER.sub("\ue000", found[0]))
        tokens += held
    return tokens, others


def _constructs(environment: jinja2.Environment, text: str) -> tuple[str, list[str], list[str]]:
    """Put a mark in the place of each construct of Jinja, so that what it touches still shows."""
    sql: list[str] = []
    constructs: list[str] = []
    others: list[str] = []
    current: list[tuple[str, str]] | None = None
    touches = False
    for _, kind, value in _lexed(environment, text):
        if kind in _OPENS:
            current = [("", _OPENS[kind])]
        elif kind in _CLOSES and current is not None:
            words = [word for _, word in current]
            sql.append(chr(_FIRST + len(constructs)))
            constructs.append("\0".join([*words, _CLOSES[kind]]))
            if len(constructs) > _LAST - _FIRST:
                raise ValueError("a SQL template of more than 6,400 Jinja constructs")
            if words[1] in ("from", "import", "include", "extends"):
                others += [word[1:-1] for kind_, word in current[2:3] if kind_ == "string"]
            current = None
            touches = kind == "block_end" and bool(sql[:-1]) and not sql[-2][-1:].isspace()
        elif kind == "data":
            # The line end behind a block is not printed: what touches the block from before then
            # touches what comes behind it.
            sql.append(value.removeprefix("\n") if touches else value)
            touches = False
        elif current is not None and kind != "whitespace":
            current.append((kind, value))
    return "".join(sql), constructs, others


def _lexed(environment: jinja2.Environment, text: str) -> Iterator[tuple[int, str, str]]:
    """Lex, the comments of Jinja left out; what stands in `raw` is data like any other."""
    # Blank lines around a block are layout, so Jinja does not get to remove its line end here.
    untrimmed = environment.overlay(trim_blocks=False, lstrip_blocks=False)
    for line, kind, value in untrimmed.lex(text):
        if not kind.startswith(("comment", "linecomment")):
            yield line, kind, value
