"""Which engine makes the tables: ``DIN_ENGINE``, ``SPARK_REMOTE`` and ``DIN_TABLES`` say so."""

import contextlib
import os
import uuid
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from din_core import atomic_files
from din_core.engines.engine import DUCKDB, Engine
from din_core.engines.errors import EngineError
from din_core.engines.sessions import without_token
from din_core.errors import WrongRequestError

if TYPE_CHECKING:
    import duckdb
    from fsspec import AbstractFileSystem

EngineName = Literal["duckdb", "spark"]


class EngineNameError(EngineError, WrongRequestError):
    """There is no such engine."""


def name() -> EngineName:
    """Return the engine that ``DIN_ENGINE`` names; DuckDB where it is unset or empty.

    Raises:
        EngineNameError: There is no such engine.
    """
    named = os.environ.get("DIN_ENGINE") or "duckdb"
    if named not in ("duckdb", "spark"):
        raise EngineNameError(f"DIN_ENGINE is '{named}', must be 'duckdb' or 'spark'")
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


def owner(home: Path) -> str:
    """Return by what the tables of a folder of results are told from those of another one.

    Args:
        home: The folder; the text is kept there, so that it goes along where the folder is moved.
    """
    file = home / "tables-owner"
    if not file.is_file():
        home.mkdir(parents=True, exist_ok=True)
        with atomic_files.replacing(file) as temporary:
            temporary.write_text(uuid.uuid4().hex, encoding="utf-8")
    return file.read_text(encoding="utf-8")


def settle(con: "duckdb.DuckDBPyConnection", root: str, home: Path) -> list[str]:
    """Let the manifest of a root name what the pipeline's database reads there.

    A run that was killed between the two leaves one that is behind, and a later run may find
    nothing to make.

    Args:
        con: The pipeline's database. The lock of a run is held.
        root: Root of the Parquet tables, a folder or a URL.
        home: Folder of all results.

    Returns:
        What was wrong, and what a reader of the root does not get, in a sentence each.

    Raises:
        EngineError: The root cannot be read or written.
    """
    from din_core import store
    from din_core.engines import parquet_views
    from din_core.engines.parquet_tables import MANIFEST, ParquetRoot
    from din_core.tables.sequences import views

    place = ParquetRoot(root, owner=owner(home))
    before = place.manifest()
    now = parquet_views.as_database(con, place, before, views())
    said: list[str] = []
    if now != before:
        place.replace_manifest(now)
        said.append(f"{root}/{MANIFEST} was behind the pipeline's database, and names its tables")
    elsewhere = [
        name
        for name, kind in sorted(store.relations(con).items())
        if parquet_views.folder_of(con, place, name) is None
        and (parquet_views.files_of(con, name) or (kind == "table" and name in now.tables))
    ]
    if elsewhere:
        said.append(
            f"{', '.join(elsewhere)} of the pipeline's database lie elsewhere than below {root} "
            "(DuckDB made them, or DIN_TABLES named another place): who reads that root gets them "
            "as Spark read them last, or not at all; din run --all makes them there"
        )
    return said


def damaged_tables(con: "duckdb.DuckDBPyConnection", root: str) -> dict[str, str]:
    """Say of which tables in Parquet files are gone, cut off, or others than were written.

    Only the ends of the files are read, which say how many rows there are. An object store looks
    after its objects itself, and asking for each would take long.

    Args:
        con: The pipeline's database.
        root: Root of the Parquet tables, a folder or a URL.

    Returns:
        What is wrong, by table.
    """
    from din_core.store import table_files

    if "://" in root or not table_files.of_views(con):
        return {}
    from din_core.engines import parquet_views, reading
    from din_core.engines.parquet_tables import Manifest, ParquetRoot

    place = ParquetRoot(root)
    try:
        manifest = place.manifest()
    except EngineError:
        return {}  # whoever needs it says so
    damaged: dict[str, str] = {}
    for name, table in manifest.tables.items():
        if parquet_views.folder_of(con, place, name) == table.folder:
            try:
                reading.require_whole(con, place, Manifest(manifest.buckets, {name: table}))
            except EngineError:
                damaged[name] = f"{table.folder} is not what was written"
    return damaged


@contextlib.contextmanager
def opened(
    engine: EngineName,
    address: str | None,
    root: str,
    home: Path,
    buckets: int | None = None,
    *,
    warn: Callable[[str], object] = lambda _: None,
) -> Generator[Engine]:
    """Open an engine for the length of a run.

    Args:
        engine: Which.
        address: Of a Spark Connect server, None for Sail in this process.
        root: Root of the Parquet tables, a folder or a URL.
        home: Folder of all results.
        buckets: Into how many folders users are spread; None for as many as there are.
        warn: Told where nobody works on what the engine was asked.
    """
    if engine == "duckdb":
        yield DUCKDB
        return
    from din_core.engines import sessions
    from din_core.engines.parquet_tables import ParquetRoot
    from din_core.engines.spark import SparkEngine

    with sessions.session(address, warn=warn) as spark:
        place = ParquetRoot(root, buckets=buckets, owner=owner(home))
        yield SparkEngine(spark, place, called=sessions.called(address))
