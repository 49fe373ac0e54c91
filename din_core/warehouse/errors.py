"""What goes wrong with a database file, in sentences that say who is in the way and what to do."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb

from din_core.errors import DinError

_HOLDER = re.compile(r"held in (?P<program>.+?) \(PID (?P<pid>\d+)\)")


class WarehouseError(DinError):
    """A database file cannot be opened, written or published; the message says the way out."""


def explain(path: Path | str, error: duckdb.Error) -> WarehouseError:
    """Turn an engine's error about a file into a sentence with a way out.

    Args:
        path: The database file.
        error: What DuckDB raised.

    Returns:
        The error to raise instead.
    """
    text = str(error)
    if holder := _HOLDER.search(text):
        return WarehouseError(
            f"{path}: process {holder['pid']} ({holder['program']}) has this file open; close it "
            "there. To look at results, open the published warehouse.duckdb read-only instead"
        )
    if "Could not set lock" in text:
        return WarehouseError(
            f"{path}: another process has this file open; close it there. To look at results, "
            "open the published warehouse.duckdb read-only instead"
        )
    if "different configuration" in text:
        return WarehouseError(
            f"{path}: this process has the file open already, once for reading and once for "
            "writing; close the other connection first"
        )
    if "not a valid DuckDB database file" in text:
        return WarehouseError(f"{path}: not a DuckDB database; move it away and run again")
    return WarehouseError(f"{path}: {text}")
