"""Ids keep their indices: the table ``known_ids`` reads itself as it was, and adds what is new.

Which of its rows stay is decided here, how new ids are numbered by ``known_ids.sql``. All rows stay
while the ids of a vocabulary are of one type. Where a column of integers has become one of text, or
the other way, other texts stand for the same ids, and that vocabulary starts anew. Whether a log is
another one altogether, so that all of them do, is :mod:`din_core.tables.loads`' to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from din_core import store
from din_core.store import ledger

if TYPE_CHECKING:
    from collections.abc import Generator

    import duckdb

    from din_core.tables.template_context import TemplateContext

TABLE = "known_ids"
#: What :func:`handed_in` puts beside it for its query to read.
KEPT = "kept_ids"
#: Entry of the ledger of ``interactions`` that says which load of its log it is, from 1.
LOAD = "load"
_COLUMNS = "vocabulary varchar, value varchar, idx integer, load integer"


@contextmanager
def handed_in(
    con: duckdb.DuckDBPyConnection, context: TemplateContext
) -> Generator[Mapping[str, Any]]:
    """Hand the table as it was to the query that makes it anew.

    Args:
        con: Connection, in a transaction.
        context: What the query is rendered with.

    Yields:
        What it is rendered with beside that: the number of the load.
    """
    con.execute(f"create or replace temp table {KEPT} ({_COLUMNS})")
    if TABLE in store.relations(con):
        stays = [
            name
            for name, were_integers in _vocabularies(con).items()
            if _are_integers(context).get(name, were_integers) == were_integers
        ]
        con.execute(
            f"insert into {KEPT} select vocabulary, value, idx, load from {TABLE} "
            "where list_contains($1, vocabulary)",
            [stays],
        )
    yield {LOAD: _load(con)}
    # An error rolls the table back. Dropping it then would fail, and hide what went wrong.
    con.execute(f"drop table if exists temp.{KEPT}")


def restarts(con: duckdb.DuckDBPyConnection, context: TemplateContext) -> tuple[str, ...]:
    """Say which vocabularies will start anew because their ids are of another type, and why.

    Args:
        con: Connection with the tables as they were and the ``interactions`` of now.
        context: What the table will be rendered with.
    """
    if TABLE not in store.relations(con):
        return ()
    kinds = {True: "integers", False: "text"}
    now = _are_integers(context)
    return tuple(
        f"the ids of the vocabulary {name!r} were {kinds[were]} and are {kinds[now[name]]} now: it "
        "is numbered anew, and a model has to be trained again"
        for name, were in _vocabularies(con).items()
        if now.get(name, were) != were
    )


def forget(con: duckdb.DuckDBPyConnection) -> int:
    """Forget every id, in the caller's transaction; the next load numbers in the order of the ids.

    Args:
        con: Connection to the pipeline's database.

    Returns:
        How many ids were known.
    """
    kind = store.relations(con).get(TABLE)
    if kind is None:
        return 0
    n_ids = store.row_count(con, TABLE)
    con.execute(f"drop {kind} {TABLE}")  # a view, where a cluster keeps the rows
    ledger.remove(con, TABLE)
    return n_ids


def n_not_in_log(con: duckdb.DuckDBPyConnection) -> int:
    """Count the known ids that the log does not have.

    Args:
        con: Connection to the pipeline's database.
    """
    if TABLE not in store.relations(con):
        return 0
    return int(con.execute(f"select count(*) from {TABLE} where not in_log").fetchall()[0][0])


def _are_integers(context: TemplateContext) -> dict[str, bool]:
    """Which vocabularies of this log hold integers, by name."""
    attributes = (*context.item_attributes, *context.user_attributes)
    return {
        "user": context.user_ids.is_integer,
        "item": context.item_ids.is_integer,
        **{each.name: each.is_integer for each in attributes},
    }


def _vocabularies(con: duckdb.DuckDBPyConnection) -> dict[str, bool]:
    """The vocabularies of the table as it was, and whether their ids were integers.

    A column is one of text where one of its values is no 64-bit integer as integers are written,
    and ids are never lost: so the values tell. Not so of users, who are known from min_interactions
    on alone: those of text may all look like integers. The table ``users`` has their type.
    """
    rows = con.execute(
        "select vocabulary, bool_and(coalesce(cast(try_cast(value as bigint) as varchar), '') "
        f"= value and value <> '') from {TABLE} group by vocabulary order by vocabulary"
    ).fetchall()
    found = {str(name): bool(integers) for name, integers in rows}
    if "user" in found and "users" in store.relations(con):
        found["user"] &= store.column_types(con, "users")["user_id"] == "BIGINT"
    return found


def _load(con: duckdb.DuckDBPyConnection) -> int:
    """Which load this is: as was recorded of the log, or one more than there were."""
    read = ledger.entries(con).get("interactions")
    if read is not None and LOAD in read.inputs:
        return int(read.inputs[LOAD])
    last = con.execute(f"select coalesce(max(load), 0) from {KEPT}").fetchall()[0][0]
    return int(last) + 1
