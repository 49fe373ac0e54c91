"""What is made from what: read off the SQL files, never typed beside them."""

from din_core.store.query_relations import UnreadableQueryError, relations_of
from din_core.tables.lineage.columns import column_sources
from din_core.tables.lineage.heads import Head, head_of
from din_core.tables.lineage.scopes import Sources
from din_core.tables.lineage.tables import Lineage, LineageError, SqlFile, lineage

__all__ = [
    "Head",
    "Lineage",
    "LineageError",
    "Sources",
    "SqlFile",
    "UnreadableQueryError",
    "column_sources",
    "head_of",
    "lineage",
    "relations_of",
]
