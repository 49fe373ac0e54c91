"""Reading the Parquet files of a bundle.

By ``ParquetFile`` and not by ``read_table``, which imports pandas where it is, and takes as long
for that as all the rest of a ranking.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyarrow import parquet

_parquet: Any = parquet  # pyarrow has no types


def read(path: Path, columns: Sequence[str] | None = None) -> Any:
    """Return a file as an Arrow table, all of its columns or some."""
    with _parquet.ParquetFile(path) as file:
        return file.read(None if columns is None else list(columns))


class KeptOpen:
    """A file that is read from time to time, and stays readable where its name is removed.

    Calls may come from several threads.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._file = _parquet.ParquetFile(path)
        self._reading = threading.Lock()

    def read(self, column: str) -> Any:
        """Return a column, a chunked Arrow array."""
        with self._reading:
            return self._file.read([column])[column]

    def read_group(self, group: int, column: str) -> Any:
        """Return a column of one row group, an Arrow array."""
        with self._reading:
            return self._file.read_row_group(group, [column])[column].combine_chunks()
