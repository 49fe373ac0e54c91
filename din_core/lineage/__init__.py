"""What is made from what: read off the SQL files, never typed beside them."""

from din_core.lineage.heads import Head, head_of
from din_core.lineage.relations import UnreadableQueryError, relations_of
from din_core.lineage.tables import Lineage, LineageError, SqlFile, lineage

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
