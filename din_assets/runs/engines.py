"""Which engine makes the tables: ``DIN_ENGINE``, ``SPARK_REMOTE`` and ``DIN_TABLES`` say so."""

import contextlib
import os
from collections.abc import Generator
from typing import TYPE_CHECKING, Literal

from din_core.engines.engine import DUCKDB, Engine
from din_core.engines.errors import EngineError
from din_core.engines.sessions import without_token

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

EngineName = Literal["duckdb", "spark"]


def name() -> EngineName:
    """Return the engine that ``DIN_ENGINE`` names; DuckDB where it is unset or empty.

    Raises:
        EngineError: There is no such engine.
    """
    named = os.environ.get("DIN_ENGINE") or "duckdb"
    if named not in ("duckdb", "spark"):
        raise EngineError(f"DIN_ENGINE is '{named}', must be 'duckdb' or 'spark'")
    return named


def remote() -> str | None:
    """Return the Spark Connect address that ``SPARK_REMOTE`` names, None where it is unset."""
    return os.environ.get("SPARK_REMOTE") or None


def tables() -> str | None:
    """Return the root of Parquet tables that ``DIN_TABLES`` names, None where it is unset."""
    return os.environ.get("DIN_TABLES") or None


def without_effect(
    engine: EngineName, address: str | None, root: str | None, buckets: int | None = None
) -> list[str]:
    """Say which settings were made and change nothing.

    Args:
        engine: Which makes the tables.
        address: Of a Spark Connect server, None where none is given.
        root: Root of the Parquet tables, None where none is given.
        buckets: Into how many folders users are spread, None where that is not given.
    """
    if engine != "duckdb":
        return []
    given = {
        "SPARK_REMOTE": address and without_token(address),
        "DIN_TABLES": root,
        "buckets": buckets,
    }
    return [
        f"{name} is {value}, and no table is made there: DuckDB makes them on this machine "
        "(DIN_ENGINE=spark changes that)"
        for name, value in given.items()
        if value is not None
    ]


def filesystem(root: str) -> "AbstractFileSystem | None":
    """Return what DuckDB reads tables through that do not lie on this machine; None where they do.

    Args:
        root: Root of the Parquet tables, a folder or a URL.

    Raises:
        EngineError: Nothing that is installed knows the place.
    """
    if "://" not in root:
        return None
    from din_core.engines.parquet_tables import ParquetRoot

    place = ParquetRoot(root)
    return None if place.is_local else place.filesystem


@contextlib.contextmanager
def opened(
    engine: EngineName, address: str | None, root: str, buckets: int | None = None
) -> Generator[Engine]:
    """Open an engine for the length of a run.

    Args:
        engine: Which.
        address: Of a Spark Connect server, None for Sail in this process.
        root: Root of the Parquet tables, a folder or a URL.
        buckets: Into how many folders users are spread; None for as many as there are.
    """
    if engine == "duckdb":
        yield DUCKDB
        return
    from din_core.engines import sessions
    from din_core.engines.parquet_tables import ParquetRoot
    from din_core.engines.spark import SparkEngine

    with sessions.session(address) as spark:
        yield SparkEngine(
            spark, ParquetRoot(root, buckets=buckets), called=sessions.called(address)
        )
