"""Read one line of the Amazon 2014 metadata: a Python literal of which two keys are wanted.

The lines are ``repr`` of dictionaries, kilobytes long, with descriptions and lists of related
products. ``ast.literal_eval`` on all of it is slow, so the pairs are stepped over by a regular
expression that knows the literals which occur. Whatever it does not know, it leaves to
``ast.literal_eval``: the two agree on every line, or the fast way has no answer.
"""

from __future__ import annotations

import ast
import re
import warnings
from functools import lru_cache
from typing import cast

_HEX = "[0-9a-fA-F]"
# \N{…} and the like are left to ast; a \x with one digit is a syntax error there, so no match here.
_ESCAPE = rf"\\(?:[^xuUN\r\n\0]|x{_HEX}{{2}}|u{_HEX}{{4}}|U00(?:0{_HEX}|10){_HEX}{{4}})"
_STRING = (
    rf"(?:'[^'\\\r\n\0]*+(?:{_ESCAPE}[^'\\\r\n\0]*+)*'"
    rf'|"[^"\\\r\n\0]*+(?:{_ESCAPE}[^"\\\r\n\0]*+)*")'
)
_NUMBER = r"-?(?:0|[1-9][0-9]{0,300})(?:\.[0-9]{1,300})?(?:[eE][+-]?[0-9]{1,3})?"
_ATOM = rf"{_STRING}|{_NUMBER}|None|True|False"
_COMMA = r"[ ]*+,[ ]*+"
_COLON = r"[ ]*+:[ ]*+"


def _nested(value: str, depth: int) -> str:
    """The pattern of ``value`` or of lists and dictionaries of it, ``depth`` levels deep."""
    if depth == 0:
        return f"(?:{value})"
    inner = _nested(value, depth - 1)
    pair = f"{_STRING}{_COLON}{inner}"
    many = rf"\[(?:{inner}(?:{_COMMA}{inner})*)?\]"
    mapping = rf"\{{(?:{pair}(?:{_COMMA}{pair})*)?\}}"
    return f"(?:{value}|{many}|{mapping})"


# Keys with a backslash are left to ast: '\x61sin' is a spelling of 'asin'.
_KEY = r"""(?:'([^'\\\r\n\0]*+)'|"([^"\\\r\n\0]*+)")"""
_PAIR = re.compile(rf"{_KEY}{_COLON}({_nested(_ATOM, 2)})[ ]*+(?:,[ ]*+|(\}}[ ]*+\Z))")
_LEADING_ASIN = re.compile(r"\{'asin': '([^'\\\r\n\0]*+)', ")


class MetadataError(ValueError):
    """A line that holds no usable item; the message is the reason without file and line."""


def leading_asin(line: str) -> str | None:
    """The item of a line that begins with it, as nearly all do; None says nothing.

    It lets a reader pass over lines of items that nobody asks for.

    Example:
        >>> leading_asin("{'asin': 'B0001', 'title': 'Tea'}")
        'B0001'
    """
    found = _LEADING_ASIN.match(line)
    return None if found is None else found[1]


def read_metadata(line: str) -> tuple[str, str]:
    """The item of a metadata line and its category: the last entry of the last category path.

    Args:
        line: A dictionary as a Python literal, without its line break.

    Returns:
        ``asin`` and category, neither empty.

    Raises:
        MetadataError: The line is not such a literal, or one of the two is missing or empty.

    Example:
        >>> read_metadata("{'asin': 'B01', 'categories': [['Food'], ['Food', 'Tea']]}")
        ('B01', 'Tea')
    """
    literals = top_level_literals(line)
    if literals is None:
        whole = parse_literal(line)
        if not isinstance(whole, dict):
            raise MetadataError(f"a {type(whole).__name__} where a dictionary is expected")
        item = cast("dict[object, object]", whole)
        return _asin_of(item), _last_category(item.get("categories"))
    asin = _asin_of({key: parse_literal(literals[key]) for key in ("asin",) if key in literals})
    return asin, _category_of(literals.get("categories", "None"))


def top_level_literals(line: str) -> dict[str, str] | None:
    """The source text of each value of a dictionary literal, unparsed; None means: ask ``ast``.

    Example:
        >>> top_level_literals("{'a': [1, 'x'], 'b': None}")
        {'a': "[1, 'x']", 'b': 'None'}
    """
    if not line.startswith("{"):
        return None
    literals: dict[str, str] = {}
    position = 1
    while (pair := _PAIR.match(line, position)) is not None:
        single, double, value, end = pair.groups()
        literals[single if single is not None else double] = value
        if end is not None:
            return literals
        position = pair.end()
    return None


def parse_literal(text: str) -> object:
    """``ast.literal_eval`` whose every refusal is a :class:`MetadataError`."""
    try:
        with warnings.catch_warnings():
            # '\d' is a deprecated spelling of a backslash and a d, and harmless here.
            warnings.simplefilter("ignore")
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else type(error).__name__
        raise MetadataError(f"not a Python literal ({reason})") from error


def _asin_of(item: dict[object, object]) -> str:
    asin = item.get("asin")
    if not isinstance(asin, str) or not asin:
        raise MetadataError(f"'asin' is {asin!r:.40}, not a text")
    return asin


@lru_cache(maxsize=1 << 16)
def _category_of(literal: str) -> str:
    return _last_category(parse_literal(literal))


def _last_category(paths: object) -> str:
    if isinstance(paths, list) and paths:
        path = cast("list[object]", paths)[-1]
        if isinstance(path, list) and path:
            category = cast("list[object]", path)[-1]
            if isinstance(category, str) and category:
                return category
    raise MetadataError(f"'categories' is {paths!r:.60}, whose last path names no category")
