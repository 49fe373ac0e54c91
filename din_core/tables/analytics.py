"""What analysts read: the views of ``sql/analytics``, over whatever the pipeline has made so far.

They are made in the pipeline's database just before it is published, so that the published file
holds them. A view needs its inputs: before a model there are no predictions to read.
"""

from __future__ import annotations

import logging
from collections.abc import Set

import duckdb

from din_core import store
from din_core.errors import DinError
from din_core.store import ledger, sql_files
from din_core.tables.lineage import lineage
from din_core.tables.template_context import TemplateContext

_LOGGER = logging.getLogger(__name__)


def inputs() -> dict[str, tuple[str, ...]]:
    """Return what each view of ``sql/analytics`` reads, in the order they build on each other."""
    every = lineage()
    names = every.in_order(
        name for name, file in every.files.items() if file.paths[0].parent.name == "analytics"
    )
    return {name: tuple(sorted(every.files[name].reads)) for name in names}


class AnalyticsError(DinError):
    """A view does not fit the tables it reads; the message names both and the way out."""


def create_views(con: duckdb.DuckDBPyConnection, context: TemplateContext) -> list[str]:
    """Make every view whose inputs exist, in the caller's transaction, comments included.

    A view of an earlier call whose inputs are gone is dropped: it could not be read. So is every
    relation that no file of ``sql/`` makes: an earlier version of this program made it, nothing
    brings it up to date, and it would be published as if it were.

    Args:
        con: Connection to the pipeline's database.
        context: From :func:`din_core.tables.sequences.template_context`.

    Returns:
        Names of what was made, in order.

    Raises:
        AnalyticsError: An input was made with other options, so that its columns do not fit.
        din_core.store.sql_files.SqlFileError: A variable of a template is missing.
    """
    variables = context.variables()
    files = lineage().files
    _drop_what_no_file_makes(con, {*files, ledger.TABLE})
    existing = set(store.relations(con))
    made: list[str] = []
    for name, read in inputs().items():
        head = files[name].head
        missing = ", ".join(
            [need for need in head.needs if not variables[need]]
            or [table for table in read if table not in existing]
        )
        if missing:
            con.execute(f"drop view if exists {sql_files.quote(name)}")
            existing.discard(name)
            _LOGGER.info("%s: not made, it needs %s", name, missing)
            continue
        try:
            store.create_view(con, name, **variables)
        except (duckdb.BinderException, duckdb.CatalogException) as error:
            assets = sorted({asset for table in read for asset in files[table].head.assets})
            raise AnalyticsError(
                f"{name} does not fit its inputs ({str(error).splitlines()[0]}): one of them was "
                f"made with other options; materialize {', '.join(assets)} again"
            ) from error
        made.append(name)
        existing.add(name)
    return made


def _drop_what_no_file_makes(con: duckdb.DuckDBPyConnection, known: Set[str]) -> None:
    for name, kind in store.relations(con).items():
        if name not in known:
            con.execute(f"drop {kind} {sql_files.quote(name)}")
            _LOGGER.warning("%s: dropped, an earlier version made it and nothing does now", name)
