"""Columns whose floats are too large for whole numbers to stay apart in them.

pandas makes floats of a column of integers with a gap, and people make them smaller to save memory.
Beyond 2**53 (2**24 in 32 bits, 2**11 in 16) neighbours are one number then: two users become one,
and times lose their order. That was done before the file was written, and all that is left to see
is the size of the numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from din_core.sources.files import SourceFile
from din_core.sources.parquet_rows import open_parquet

# Bits of a float's whole numbers, by its width.
_EXACT_BITS = {16: 11, 32: 24, 64: 53}


def said_of_rounded(bits: int, kind: str, largest: float) -> str:
    """Say what may have become of whole numbers in a column of floats; '' where they are exact.

    Args:
        bits: Width of a float.
        kind: What its type is called.
        largest: The largest size of the values.
    """
    exact = 2 ** _EXACT_BITS[bits]
    if largest <= exact:
        return ""
    return (
        f"is of type {kind}, where whole numbers are exact up to {exact:,}, and has "
        f"{largest:,.0f}: different ids may have become one, and times lost their order; write it "
        "as an integer or a string"
    )


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
            if pa.types.is_floating(kind):
                largest = _largest(parquet, name, places[name])
                if said := said_of_rounded(kind.bit_width, str(kind), largest):
                    found.append(f"{file.name}: the column '{name}' {said}")
        return tuple(found)


def _largest(parquet: Any, name: str, place: int) -> float:
    """The largest size of a column's values, by its statistics or, without them, its values."""
    largest = 0.0
    for group in range(parquet.metadata.num_row_groups):
        told = parquet.metadata.row_group(group).column(place).statistics
        if told is not None and told.has_min_max:
            ends = [_number(told.min), _number(told.max)]
        else:
            values = parquet.read_row_group(group, columns=[name]).column(name)
            ends = values.to_numpy().astype(np.float64)
        sizes = np.abs(ends)
        largest = float(np.max(sizes, initial=largest, where=np.isfinite(sizes)))
    return largest


def _number(end: Any) -> float:
    """What a statistic stands for; pyarrow gives those of 16 bits as they are written."""
    return float(np.frombuffer(end, "<f2")[0]) if isinstance(end, bytes) else float(end)
