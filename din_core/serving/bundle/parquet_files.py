"""Reading the Parquet files of a bundle.

By ``ParquetFile`` and not by ``read_table``, which imports pandas where it is, and takes as long
for that as all the rest of a ranking.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyarrow import parquet

_parquet: Any = parquet  # pyarrow has no types


def read(path: Path, columns: Sequence[str] | None = None) -> Any:
    """Return a file as an Arrow table, all of its columns or some."""
    with _parquet.ParquetFile(path) as file:
        return file.read(None if columns is None else list(columns))


def read_group(path: Path, group: int, column: str) -> Any:
    """Return a column of one row group, an Arrow array."""
    with _parquet.ParquetFile(path) as file:
        return file.read_row_group(group, [column])[column].combine_chunks()
