"""The names that an attribute's column may not have, in one list.

The tables, and the queries on the way to them, have columns of these names beside those of the
source: an attribute of the same name could not be told apart. What only a view for analysts has is
not among them; there the attribute's column steps aside (``sql/macros/in_ids.jinja``).
"""

from __future__ import annotations

_OF_TABLES = {
    "user_id", "user_idx", "item_id", "item_idx", "time", "label", "file", "line", "reason", "raw",
    "position", "k", "history_end", "split", "score", "items", "n_events",
}  # fmt: skip
_OF_READING = {
    "problem", "written_time", "integer_time", "decimal_time", "whole_time", "part_of_time",
    "moment", "offset_sign", "offset_hours", "offset_minutes", "seconds", "fraction", "label_value",
    "file_number", "number_of_file",
}  # fmt: skip
_RESERVED = frozenset(_OF_TABLES | _OF_READING)


def is_reserved(name: str) -> bool:
    """Say whether an attribute's column may not be called so, in upper or lower case."""
    return name.casefold() in _RESERVED
