"""What runs in one process need not do each time, so that a small one takes a second.

What the tests of a run look at stays as it is; tests of the browser, of a kill and of two processes
start runs that have all of it.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb
import pytest

from din_assets.making import versions
from din_core.machine import limits
from din_core.store import sql_files
from din_core.tables import column_lineage
from din_core.tables.lineage import tables


def make_runs_quick(patch: pytest.MonkeyPatch) -> None:
    """Leave out of every run what is the same in all of them."""
    have_one_core(patch)
    look_once_for_code(patch)
    read_queries_once(patch)
    note_no_migrations(patch)
    keep_histories_connected(patch)
    pack_no_histories(patch)


def have_one_core(patch: pytest.MonkeyPatch) -> None:
    """Have one core, as each worker has, and look once for how much memory there is.

    A query of a few rows takes a fifth less processor time on one thread than where two share it,
    and each connection looks for both. Whoever says where to look is told what is there.
    """
    cores, memory = limits.cores, functools.cache(limits.memory)
    patch.setattr(limits, "cores", lambda **where: cores(**where) if where else 1)
    patch.setattr(limits, "memory", memory)


def look_once_for_code(patch: pytest.MonkeyPatch) -> None:
    """Look once for the files of the code: a run looks for them with each of its steps."""
    look, sql = versions.stamps, sql_files.SQL_ROOT
    looked = functools.cache(look)
    for where in (versions, tables):
        # Tests that edit SQL do so in a copy.
        patch.setattr(where, "stamps", lambda *of: (looked if sql in of else look)(*of))


def read_queries_once(patch: pytest.MonkeyPatch) -> None:
    """Read once where the columns of a query come from: runs ask it for every table and view."""
    read, known = column_lineage.column_sources, {}

    def read_once(
        con: duckdb.DuckDBPyConnection, query: str, columns_of: Mapping[str, list[str]]
    ) -> Mapping[str, Any]:
        asked = query, tuple(sorted((name, *columns) for name, columns in columns_of.items()))
        if asked not in known:
            known[asked] = read(con, query, columns_of)
        return known[asked]

    patch.setattr(column_lineage, "column_sources", read_once)


def make_graphs_once(patch: pytest.MonkeyPatch) -> None:
    """Make each exported graph once, and not once more to see whether it comes out the same.

    It does, and others are refused: tests/core/serving/graphs/test_writing.py.
    """
    from din_core.serving.graphs import writing

    patch.setattr(writing, "_same_twice", lambda _, make: make())


def note_no_migrations(patch: pytest.MonkeyPatch) -> None:
    """Note no revision of the schema in a history in memory: that reads all migrations."""
    from dagster._core.storage.event_log import in_memory as events_in_memory
    from dagster._core.storage.runs import in_memory as runs_in_memory

    for storage in (events_in_memory, runs_in_memory):
        patch.setattr(storage, "stamp_alembic_rev", lambda *_: None)


def keep_histories_connected(patch: pytest.MonkeyPatch) -> None:
    """Record events in memory on the connection that holds them, not on a new one for each.

    A new one also asks for a journal, which is on no disk, each time. Another thread than the one
    that made the history may not use its connection, and has new ones. Which tables there are, of
    all histories the same, is asked with most events.
    """
    from dagster._core.storage.event_log.in_memory import InMemoryEventLogStorage as Events

    make, connect, look = Events.__init__, Events._connect, Events.has_table

    def making(self: Any, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        self._made_in = threading.get_ident()

    @contextlib.contextmanager
    def connected(self: Any) -> Iterator[Any]:
        if threading.get_ident() != self._made_in:
            with connect(self) as connection:
                yield connection
            return
        with self._db_lock, self._held_conn.begin():
            yield self._held_conn

    there: dict[str, bool] = {}

    def has_table(self: Any, name: str) -> bool:
        if name not in there:
            there[name] = look(self, name)
        return there[name]

    patch.setattr(Events, "__init__", making)
    patch.setattr(Events, "_connect", connected)
    patch.setattr(Events, "has_table", has_table)


def pack_no_histories(patch: pytest.MonkeyPatch) -> None:
    """Keep the descriptions of jobs and their steps in a history in memory as they are.

    To write them down and compress them, as for a disk, takes a tenth of the time of a small run.
    """
    from dagster._core.storage.runs.in_memory import InMemoryRunStorage as Runs
    from dagster._core.storage.runs.schema import SnapshotsTable

    def add(self: Any, snapshot_id: str, snapshot_obj: Any, snapshot_type: Any) -> str:
        vars(self).setdefault("_described", {})[snapshot_id] = snapshot_obj
        row = {
            "snapshot_id": snapshot_id,
            "snapshot_body": b"",
            "snapshot_type": snapshot_type.value,
        }
        with self.connect() as connection:
            connection.execute(SnapshotsTable.insert().values(**row))
        return snapshot_id

    def get(self: Any, snapshot_id: str) -> Any:
        return vars(self).get("_described", {}).get(snapshot_id)

    patch.setattr(Runs, "_add_snapshot", add)
    patch.setattr(Runs, "_get_snapshot", get)
    patch.setattr(Runs, "_has_snapshot_id", lambda *asked: get(*asked) is not None)
