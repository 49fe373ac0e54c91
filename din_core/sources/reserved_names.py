"""The names that the column of an attribute or number may not have, in one list.

The tables, and the queries on the way to them, have columns of these names beside those of the
source: another one of the same name could not be told apart. What only a view for analysts has is
not among them; there the attribute's column steps aside (``sql/macros/in_ids.jinja``).
"""

from __future__ import annotations

from din_core.engines.parquet_tables import BUCKET

_OF_TABLES = {
    "user_id", "user_idx", "item_id", "item_idx", "time", "label", "file", "line", "reason", "raw",
    "position", "k", "history_end", "split", "score", "items", "n_events",
}  # fmt: skip
_OF_READING = {
    "problem", "written_time", "integer_time", "decimal_time", "whole_time", "part_of_time",
    "moment", "offset_sign", "offset_hours", "offset_minutes", "seconds", "fraction", "label_value",
    "file_number", "number_of_file",
}  # fmt: skip
# A number keeps its name all the way to the samples, where an attribute has become an index.
_BESIDE_NUMBERS = {
    "history_start", "history_length", "n_before", "last_moment", "moment_before_last",
    "in_log",
}  # fmt: skip
# Spark takes the folder of a row from a column of this name. A change of the engine refuses no log.
_OF_FOLDERS = {BUCKET}
_RESERVED = frozenset(_OF_TABLES | _OF_READING | _OF_FOLDERS)


def is_reserved(name: str, *, number: bool = False) -> bool:
    """Say whether a column may not be called so, in upper or lower case.

    Args:
        name: The column of the source.
        number: Whether it holds numbers, and not an attribute.
    """
    return name.casefold() in (_RESERVED | _BESIDE_NUMBERS if number else _RESERVED)
