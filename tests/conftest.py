"""What all tests share: how hard hypothesis tries, on how many threads, and an empty database.

``pytest --hypothesis-profile=thorough`` compares 10,000 random logs with the oracle.
"""

import contextlib
import gc
import io
import os

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import HealthCheck, settings

# Workers share the cores among them. libgomp reads this when torch loads it.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import din_core  # noqa: F401  (before any test imports torch: see din_core.machine.spinning)
from din_core import store

# Python would look for garbage after 700 new objects: with what is imported here, all the time.
gc.set_threshold(50_000, 20, 100)

# Building all tables takes longer on a busy machine than any fixed deadline would allow.
_common = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("default", max_examples=25, **_common)
settings.register_profile("thorough", max_examples=10_000, **_common)
settings.load_profile("default")


def pytest_addoption(parser):
    parser.addoption(
        "--engine",
        default="sail",
        help="what tests/engines asks beside DuckDB: sail (the default), spark (Apache Spark on "
        "two threads of this machine, needs Java 17), or an address (sc://host:15002)",
    )


def pytest_collection_modifyitems(items):
    """What takes long comes first: the UI, whose browser waits while others compute, the engines.

    Most other long tests go on from a run that one worker makes while those that want it wait.
    """
    first = ["browser", "engines"]

    def place(item):
        folder = item.path.parent.name
        return first.index(folder) if folder in first else len(first)

    items.sort(key=place)


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Look for no garbage among what is imported and collected: all of it stays.

    Neither meanwhile nor later: pytest ends with several searches, one after the other, which took
    each worker more than 2 s.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session")
def duckdb_instance():
    """Of all databases that tests begin with: to start one takes longer than most of them.

    On one thread, as torch: a query of a few rows takes a fifth less than where two share it.
    """
    with store.connect(":memory:", threads=1) as connection:
        yield connection


@contextlib.contextmanager
def empty_database(instance, name):
    """An empty database in memory, on a connection of its own; what is `set` there is its own."""
    connection = instance.cursor()
    connection.execute(f"attach ':memory:' as {name}; use {name}")
    try:
        yield connection
    finally:
        connection.close()
        instance.execute(f"detach {name}")


@pytest.fixture
def con(duckdb_instance):
    with empty_database(duckdb_instance, "tested") as connection:
        yield connection


@pytest.fixture
def objects(monkeypatch):
    """An object store: fsspec's in memory (``memory://``), empty.

    fsspec hands out one file with one position to all who read it; a store gives each its own.
    """
    opened = MemoryFileSystem._open

    def of_its_own(filesystem, path, mode="rb", **options):
        file = opened(filesystem, path, mode, **options)
        return io.BytesIO(filesystem.cat_file(path)) if mode == "rb" else file

    monkeypatch.setattr(MemoryFileSystem, "_open", of_its_own)
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]
