"""How heavy the items of a log may be for ``negative_sampling: popularity``.

A draw of 32 bits is multiplied by what all items weigh together. Beyond 31 bits of that DuckDB ends
with an overflow, Spark too, and Sail goes on with a number that wrapped around. In training
:mod:`din_core.inputs.samplers.rulers` has the same limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from din_core import store
from din_core.config import OptionsError

if TYPE_CHECKING:
    import duckdb

    from din_core.engines.engine import Engine
    from din_core.tables.template_context import TemplateContext

#: What all items may weigh together.
MOST_MARKS = (1 << 31) - 1
_QUERY = "item_marks"
# An item with n events weighs 16 * n ** 0.75, and 1 without any.
_MOST_OF_AN_EVENT = 16


def refuse(con: duckdb.DuckDBPyConnection, engine: Engine, context: TemplateContext) -> None:
    """Refuse to draw by popularity where the items are too heavy for it.

    Args:
        con: Connection with the tables ``events`` and ``items``.
        engine: What is to make ``negatives``.
        context: What they are rendered with.

    Raises:
        OptionsError: All items together weigh more than :data:`MOST_MARKS`.
    """
    at_most = _MOST_OF_AN_EVENT * store.row_count(con, "events") + store.row_count(con, "items")
    if at_most <= MOST_MARKS:
        return
    [(n_marks,)] = engine.query(con, engine.render(_QUERY, **context.variables())).rows
    if n_marks > MOST_MARKS:
        raise OptionsError(
            f"negative_sampling is 'popularity', and the items weigh {n_marks:,} in all (16 * "
            f"events ** 0.75 each), {MOST_MARKS:,} is the most that a draw can tell apart: choose "
            "'uniform'"
        )
