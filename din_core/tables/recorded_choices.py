"""The choices that earlier steps recorded, put together into the configuration of a later one.

An option belongs to one asset (``sampling_seed`` to ``negatives``, ``max_history`` to ``samples``);
whoever needs it further down reads it here instead of being told twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb

from din_core.config import SequenceConfig, SourceConfig, SyntheticConfig, config_from_mapping
from din_core.store import ledger
from din_core.tables import sequences
from din_core.tables.template_context import TemplateContext


def source_config(con: duckdb.DuckDBPyConnection) -> SourceConfig:
    """Return how the source was read.

    Raises:
        NotMaterializedError: Nothing was ingested yet.
    """
    return config_from_mapping(
        SourceConfig, {"path": "", **ledger.entry(con, "interactions").options}
    )


def synthetic_config(con: duckdb.DuckDBPyConnection) -> SyntheticConfig | None:
    """Return the shape of the synthetic log, or None where the source was a file.

    Raises:
        NotMaterializedError: Nothing was ingested yet.
    """
    shape = ledger.entry(con, "interactions").options.get("synthetic")
    return None if shape is None else config_from_mapping(SyntheticConfig, shape)


def sampling_config(con: duckdb.DuckDBPyConnection) -> SequenceConfig:
    """Return how the negatives were sampled; the defaults for all else, and where none were made.

    It reads one entry of the ledger and nothing of what builds tables, so that training does not
    depend on that code.

    Args:
        con: Connection to the pipeline's database.
    """
    made = ledger.entries(con).get("negatives")
    return config_from_mapping(SequenceConfig, {} if made is None else made.options)


def most_history(con: duckdb.DuckDBPyConnection) -> int:
    """Return how many events the samples' histories have at most; the default where none were made.

    As :func:`sampling_config` it reads one entry.

    Args:
        con: Connection to the pipeline's database.
    """
    made = ledger.entries(con).get("samples")
    recorded = {} if made is None else made.options
    return config_from_mapping(SequenceConfig, recorded).max_history


def sequence_config(
    con: duckdb.DuckDBPyConnection, chosen: Mapping[str, Any] | None = None
) -> SequenceConfig:
    """Return how sequences are built: what the steps before recorded, then the present one's own.

    What the present step and those below it recorded belongs to an earlier run, whose choices may
    not go with those of this one.

    Args:
        con: Connection to the pipeline's database.
        chosen: All options of the present step, empty for one that has none: it needs none of the
            others' either. None where nothing is built: everything that was recorded holds.
    """
    merged: dict[str, Any] = {}
    recorded = ledger.entries(con)
    for asset in (*sequences.tables(), "samples") if chosen != {} else ():
        if (entry := recorded.get(asset)) is None:
            continue
        if chosen is not None and not chosen.keys().isdisjoint(entry.options):
            break
        merged |= entry.options
    return config_from_mapping(SequenceConfig, merged | dict(chosen or {}))


def recorded_context(con: duckdb.DuckDBPyConnection) -> TemplateContext:
    """Return what the SQL files are rendered with for what was recorded, all steps together.

    Args:
        con: Connection to the pipeline's database.
    """
    return sequences.template_context(con, source_config(con), sequence_config(con))
