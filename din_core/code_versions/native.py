"""The tokens of C and C++: without comments and layout, literals to the letter."""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"""
      (?P<comment> //(?:[^\n\\]|\\.|\\\n)* | /\*.*?\*/ )
    | (?P<literal>
        (?:u8|[uUL])?R"(?P<fence>[^()\\\s]*)\(.*?\)(?P=fence)"
      | (?:u8|[uUL])?"(?:[^"\\\n]|\\.)*"
      | (?:u8|[uUL])?'(?:[^'\\\n]|\\.)*' )
    | (?P<directive> ^[ \t]*\#(?:
        [^\n\\/"'] | \\. | \\\n | /(?![/*]) | "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*' )* )
    | (?P<number> \.?[0-9](?:'?[\w.]|(?<=[eEpP])[+-])* )
    | (?P<word> \w+ )
    | (?P<space> \s+ )
    | (?P<alone> [()\[\]{};,] )
    | (?P<operator> (?:(?!//|/\*)[^\w\s()\[\]{};,"'])+ )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
_SPACES = re.compile(r"(?:\s|\\\n)+")


def native_tokens(text: str) -> list[str]:
    """Split C or C++ into tokens; comments and white space are none.

    A line of the preprocessor is one token, since blanks mean something there, runs of them as
    one. Operators that touch are one token, so that ``a + +b`` and ``a ++ b`` differ.

    Example:
        >>> native_tokens('x = y/2; // half')
        ['x', '=', 'y', '/', '2', ';']
    """
    tokens: list[str] = []
    for found in _TOKEN.finditer(text):
        if found.lastgroup in ("comment", "space"):
            continue
        if found["directive"] is not None:
            tokens.append(_SPACES.sub(" ", found[0]).strip())
        else:
            tokens.append(found[0])
    return tokens
