"""Dagster's run history in SQLite, created by one process at a time.

Every command of Dagster creates the history's tables where they are missing, and of two that start
at once on a fresh ``.dagster`` one died: "table runs already exists". ``dagster.yaml`` names the
class below as its storage, so that every command takes its turn, whoever started it.
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import sqlalchemy.exc
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData

from din_core import warehouse
from din_core.errors import DinError

if TYPE_CHECKING:
    from collections.abc import Mapping


_WAY_OUT = (
    "Dagster keeps its run history there: make the folder writable, or make room, or let "
    "DAGSTER_HOME name another one, with a copy of dagster.yaml in it"
)


class RunHistoryError(DinError):
    """The folder of the run history cannot be used; the message says the way out."""


class RunHistory(DagsterSqliteStorage):
    """Dagster's own SQLite storage; only its creation is guarded."""

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
            WarehouseError: The folder cannot be made, written or locked.
        """
        folder = Path(config_value["base_dir"]).absolute()
        try:
            with warehouse.run_lock(
                folder / "creation.lock",
                owner="another start of Dagster",
                on_wait=logging.getLogger("dagster").warning,
                way_out=_WAY_OUT,
            ):
                return cls.from_local(str(folder), inst_data=inst_data)
        except (OSError, sqlalchemy.exc.OperationalError) as error:
            reason = error.strerror if isinstance(error, OSError) else error.__cause__ or error
            raise RunHistoryError(f"{folder}: {reason}; {_WAY_OUT}") from error
