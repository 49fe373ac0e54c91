"""The temporary tables behind ``source_rows``, and how rows get into them.

The rows that could be taken apart are in ``source_good``, without the two columns that they never
fill and with a number instead of the file's name; all others, and those the SQL rejects, are in
``source_bad``. A column is staged as BIGINT for as long as each of its values is a canonical
integer, which most logs hold throughout: a fifth of the time of text, and half of the space. With
the first value that is not, it becomes text, and nothing is lost, for then both are the same.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from din_core.sources.content_hashes import file_hash, rest_of_hash
from din_core.sources.csv_blocks import BLOCK_BYTES, read_rows
from din_core.sources.doubts import Doubts
from din_core.sources.files import changed, open_text, refuse_changed
from din_core.sources.integers import canonical_integers
from din_core.sources.layout import Layout
from din_core.sources.parquet_rows import raw_parquet, read_parquet
from din_core.sources.raw_lines import raw_text
from din_core.sources.record_rows import Rows
from din_core.sources.rendering import WORDS_FOR_NOTHING
from din_core.sources.staged_source import Progress, Staged
from din_core.store import sql_files

_RAW_ROWS = 1 << 16
_ROW_GROUP = 122_880  # DuckDB's own size
_WAITING_ROWS = 2 * _ROW_GROUP
_WAITING_BYTES = 1 << 25  # long texts are inserted before they fill a row group
_BLOCKS_AHEAD = 2  # with one alone, either thread waits for the other's slower blocks


def load(
    con: duckdb.DuckDBPyConnection,
    layout: Layout,
    on_progress: Callable[[Progress], None] | None,
) -> Staged:
    """Fill the temporary tables and put the view ``source_rows`` over them.

    Args:
        con: The connection.
        layout: The source.
        on_progress: Told after each block how far it is.

    Returns:
        What the content was.

    Raises:
        SourceError: A file is damaged, or changed while it was read.
    """
    integers = set(layout.wanted)
    _create_tables(con, layout)
    good = _GoodRows(con, layout)
    total = sum(file.size for file in layout.files)
    digests: list[str] = []
    notes: list[str] = []
    finished = rows_read = continued = 0
    for number, (file, header) in enumerate(zip(layout.files, layout.headers, strict=True)):
        doubts = Doubts(file, header)
        with contextlib.ExitStack() as stack:
            if header is None:
                digests.append(file_hash(file))
                stream = None
                blocks = read_parquet(file.path, layout.wanted, numbers=layout.numbers)
            else:
                stream = stack.enter_context(open_text(file))
                blocks = read_rows(
                    stream,
                    header,
                    layout.positions(header),
                    pending=stream.read(BLOCK_BYTES)[header.first_byte :],
                    where=str(file.path),
                )
            for rows in _with_integers(_ahead(stack, blocks), integers):
                _widen(con, rows, integers)
                good.add(number, rows)
                _insert_bad(con, number, rows, layout)
                doubts.add(rows)
                continued += rows.continued
                rows_read += len(rows.lines) + len(rows.bad)
                if on_progress is not None:
                    here = stream.position() if stream is not None else 0
                    on_progress(Progress(finished + here, total, rows_read))
            good.flush()
            if stream is not None:
                digests.append(stream.sha256.hexdigest())
        refuse_changed(file)
        notes += doubts.sentences()
        finished += file.size
        if on_progress is not None:
            on_progress(Progress(finished, total, rows_read))
    # What Arrow keeps for the next block would lie idle through everything that follows.
    pa.default_memory_pool().release_unused()
    _create_view(con, layout)
    return Staged(tuple(digests), frozenset(integers), rows_read, continued, tuple(notes))


def _ahead(stack: contextlib.ExitStack, blocks: Iterator[Rows]) -> Iterator[Rows]:
    """Parse the next blocks while this one is looked at and the database takes it in."""
    worker = stack.enter_context(ThreadPoolExecutor(max_workers=1))
    coming = deque(worker.submit(next, blocks, None) for _ in range(_BLOCKS_AHEAD))
    while (rows := coming.popleft().result()) is not None:
        coming.append(worker.submit(next, blocks, None))
        yield rows


def _with_integers(blocks: Iterator[Rows], integers: Collection[str]) -> Iterator[Rows]:
    """Turn text columns into integers where they are: those of ``integers``, while they last."""
    for rows in blocks:
        found = {
            name: canonical_integers(values) if name in integers else None
            for name, values in rows.values.items()
        }
        values = {
            name: text if found[name] is None else found[name] for name, text in rows.values.items()
        }
        yield dataclasses.replace(rows, values=values)


def _widen(con: duckdb.DuckDBPyConnection, rows: Rows, integers: set[str]) -> None:
    """Make text of the staged columns that this block has text for, and remember it."""
    if not len(rows.lines):
        return
    for name in [name for name in integers if not pa.types.is_int64(rows.values[name].type)]:
        integers.remove(name)
        for table in ("source_good", "source_bad"):
            con.execute(f"alter table {table} alter column {sql_files.quote(name)} type varchar")


def _create_tables(con: duckdb.DuckDBPyConnection, layout: Layout) -> None:
    typed = ", ".join(f"{sql_files.quote(name)} bigint" for name in layout.wanted)
    con.execute("drop view if exists temp.source_rows")
    con.execute(
        f"create or replace temp table source_good (file_number integer, line bigint, {typed})"
    )
    con.execute(
        "create or replace temp table source_bad "
        f"(file_number integer, line bigint, {typed}, raw varchar, problem varchar)"
    )


def _create_view(con: duckdb.DuckDBPyConnection, layout: Layout) -> None:
    listed = ", ".join(sql_files.quote(name) for name in layout.wanted)
    names = ", ".join(sql_files.literal(file.name) for file in layout.files)
    file = f"list_extract([{names}], file_number + 1)" if len(layout.files) > 1 else names
    con.execute(
        f"create temp view source_rows as select {file} as file, line, {listed}, "
        "cast(null as varchar) as raw, cast(null as varchar) as problem from source_good "
        f"union all select {file} as file, line, {listed}, raw, problem from source_bad"
    )


class _GoodRows:
    """Rows of a file on their way into ``source_good``, gathered until they fill row groups.

    An insert takes milliseconds, however little it inserts; and one that is larger than a row group
    but no whole number of them leaves remainders, for which a checkpoint writes the table again.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, layout: Layout) -> None:
        self._con = con
        self._names = ["line", *layout.wanted]
        self._listed = ", ".join(sql_files.quote(name) for name in layout.wanted)
        self._number = 0
        self._waiting: list[Any] = []
        self._n_rows = self._n_bytes = 0

    def add(self, number: int, rows: Rows) -> None:
        """Take the good rows of a block of the file with that number."""
        if not len(rows.lines):
            return
        # Not pa.array(), which imports pandas to look at NumPy's.
        lines = pa.Array.from_buffers(pa.int64(), len(rows.lines), [None, pa.py_buffer(rows.lines)])
        block = pa.table({"line": lines} | {f"v {name}": v for name, v in rows.values.items()})
        block = block.rename_columns(self._names)
        if self._waiting and block.schema != self._waiting[0].schema:
            self.flush()  # a column has become text
        self._number = number
        self._wait(block)
        if self._n_rows >= _WAITING_ROWS or self._n_bytes >= _WAITING_BYTES:
            self._wait(self._insert_row_groups())

    def flush(self) -> None:
        """Insert what waits, as at the end of a file."""
        if self._waiting:
            self._insert(self._insert_row_groups())

    def _wait(self, block: Any) -> None:
        if block.num_rows:
            self._waiting.append(block)
            self._n_rows += block.num_rows
            self._n_bytes += block.nbytes

    def _insert_row_groups(self) -> Any:
        """Insert what fills row groups, or all that fills none, and return the rest."""
        gathered = pa.concat_tables(self._waiting).combine_chunks()
        self._waiting, self._n_rows, self._n_bytes = [], 0, 0
        whole = gathered.num_rows - gathered.num_rows % _ROW_GROUP or gathered.num_rows
        self._insert(gathered.slice(0, whole))
        return gathered.slice(whole)

    def _insert(self, block: Any) -> None:
        if block.num_rows:
            select = f"select {self._number}, line, {self._listed} from source_block"
            _append(self._con, block, f"insert into source_good {select}")


def _insert_bad(con: duckdb.DuckDBPyConnection, number: int, rows: Rows, layout: Layout) -> None:
    if rows.bad:
        block = pa.table(
            {
                "line": pa.array([bad.line for bad in rows.bad], pa.int64()),
                "raw": pa.array([bad.raw for bad in rows.bad], pa.string()),
                "problem": pa.array([bad.problem for bad in rows.bad], pa.string()),
            }
        )
        nulls = ", ".join("null" for _ in layout.wanted)
        select = f"select {number}, line, {nulls}, raw, problem from source_block"
        _append(con, block, f"insert into source_bad {select}")


def _append(con: duckdb.DuckDBPyConnection, block: Any, insert: str) -> None:
    """Run an insert from ``source_block``.

    Not by ``con.register``: inside a transaction a name that was given and taken back keeps its
    Arrow table alive until the commit, and so would every block of the source be kept.
    """
    con.from_arrow(block).query("source_block", insert)


def empty_words(con: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> None:
    """Let each word for nothing in some columns of text be the empty value."""
    words = ", ".join(map(sql_files.literal, WORDS_FOR_NOTHING))
    for column in map(sql_files.quote, columns):
        con.execute(f"update source_good set {column} = '' where {column} in ({words})")


def discard(con: duckdb.DuckDBPyConnection) -> None:
    """Give back the space of the staged rows, once the tables are made of them."""
    con.execute("drop view if exists temp.source_rows")
    for table in ("source_good", "source_bad", "source_raw"):
        con.execute(f"drop table if exists temp.{table}")


def restore_raw(
    con: duckdb.DuckDBPyConnection, layout: Layout, rejected: str, digests: Sequence[str]
) -> None:
    """Fetch, for rows that the SQL rejects, what was written: a pass over just those lines.

    Args:
        con: The connection.
        layout: The source.
        rejected: The rendered ``rejected_rows``.
        digests: Hash of each file's content, as the first pass found it.

    Raises:
        SourceError: A file is not the one that the first pass read.
    """
    con.execute(
        "create or replace temp table source_raw (file_number integer, line bigint, raw varchar)"
    )
    for number, (file, header) in enumerate(zip(layout.files, layout.headers, strict=True)):
        lines = con.execute(
            f"select line from ({rejected}) where raw is null and file = $1 order by line",
            [file.name],
        ).fetchnumpy()["line"]
        lines = np.ascontiguousarray(lines, dtype=np.int64)
        if not len(lines):
            continue
        with contextlib.ExitStack() as stack:
            stream = None
            if header is None:
                found = raw_parquet(file.path, lines)
            else:
                stream = stack.enter_context(open_text(file))
                pending = stream.read(BLOCK_BYTES)[header.first_byte :]
                found = raw_text(stream, header, lines, pending=pending)
            while some := [pair for _, pair in zip(range(_RAW_ROWS), found, strict=False)]:
                block = pa.table(
                    {
                        "line": pa.array([line for line, _ in some], pa.int64()),
                        "raw": pa.array([raw for _, raw in some], pa.string()),
                    }
                )
                select = f"select {number}, line, raw from source_block"
                _append(con, block, f"insert into source_raw {select}")
            refuse_changed(file)
            if stream is not None and rest_of_hash(stream) != digests[number]:
                raise changed(file)
    listed = ", ".join(f"source_good.{sql_files.quote(name)}" for name in layout.wanted)
    con.execute(
        f"insert into source_bad select file_number, line, {listed}, source_raw.raw, null "
        "from source_good inner join source_raw using (file_number, line)"
    )
    con.execute(
        "delete from source_good using source_raw "
        "where source_good.file_number = source_raw.file_number "
        "and source_good.line = source_raw.line"
    )
    con.execute("drop table source_raw")
