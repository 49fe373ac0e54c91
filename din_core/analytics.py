"""What analysts read: the views of ``sql/analytics``, over whatever the pipeline has made so far.

They are made in the pipeline's database just before it is published, so that the published file
holds them. A view needs its inputs: before a model there are no predictions to read.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import duckdb

from din_core import sql_files, warehouse
from din_core.errors import DinError

_LOGGER = logging.getLogger(__name__)

# What each relation reads, in the order they build on each other. The first is a table, made of
# `events` once: looked up anew for each history, the ids of the source would take minutes.
_TABLE = "readable_sequences"
INPUTS: Mapping[str, tuple[str, ...]] = {
    _TABLE: ("events", "items", "cates", "attributes"),
    "readable_samples": (_TABLE, "samples", "users", "items", "cates", "attributes"),
    "user_activity": ("users", "events", "user_sequences", "attributes"),
    "item_popularity": ("items", "events", "cates", "attributes"),
    "cate_mix": ("cates", "items", "events"),
    "history_lengths": ("sample_bounds",),
    "split_summary": ("samples",),
    "rejected_summary": ("rejected_rows",),
    "readable_predictions": (
        "test_predictions",
        "user_sequences",
        "users",
        "items",
        "cates",
        "attributes",
    ),
    "prediction_quality": ("test_predictions",),
    "calibration": ("test_predictions",),
}


class AnalyticsError(DinError):
    """A view does not fit the tables it reads; the message names both and the way out."""


def create_views(con: duckdb.DuckDBPyConnection, options: Mapping[str, Any]) -> list[str]:
    """Make every view whose inputs exist, in the caller's transaction, comments included.

    A view of an earlier call whose inputs are gone is dropped: it could not be read.

    Args:
        con: Connection to the pipeline's database.
        options: From :func:`din_core.sequences.options_from`.

    Returns:
        Names of what was made, in order: the table ``readable_sequences``, which holds each event
        once and takes time accordingly, and views.

    Raises:
        AnalyticsError: An input was made with other options, so that its columns do not fit.
        din_core.sql_files.SqlFileError: An option is missing.
    """
    existing = {
        str(name)
        for (name,) in con.execute(
            "select table_name from information_schema.tables "
            "where table_catalog = current_database() and table_schema = current_schema()"
        ).fetchall()
    }
    made: list[str] = []
    for name, inputs in INPUTS.items():
        missing = ", ".join(table for table in inputs if table not in existing)
        if name == "cate_mix" and not options["item_attributes"]:
            missing = "an item attribute"
        if missing:
            kind = "table" if name == _TABLE else "view"
            con.execute(f"drop {kind} if exists {sql_files.quote(name)}")
            existing.discard(name)
            _LOGGER.info("%s: not made, it needs %s", name, missing)
            continue
        create = warehouse.create_table if name == _TABLE else warehouse.create_view
        try:
            create(con, name, **options)
        except (duckdb.BinderException, duckdb.CatalogException) as error:
            raise AnalyticsError(
                f"{name} does not fit its inputs ({str(error).splitlines()[0]}): one of them was "
                f"made with other options; materialize {', '.join(inputs)} again"
            ) from error
        made.append(name)
        existing.add(name)
    return made
