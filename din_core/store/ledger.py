"""What each result was made with: one row an asset, in the database beside the results.

The ledger is how a later step learns the choices of an earlier one (the columns of the source, the
length of a history) and where the latest artifact of an asset lies, with no orchestrator at hand.
It is written in the transaction that writes the result, so that the two never disagree.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from din_core.errors import DinError

TABLE = "ledger"

# `record` keeps it to one row an asset, and not a primary key: DuckDB 1.0 cannot open a copy with
# the index of one.
_DDL = """
create table if not exists ledger (
    asset varchar not null,
    data_version varchar not null,
    code_version varchar not null,
    options varchar not null,
    inputs varchar not null,
    artifact varchar
)
"""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One asset's row.

    Attributes:
        asset: Name of the asset.
        data_version: Hash of its content.
        code_version: Hash of the SQL or the modules that made it.
        options: The choices it was made with.
        inputs: Data version of each result it was made from, by asset.
        artifact: Its folder below the artifacts' root, for assets that are files.
    """

    asset: str
    data_version: str
    code_version: str
    options: Mapping[str, Any]
    inputs: Mapping[str, str]
    artifact: str | None = None


class NotMaterializedError(DinError, LookupError):
    """A result that a later step needs has not been made yet."""


def record(con: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    """Write or replace one asset's row, in the caller's transaction."""
    con.execute(_DDL)
    con.execute("delete from ledger where asset = ?", [entry.asset])
    con.execute(
        "insert into ledger values (?, ?, ?, ?, ?, ?)",
        [
            entry.asset,
            entry.data_version,
            entry.code_version,
            json.dumps(dict(entry.options), sort_keys=True),
            json.dumps(dict(entry.inputs), sort_keys=True),
            entry.artifact,
        ],
    )


def remove(con: duckdb.DuckDBPyConnection, asset: str) -> None:
    """Take an asset's row out, in the caller's transaction: the asset counts as never made."""
    if asset in entries(con):
        con.execute("delete from ledger where asset = ?", [asset])


def entries(con: duckdb.DuckDBPyConnection) -> dict[str, Entry]:
    """Return every row, by asset; none where nothing was made yet."""
    known = con.execute(
        "select table_name from duckdb_tables() where table_name = 'ledger'"
    ).fetchall()
    if not known:
        return {}
    rows = con.execute(
        "select asset, data_version, code_version, options, inputs, artifact from ledger"
    ).fetchall()
    return {
        asset: Entry(
            asset=asset,
            data_version=data_version,
            code_version=code_version,
            options=json.loads(options),
            inputs=json.loads(inputs),
            artifact=artifact,
        )
        for asset, data_version, code_version, options, inputs, artifact in rows
    }


def changed_inputs(made: Mapping[str, Entry], asset: str) -> list[str]:
    """Return the assets that a result was made from and that have other content by now, by name.

    Args:
        made: From :func:`entries`.
        asset: The asset; of one that was not made nothing has changed.
    """
    inputs = made[asset].inputs if asset in made else {}
    return sorted(
        name for name, was in inputs.items() if name in made and made[name].data_version != was
    )


def entry(con: duckdb.DuckDBPyConnection, asset: str) -> Entry:
    """Return one asset's row.

    Raises:
        NotMaterializedError: The asset has not been made yet.
    """
    found = entries(con).get(asset)
    if found is None:
        raise NotMaterializedError(
            f"'{asset}' has not been materialized yet; materialize it first "
            f"(dagster asset materialize --select '{asset}' -m din_assets.definitions)"
        )
    return found
