"""How far a log has moved from the one that was read before it: the table ``drift``.

Of each log a profile of some thousand rows is kept (``log_profile``): numbers, a sample of the ids,
the most frequent values of the attributes. That of the log before (``previous_log_profile``) is
what the current one is compared with; the old rows are not needed. The log before is the last one
with other rows: reading the same log twice compares nothing with itself.
"""

from __future__ import annotations

from typing import Any

import duckdb
import pyarrow as pa

from din_core import store
from din_core.arrow_without_pandas import no_rows
from din_core.config import SequenceConfig
from din_core.store import ledger
from din_core.tables import recorded_choices, sequences
from din_core.tables.template_context import TemplateContext

_PROFILE = pa.schema(
    {"measure": pa.string(), "about": pa.string(), "bucket": pa.string(), "n": pa.int64()}
)


def write(con: duckdb.DuckDBPyConnection) -> TemplateContext:
    """Make ``drift`` and the profiles behind it, in the caller's transaction.

    Args:
        con: Connection to the pipeline's database, with the table ``interactions``.

    Returns:
        What the SQL was rendered with.

    Raises:
        NotMaterializedError: Nothing was ingested yet.
    """
    source = recorded_choices.source_config(con)
    context = sequences.template_context(con, source, SequenceConfig(), for_table="drift")
    con.register("kept_profile", _profile_before(con))
    try:
        store.create_table(con, "previous_log_profile")
    finally:
        store.unregister(con, "kept_profile")
    for name in ("log_profile", "drift"):
        store.create_table(con, name, **context.variables())
    return context


def _profile_before(con: duckdb.DuckDBPyConnection) -> Any:
    """Return the profile of the last log with other rows; no row where there was none."""
    made = ledger.entries(con)
    profiled = made.get("drift")
    if profiled is None:
        return no_rows(_PROFILE)
    same = profiled.inputs.get("interactions") == made["interactions"].data_version
    name = "previous_log_profile" if same else "log_profile"
    # One that another version of this program wrote says something else.
    if name not in store.relations(con) or [*store.column_types(con, name)] != _PROFILE.names:
        return no_rows(_PROFILE)
    return con.table(name).to_arrow_table().cast(_PROFILE)


def outcomes(con: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Count the figures of ``drift`` by their outcome."""
    counted = con.execute("select outcome, count(*) from drift group by outcome order by outcome")
    return {str(outcome): int(figures) for outcome, figures in counted.fetchall()}
