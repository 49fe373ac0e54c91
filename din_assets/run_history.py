"""Dagster's run history in SQLite, created by one process at a time.

Every command of Dagster creates the history's tables where they are missing, and of two that start
at once on a fresh ``.dagster`` one died: "table runs already exists". ``dagster.yaml`` names the
class below as its storage, so that every command takes its turn, whoever started it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import sqlalchemy.exc
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData

from din_core import warehouse
from din_core.errors import DinError

if TYPE_CHECKING:
    from collections.abc import Mapping


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
            RunHistoryError: The folder cannot be made, written or locked.
        """
        folder = Path(config_value["base_dir"]).absolute()
        try:
            with warehouse.run_lock(folder / "creation.lock", owner="another start of Dagster"):
                return cls.from_local(str(folder), inst_data=inst_data)
        except warehouse.WarehouseError as error:
            raise RunHistoryError(_way_out(folder, error)) from error
        except (OSError, sqlalchemy.exc.OperationalError) as error:
            raise RunHistoryError(_way_out(folder, error)) from error


def _way_out(folder: Path, error: Exception) -> str:
    return (
        f"{folder}: Dagster's run history cannot be kept there ({error}); make the folder writable "
        "or make room, or name another one by DAGSTER_HOME, with a copy of dagster.yaml in it"
    )
