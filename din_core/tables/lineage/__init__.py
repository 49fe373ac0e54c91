"""What is made from what: read off the SQL files, never typed beside them."""

from din_core.tables.lineage.heads import Head, head_of
from din_core.tables.lineage.relations import UnreadableQueryError, relations_of
from din_core.tables.lineage.tables import Lineage, LineageError, SqlFile, lineage

__all__ = [
    "Head",
    "Lineage",
    "LineageError",
    "SqlFile",
    "UnreadableQueryError",
    "head_of",
    "lineage",
    "relations_of",
]
