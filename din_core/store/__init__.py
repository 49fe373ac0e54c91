"""The database file: opening it, making its tables, versioning, locking and publishing it."""

from din_core.store.content_versions import content_version
from din_core.store.database import (
    column_types,
    connect,
    create_table,
    create_view,
    create_view_as,
    describe_all,
    limits_of,
    relations,
    row_count,
    transaction,
    unregister,
)
from din_core.store.errors import StoreError
from din_core.store.publishing import damage_of_published, publish, remove_unfinished
from din_core.store.run_lock import run_lock
from din_core.store.standalone_copy import every_nth_user_of

__all__ = [
    "StoreError",
    "column_types",
    "connect",
    "content_version",
    "create_table",
    "create_view",
    "create_view_as",
    "damage_of_published",
    "describe_all",
    "every_nth_user_of",
    "limits_of",
    "publish",
    "relations",
    "remove_unfinished",
    "row_count",
    "run_lock",
    "transaction",
    "unregister",
]
