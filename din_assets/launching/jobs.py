"""What a worker is told, as a file in the folder of the launch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FILE = "job.json"


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the workers of a launch do.

    Attributes:
        task: The model to be fitted, as :meth:`din_core.serving.fitting.Task.to_json` gives it.
        database: File with the tables.
        spill: Where DuckDB puts what does not fit in memory.
        tables_root: Where Parquet files lie that views of the database may read.
        threads: DuckDB's threads in each worker; None for its share of the cores.
        memory_limit: DuckDB's memory limit in each worker; None for its share of the memory.
        timeout: Longest wait of a worker for another one, in seconds.
    """

    task: Mapping[str, Any]
    database: str
    spill: str
    tables_root: str
    threads: int | None
    memory_limit: str | None
    timeout: float

    def write(self, folder: Path) -> None:
        """Write it for the workers."""
        (folder / _FILE).write_text(json.dumps(vars(self)), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Job":
        """Read what :meth:`write` wrote."""
        return cls(**json.loads((folder / _FILE).read_text(encoding="utf-8")))
