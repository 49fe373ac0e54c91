"""Columns of Parquet whose floats are too large for whole numbers to stay apart in them.

pandas makes floats of a column of integers with a gap. Beyond 2**53 (2**24 in 32 bits) neighbours
are one number then: two users become one, and times lose their order. That was done before the file
was written, and all that is left to see is the size of the numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from din_core.sources.files import SourceFile
from din_core.sources.parquet_rows import open_parquet

# Bits of a float's whole numbers, by its width.
_EXACT_BITS = {32: 24, 64: 53}


def rounded_floats(file: SourceFile, columns: Iterable[str]) -> tuple[str, ...]:
    """Say which columns may have lost digits, by the statistics that the file has of them.

    Args:
        file: A Parquet file.
        columns: Its columns of ids, attributes and times.

    Returns:
        Sentences.

    Raises:
        SourceError: The file is damaged.
    """
    with open_parquet(file.path) as parquet:
        schema, metadata = parquet.schema_arrow, parquet.metadata
        places = {metadata.schema.column(i).path: i for i in range(metadata.num_columns)}
        found: list[str] = []
        for name in columns:
            kind = schema.field(name).type
            if not (pa.types.is_float32(kind) or pa.types.is_float64(kind)):
                continue
            exact = 2 ** _EXACT_BITS[kind.bit_width]
            largest = _largest(metadata, places[name])
            if largest > exact:
                found.append(
                    f"{file.name}: the column '{name}' is of type {kind}, where whole numbers are "
                    f"exact up to {exact:,}, and has {largest:,.0f}: different ids may have become "
                    "one, and times lost their order; write it as an integer or a string"
                )
        return tuple(found)


def _largest(metadata: Any, place: int) -> float:
    """The largest size of a column's values, as far as its row groups say."""
    largest = 0.0
    for group in range(metadata.num_row_groups):
        told = metadata.row_group(group).column(place).statistics
        if told is not None and told.has_min_max:
            sizes = [abs(float(told.min)), abs(float(told.max))]
            largest = max(largest, *(size for size in sizes if size < float("inf")), 0.0)
    return largest
