"""Dagster's storage in SQLite, with engines and connections that are kept.

Dagster makes an engine, which compiles every statement again, and a connection for each event: a
sixth of the time of a small run. Here each file keeps its engine, and the two files that all runs
share keep their connection, as a run's own file does in the process that runs it. Whoever follows a
run, such as the UI, waits for the run's file to change. SQLite writes new events beside that file
until its last connection closes, so the file is touched after each event.
"""

import contextlib
import logging
import os
import sqlite3
from collections.abc import Generator

import sqlalchemy as sa
from dagster import EventLogEntry
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy import event as events
from sqlalchemy.pool import NullPool, QueuePool

from din_assets.runs.history_errors import WAY_OUT, RunHistoryError, explained

_KEPT_RUNS = 8


def _is_no_interrupt(record: logging.LogRecord) -> bool:
    """Whether SQLAlchemy tells of an error: it writes the stack of an interrupt, too."""
    return not record.exc_info or isinstance(record.exc_info[1], Exception | None)


for _pool in (NullPool, QueuePool):
    # A filter of the loggers above would not be asked.
    logging.getLogger(f"{_pool.__module__}.{_pool.__qualname__}").addFilter(_is_no_interrupt)


class Engines:
    """The engines of this process, one for each database file."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._shared: dict[str, sa.Engine] = {}
        self._of_runs: dict[str, sa.Engine] = {}

    def shared(self, url: str) -> sa.Engine:
        """Return the engine of a file whose connection stays open, as of one that all runs share.

        A commit is not forced to the disk: a power cut may take the last events from the history,
        a killed process takes none, and the file stays whole either way.

        Args:
            url: The file, as SQLAlchemy names it.
        """
        self._leave_to_parent()
        if url not in self._shared:
            engine = sa.create_engine(
                url,
                poolclass=QueuePool,
                pool_size=1,
                max_overflow=-1,
                connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS},
            )
            events.listen(engine, "connect", _without_waiting_for_the_disk)
            self._shared[url] = engine
        return self._shared[url]

    def of_run(self, url: str) -> sa.Engine:
        """Return the engine of one run's file, which is closed after each use.

        Args:
            url: The file, as SQLAlchemy names it. If its connection stays open, that is used.
        """
        self._leave_to_parent()
        if url in self._shared:
            return self._shared[url]
        engine = self._of_runs.pop(url, None) or sa.create_engine(
            url, poolclass=NullPool, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
        )
        self._of_runs[url] = engine
        if len(self._of_runs) > _KEPT_RUNS:
            del self._of_runs[next(iter(self._of_runs))]
        return engine

    def let_go(self, url: str) -> None:
        """Close a file whose connection stayed open; nothing happens where none did.

        Args:
            url: The file, as SQLAlchemy names it.
        """
        self._leave_to_parent()
        if engine := self._shared.pop(url, None):
            engine.dispose()

    def dispose(self) -> None:
        """Close what is open; what is asked for afterwards is opened again."""
        self._leave_to_parent()
        for engine in self._shared.values():
            engine.dispose()
        self._shared.clear()
        self._of_runs.clear()

    def _leave_to_parent(self) -> None:
        # SQLite forbids to use a connection on the other side of a fork, and to close it there.
        if self._process != os.getpid():
            for engine in self._shared.values():
                engine.dispose(close=False)
            self._shared, self._of_runs, self._process = {}, {}, os.getpid()


def _without_waiting_for_the_disk(connection: sqlite3.Connection, _: object) -> None:
    connection.execute("pragma synchronous = normal")


class EventLog(sqlite_event_log.SqliteEventLogStorage):
    """Dagster's own event log, on kept engines."""

    def __init__(self, base_dir: str) -> None:
        self._engines = Engines()
        self._tables_there: set[str] = set()
        super().__init__(base_dir)

    def has_table(self, table_name: str) -> bool:
        """Say whether the log has a table, which Dagster asks for each event, on a new connection.

        Args:
            table_name: The table. One that was there once is taken to be there: no version of
                Dagster takes one out.
        """
        if table_name not in self._tables_there and super().has_table(table_name):
            self._tables_there.add(table_name)
        return table_name in self._tables_there

    @contextlib.contextmanager
    def _connect(self, shard: str) -> Generator[sa.Connection]:
        url = self.conn_string_for_shard(shard)
        with self._db_lock, explained(url):
            is_shared = shard == sqlite_event_log.INDEX_SHARD_NAME
            engine = self._engines.shared(url) if is_shared else self._engines.of_run(url)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event, and show whoever follows the run that there is one.

        Raises:
            RunHistoryError: The run's file cannot be written, or somebody has removed it.
        """
        super().store_event(event)
        path = self.path_for_shard(event.run_id)
        try:
            os.utime(path)
        except OSError as error:
            raise RunHistoryError(f"{path}: {error.strerror}; {WAY_OUT}") from error

    def keep_open(self, run_id: str) -> None:
        """Keep the connection to a run's file, which otherwise is closed after each event."""
        self._engines.shared(self.conn_string_for_shard(run_id))

    def let_go(self, run_id: str) -> None:
        """Close a run's file, where it was kept open."""
        self._engines.let_go(self.conn_string_for_shard(run_id))

    def dispose(self) -> None:
        """Close the log."""
        super().dispose()
        self._engines.dispose()


class RunRecords(SqliteRunStorage):
    """Dagster's own record of runs, on a kept connection."""

    def __init__(self, conn_string: str) -> None:
        self._engines = Engines()
        super().__init__(conn_string)

    @contextlib.contextmanager
    def connect(self) -> Generator[sa.Connection]:
        """Open a transaction."""
        url = self._conn_string
        with explained(url), self._engines.shared(url).begin() as connection:
            yield connection

    def dispose(self) -> None:
        """Close the record."""
        super().dispose()
        self._engines.dispose()
