"""The version of a table: a hash of its rows, whatever their order, machine or engine.

Two tables have the same version when they hold the same rows under the same column names. Storage,
row order, integer width, paths and clocks do not enter, so an unchanged result is recognised as
such and nothing below it has to be rebuilt.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from din_core.arrow_without_pandas import filled
from din_core.store import sql_files

Words = npt.NDArray[np.uint64]
Nulls = npt.NDArray[np.bool_] | None

# Arrow's batches and arrays are `Any` below: pyarrow comes without type stubs.

# Rows hashed at a time: the working arrays of one batch stay in the processor's cache.
_BATCH_ROWS = 65_536

_INTEGERS = {
    "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER",
    "UBIGINT",
}  # fmt: skip
_FLOATS = {"FLOAT", "DOUBLE"}
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")
_DIGITS_IN_64_BITS = 18

# Two lanes of 64 bits with unrelated odd constants: (start, multiplier, word for NULL).
_LANES = (
    (0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93, 0x6A09E667F3BCC909),
    (0xC2B2AE3D27D4EB4F, 0xA0761D6478BD642F, 0xBB67AE8584CAA73B),
)

# Views that would expand every history. The rows of the encoded ones follow from these: which
# positions are samples of which split, what the histories are slices of, and what describes users
# and items. Those in ids say also what the indices stand for.
_ENCODED_SAMPLES = ("sample_bounds", "events", "users", "items")
_COMPOSED = {
    "encoded_samples": _ENCODED_SAMPLES,
    "samples": (*_ENCODED_SAMPLES, "attributes"),
}

# A source file enters by its number among the source's files, so that the same rows under another
# file name are the same content.
_FILE_NUMBERS = (
    "select file, row_number() over (order by file) as number_of_file "
    "from (select distinct file from {table})"
)


def content_version(con: duckdb.DuckDBPyConnection, table: str) -> str:
    """Hash the rows of a table.

    Every row becomes 128 bits: its columns are mixed one after the other, in two lanes of uint64
    arithmetic; text enters through its MD5, lists and other types through their text. The rows'
    hashes are summed modulo 2**64, lane by lane, which makes the order of rows irrelevant; the
    number of rows and the column names are joined in. Rows stream through in batches, so memory
    does not grow with the table.

    Args:
        con: The connection; an open transaction sees its own changes.
        table: A table, or a view. For ``samples`` and ``encoded_samples`` the histories are not
            expanded: their version is that of the tables they are defined by.

    Returns:
        32 hexadecimal digits.
    """
    if table in _COMPOSED:
        parts = [content_version(con, part) for part in _COMPOSED[table]]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    described = con.execute(f"describe {sql_files.quote(table)}").fetchall()
    names = [str(row[0]) for row in described]
    wanted = [_as_column(sql_files.quote(row[0]), str(row[1])) for row in described]
    # A decimal enters without its point: where the point was comes with the type.
    names += [f"{row[0]} {row[1]}" for row in described if _DECIMAL.match(str(row[1]))]
    relation = f"{sql_files.quote(table)}"
    if "file" in names:
        wanted[names.index("file")] = "number_of_file"
        relation += f" inner join ({_FILE_NUMBERS.format(table=relation)}) using (file)"
    # A relation streams its rows; a DB-API result would copy them once more.
    query = f"select {', '.join(wanted)} from {relation}"
    reader = con.sql(query).to_arrow_reader(_BATCH_ROWS)
    rows = 0
    totals = [0, 0]
    for batch in reader:
        for part in _slices(batch):
            rows += part.num_rows
            columns = [pair for column in part.columns for pair in _to_words(column)]
            for lane in range(len(_LANES)):
                totals[lane] = (totals[lane] + _sum_of_rows(columns, lane)) % 2**64
    text = "\0".join([*names, str(rows), *map(str, totals)])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _as_column(column: str, kind: str) -> str:
    """Write a column as one of the three kinds that are hashed: integers, floats, text."""
    if kind in _INTEGERS or kind == "VARCHAR":
        return column if kind != "BOOLEAN" else f"cast({column} as tinyint)"
    if kind in _FLOATS:
        # Adding zero makes -0.0 equal to 0.0, as SQL compares them.
        return f"cast({column} as double) + 0.0"
    scale = _short_decimal(kind)
    if scale is not None:
        return f"cast(cast({column} as decimal(38, {scale})) * {10**scale} as bigint)"
    return f"cast({column} as varchar)"


def _short_decimal(kind: str) -> int | None:
    """Digits after the point of a decimal that is 64 bits wide, None for any other type."""
    found = _DECIMAL.fullmatch(kind)
    return int(found[2]) if found and int(found[1]) <= _DIGITS_IN_64_BITS else None


def _slices(batch: Any) -> Iterator[Any]:
    for start in range(0, batch.num_rows, _BATCH_ROWS):
        yield batch.slice(start, _BATCH_ROWS)


def _to_words(column: Any) -> list[tuple[Words, Nulls]]:
    """Bring a column to words of 64 bits: one for numbers, two for text."""
    nulls = None
    if column.null_count:
        nulls = _as_numpy(column.is_null().cast(pa.uint8())).view(np.bool_)
    if pa.types.is_string(column.type):
        return [(words, nulls) for words in _text_words(column)]
    if nulls is not None:
        column = filled(column, 0)
    values = _as_numpy(column)
    if values.dtype.kind == "f" or values.dtype == np.uint64:
        return [(values.view(np.uint64), nulls)]
    # Through int64, so that a negative number has the same bits at every width.
    return [(values.astype(np.int64, copy=False).view(np.uint64), nulls)]


def _text_words(column: Any) -> tuple[Words, Words]:
    """Both halves of each text's MD5; texts that repeat within a batch are hashed once."""
    encoded = column.dictionary_encode()
    digests = [_md5(text) for text in encoded.dictionary.to_pylist()]
    # Last come the zeros of a NULL. A place in the dictionary would be another text in each batch.
    halves = np.frombuffer(b"".join([*digests, bytes(16)]), dtype="<u8").reshape(-1, 2)
    chosen = _as_numpy(filled(encoded.indices, len(digests)))
    return halves[chosen, 0], halves[chosen, 1]


def _as_numpy(numbers: Any) -> npt.NDArray[Any]:
    return np.from_dlpack(numbers)  # not to_numpy(), which imports pandas


@functools.lru_cache(maxsize=1 << 18)
def _md5(text: str) -> bytes:
    return hashlib.md5(text.encode(), usedforsecurity=False).digest()


def _sum_of_rows(columns: list[tuple[Words, Nulls]], lane: int) -> int:
    start, multiplier, null_word = (np.uint64(word) for word in _LANES[lane])
    length = len(columns[0][0])
    state = np.full(length, start, dtype=np.uint64)
    shifted = np.empty_like(state)
    for values, nulls in columns:
        # Each step is invertible in the value, so rows that differ in one column keep different
        # states; a NULL moves the state by a word of its own beside the value's zero.
        np.bitwise_xor(state, values, out=state)
        if nulls is not None:
            state[nulls] ^= null_word
        np.multiply(state, multiplier, out=state)
        np.right_shift(state, np.uint64(31), out=shifted)
        np.bitwise_xor(state, shifted, out=state)
    np.multiply(state, start, out=state)
    np.right_shift(state, np.uint64(33), out=shifted)
    np.bitwise_xor(state, shifted, out=state)
    np.multiply(state, multiplier, out=state)
    np.right_shift(state, np.uint64(29), out=shifted)
    np.bitwise_xor(state, shifted, out=state)
    return int(state.sum(dtype=np.uint64))
