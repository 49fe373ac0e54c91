"""How many events of one user an engine can take that gathers them in one row.

On Spark, what a row holds lies in one array of the JVM, of at most 2 GiB, and several copies of it
in the memory of one task. Of a user's event it holds 32 bytes and 8 for each attribute, and in
``behaviour_sequences`` the texts of its ids: docs/scaling.md has the arithmetic. Beyond the limit
Spark ends with an error from the inside, after hours perhaps; so it is looked at before.

The checks of histories join the user's list to each position that they judge. Sail holds such rows
together, with places of 32 bits: a user of 10 million events made it panic there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from din_core.engines.engine import DUCKDB, Engine
from din_core.engines.errors import EngineError

if TYPE_CHECKING:
    import duckdb

    from din_core.tables.template_context import TemplateContext

#: Events of one user. With ten attributes, or ids of a hundred characters, a row is near 2 GiB.
MOST_EVENTS = 10_000_000
_QUERY = "heaviest_user"
# Positions beyond the first whole history that the checks of histories judge.
_JUDGED = 200


def most_events(context: TemplateContext) -> int:
    """Return how many events of one user an engine other than DuckDB takes.

    Args:
        context: What the tables are rendered with.
    """
    judged = (context.max_history + _JUDGED) * (1 + context.negatives_per_positive)
    return min(MOST_EVENTS, (2**31 - 1) // judged)


def refuse(con: duckdb.DuckDBPyConnection, engine: Engine, context: TemplateContext) -> None:
    """Refuse a log in which a user has more events than the engine takes.

    Args:
        con: Connection with the tables ``events`` and ``users``.
        engine: What is to make ``user_sequences`` and ``samples``; DuckDB has no such limit.
        context: What they are rendered with.

    Raises:
        EngineError: A user has more events than :func:`most_events`.
    """
    if engine is DUCKDB:
        return
    most = most_events(context)
    for user_id, n_events in engine.query(con, engine.render(_QUERY)).rows:
        if n_events > most:
            raise EngineError(
                f"user {user_id!r} has {n_events:,} events, and on Spark all events of a user are "
                f"one row, which takes {most:,} with max_history {context.max_history} and "
                f"negatives_per_positive {context.negatives_per_positive}; leave the user's rows "
                "out of the log (a bot, a test account, or what stands for 'unknown'?), or make "
                "the tables on DuckDB (DIN_ENGINE=duckdb), which has no such limit"
            )
