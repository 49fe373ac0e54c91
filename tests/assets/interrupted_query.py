"""A program for a test: a query that would never end, as a step of a run asks it."""

from __future__ import annotations

import sys

import duckdb
from dagster._core.errors import DagsterExecutionInterruptedError, raise_execution_interrupts
from dagster._utils.interrupts import capture_interrupts

from din_assets.runs.failures import as_dagster_failures

#: It finds no row. DuckDB makes the file when the query is at work.
_ENDLESS = """
    copy (from range(1_000_000_000_000) rows_ (i) where hash(i) = 0)
    to '{file}' (format csv, use_tmp_file false)
"""


def main() -> None:
    """Ask it until a signal comes, and say what Dagster is told of that.

    The first argument is a file that is not there yet; it is there once the query is at work.
    """
    # With more threads, DuckDB may leave the query to one that hears of no signal.
    with duckdb.connect(config={"threads": 1}) as con, capture_interrupts():
        try:
            con.execute("set enable_progress_bar = false")
            with raise_execution_interrupts(), as_dagster_failures():
                con.execute(_ENDLESS.format(file=sys.argv[1]))
        except DagsterExecutionInterruptedError as interruption:
            sys.stdout.write(f"interrupted: {interruption}\n")


if __name__ == "__main__":
    main()
