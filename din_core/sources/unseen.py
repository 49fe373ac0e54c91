"""Characters at the ends of values that nobody sees: no-break spaces, marks of no width.

They make another id of one that looks the same. They are told of and not removed: in some scripts
and systems they belong to the value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# The no-break blank and the soft hyphen, the blanks of typography and the marks among them, the
# ideographic blank, the byte order mark.
_UNSEEN = r"[\x{A0}\x{AD}\x{2000}-\x{200F}\x{2028}-\x{202F}\x{205F}-\x{2064}\x{3000}\x{FEFF}]"
_AT_AN_END = f"^{_UNSEEN}|{_UNSEEN}$"
# How each of them begins in UTF-8; looked for first, which takes next to nothing.
_BEGINNINGS = (b"\xc2\xa0", b"\xc2\xad", b"\xe2\x80", b"\xe2\x81", b"\xe3\x80\x80", b"\xef\xbb\xbf")
# They are numbers, or nothing that is used.
_NO_NAMES = ("time", "label")


def may_have_unseen(text: bytes) -> bool:
    """Whether :func:`rows_with_unseen` could find something in a text."""
    return not text.isascii() and any(each in text for each in _BEGINNINGS)


def rows_with_unseen(values: Mapping[str, Any]) -> list[int]:
    """Find the rows in which a value begins or ends with a character that is not seen.

    Args:
        values: Column name to its values; columns that are no text have none.

    Returns:
        Their numbers from 0, in ascending order.
    """
    found: set[int] = set()
    for name, column in values.items():
        if name in _NO_NAMES or not pa.types.is_string(column.type):
            continue
        if pc.call_function("all", [pc.call_function("string_is_ascii", [column])]).as_py():
            continue
        options = pc.MatchSubstringOptions(_AT_AN_END)
        has_one = pc.call_function("match_substring_regex", [column], options)
        found.update(np.flatnonzero(has_one.to_numpy(zero_copy_only=False)).tolist())
    return sorted(found)
