"""What an asset takes of the ledger, or of the shape of a table, beside the content of its inputs.

Two equal inputs can have been made with different options: the same rows read from a file and from
the synthetic log, or negatives of which there are none. Where an asset looks at such an option, the
option is one of its inputs, and is recorded as one.
"""

import json
from collections.abc import Callable, Mapping

import duckdb

from din_core.inputs import training_data
from din_core.serving.bundle import manifest
from din_core.serving.publication import history
from din_core.store import artifacts, ledger


def of(con: duckdb.DuckDBPyConnection, asset: str) -> dict[str, str]:
    """Return the facts that an asset takes, as they are now, by name; none for most.

    Args:
        con: Connection to the pipeline's database.
        asset: The asset.
    """
    return {name: take(con) for name, take in _FACTS.get(asset, {}).items()}


def _synthetic_log(con: duckdb.DuckDBPyConnection) -> str:
    shape = ledger.entry(con, "interactions").options.get("synthetic")
    return json.dumps(shape, sort_keys=True)


def _negatives(con: duckdb.DuckDBPyConnection) -> str:
    return json.dumps(training_data.recorded_negatives(con), sort_keys=True)


def _decisions(con: duckdb.DuckDBPyConnection) -> str:
    decided = [
        [each.bundle_version, each.action, each.reason]
        for each in history.publications(con)
        if each.action not in ("pinned", "unpinned")
    ]
    return artifacts.digest(json.dumps(decided).encode())


def _upstream(con: duckdb.DuckDBPyConnection) -> str:
    return artifacts.digest(json.dumps(manifest.record(con), sort_keys=True).encode())


def _record(con: duckdb.DuckDBPyConnection) -> str:
    entries = [vars(entry) for entry in ledger.entries(con).values() if entry.asset != "warehouse"]
    content = json.dumps(sorted(entries, key=lambda entry: entry["asset"]), sort_keys=True)
    return artifacts.digest(content.encode())


_FACTS: Mapping[str, Mapping[str, Callable[[duckdb.DuckDBPyConnection], str]]] = {
    "bundle": {"the record of what it is made from": _upstream},
    # A decision, as of a rollback, is no new content of `model_versions`.
    "report": {"what was decided about models": _decisions},
    "din_model": {"how negatives were made": _negatives},
    "test_auc": {
        "the shape of the synthetic log": _synthetic_log,
        "how negatives were made": _negatives,
    },
    "warehouse": {"the record of what was made": _record},
}
