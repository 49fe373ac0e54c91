"""Dagster's run history in SQLite, created by one process at a time, and who of it is alive.

Every command of Dagster creates the history's tables where they are missing, and of two that start
at once on a fresh ``.dagster`` one died: "table runs already exists". ``dagster.yaml`` names the
class below as its storage, so that every command takes its turn, whoever started it. For the same
reason it is here that a run shows its sign of life: all that is run writes its events.
"""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import dagster as dg
import sqlalchemy.exc
from dagster._core.storage.sqlite import create_db_conn_string
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData

from din_assets.runs import dead_runs, origins
from din_assets.runs.history_errors import WAY_OUT, RunHistoryError
from din_assets.runs.kept_connections import EventLog, RunRecords
from din_core import store

if TYPE_CHECKING:
    from collections.abc import Mapping


_ENDS = (
    dg.DagsterEventType.RUN_SUCCESS,
    dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterEventType.RUN_CANCELED,
)


class _Events(EventLog):
    """The event log; from its first event to its last a run shows that it is alive."""

    def store_event(self, event: dg.EventLogEntry) -> None:
        """Store an event, and show the run's sign of life, or take it away."""
        kind = event.dagster_event_type
        if kind == dg.DagsterEventType.RUN_START and event.get_dagster_event().pid == os.getpid():
            dead_runs.show_sign(self._instance, event.run_id)
            self.keep_open(event.run_id)
        super().store_event(event)
        if kind in _ENDS:
            self.let_go(event.run_id)
            dead_runs.take_sign_away(self._instance, event.run_id)


class _Runs(RunRecords):
    """The record of runs; each says where the UI finds its job."""

    def add_run(self, dagster_run: dg.DagsterRun) -> dg.DagsterRun:
        """Record a run."""
        return super().add_run(origins.with_origin(dagster_run))


class RunHistory(DagsterSqliteStorage):
    """Dagster's own SQLite storage; its creation is guarded, and its runs show that they live."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        """Open it, as Dagster does; :meth:`from_config_value` is what guards this."""
        super().__init__(base_dir, inst_data)
        self._event_log_storage.dispose()
        self._run_storage.dispose()
        history = Path(base_dir) / "history"
        self._event_log_storage = _Events(str(history / "runs"))
        self._run_storage = _Runs(create_db_conn_string(str(history), "runs"))

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: "Mapping[str, Any]"
    ) -> Self:
        """Open the history, and create it first where it is missing.

        Args:
            inst_data: How Dagster refers to this class.
            config_value: ``base_dir``, the folder; a relative one starts at the working directory.

        Raises:
            RunHistoryError: The database cannot be made or opened.
            StoreError: The folder cannot be made, written or locked.
        """
        folder = Path(config_value["base_dir"]).absolute()
        try:
            with store.run_lock(
                folder / "creation.lock",
                owner="another start of Dagster",
                on_wait=logging.getLogger("dagster").warning,
                way_out=WAY_OUT,
            ):
                return cls.from_local(str(folder), inst_data=inst_data)
        except (OSError, sqlalchemy.exc.OperationalError) as error:
            reason = error.strerror if isinstance(error, OSError) else error.__cause__ or error
            raise RunHistoryError(f"{folder}: {reason}; {WAY_OUT}") from error
