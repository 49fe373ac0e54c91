"""The temporary tables behind ``source_rows``, and how rows get into them.

The rows that could be taken apart are in ``source_good``, without the two columns that they never
fill and with a number instead of the file's name; all others, and those the SQL rejects, are in
``source_bad``. At 100 million rows this saves a third of the space.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from din_core import sql_files
from din_core.sources.csv_blocks import BLOCK_BYTES, Rows, read_rows
from din_core.sources.csv_header import Header, locate, read_header
from din_core.sources.errors import SourceError
from din_core.sources.files import SourceFile, open_text, refuse_other_encodings
from din_core.sources.parquet_rows import open_parquet, raw_parquet, read_parquet
from din_core.sources.raw_lines import raw_text

_HEADER_BYTES = 1 << 20
_RAW_ROWS = 1 << 16
_DIALECTS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "pipe"}


@dataclass(frozen=True)
class Progress:
    """How far the reading is.

    Attributes:
        bytes_read: Bytes of the files on disk that have been read.
        bytes_total: Bytes of all files.
        rows: Rows read so far.
    """

    bytes_read: int
    bytes_total: int
    rows: int


@dataclass(frozen=True)
class Layout:
    """The files of a source and where the wanted columns are in them.

    Attributes:
        files: The files.
        headers: The header of each text file, None for Parquet.
        columns: Columns of the source.
        wanted: Name a column gets, to its name in the source.
        has_label: Whether ``label`` is among the wanted.
        dialect: In words.
    """

    files: Sequence[SourceFile]
    headers: Sequence[Header | None]
    columns: tuple[str, ...]
    wanted: Mapping[str, str]
    has_label: bool
    dialect: str


def read_layout(
    files: Sequence[SourceFile], wanted: Mapping[str, tuple[str, str]], label_col: str
) -> Layout:
    """Read the headers of all files before any row.

    Args:
        files: The files.
        wanted: Name a column gets, to its name in the source and the option that names it.
        label_col: Name of the label column; it is wanted where the source has it.

    Raises:
        SourceError: A column is missing, or two files have different columns.
    """
    options = dict(wanted.values())
    headers: list[Header | None] = []
    first: tuple[str, ...] = ()
    for file in files:
        header = None if file.kind == "parquet" else _header(file, tuple(options))
        if header is None:
            with open_parquet(file.path) as parquet:
                columns = tuple(parquet.schema_arrow.names)
        else:
            columns = header.columns
        first = first or columns
        if set(columns) != set(first):
            odd = sorted(set(columns) ^ set(first))
            raise SourceError(
                f"{file.name}: its columns differ from those of {files[0].name} "
                f"({', '.join(odd)}); the files of one source have the same columns"
            )
        locate(columns, options, where=str(file.path))
        headers.append(header)
    has_label = label_col in first
    names = {name: column for name, (column, _) in wanted.items()}
    if has_label:
        names["label"] = label_col
    kinds = [_describe(file, header) for file, header in zip(files, headers, strict=True)]
    return Layout(files, headers, first, names, has_label, " / ".join(dict.fromkeys(kinds)))


def _header(file: SourceFile, required: Sequence[str]) -> Header:
    with open_text(file) as stream:
        start = stream.read(_HEADER_BYTES)
    refuse_other_encodings(file, start)
    return read_header(start, required=required, where=str(file.path))


def _describe(file: SourceFile, header: Header | None) -> str:
    if header is None:
        return "Parquet"
    packed = f", {file.compression}" if file.compression else ""
    return f"{_DIALECTS[header.delimiter]}-separated{packed}"


def load(
    con: duckdb.DuckDBPyConnection,
    layout: Layout,
    on_progress: Callable[[Progress], None] | None,
) -> str:
    """Fill the temporary tables and put the view ``source_rows`` over them.

    Args:
        con: The connection.
        layout: The source.
        on_progress: Told after each block how far it is.

    Returns:
        SHA-256 of the content, in hexadecimal.
    """
    _create(con, layout)
    total = sum(file.size for file in layout.files)
    digests: list[str] = []
    finished = rows_read = 0
    for number, (file, header) in enumerate(zip(layout.files, layout.headers, strict=True)):
        with contextlib.ExitStack() as stack:
            if header is None:
                with file.path.open("rb") as content:
                    digests.append(hashlib.file_digest(content, "sha256").hexdigest())
                stream = None
                blocks = read_parquet(file.path, layout.wanted)
            else:
                stream = stack.enter_context(open_text(file))
                blocks = read_rows(
                    stream,
                    header,
                    _positions(layout, header),
                    pending=_skip_header(stream.read(BLOCK_BYTES), header),
                    where=str(file.path),
                )
            for rows in _ahead(stack, blocks):
                _insert(con, number, rows, layout)
                rows_read += len(rows.lines) + len(rows.bad)
                if on_progress is not None:
                    here = stream.position() if stream is not None else 0
                    on_progress(Progress(finished + here, total, rows_read))
            if stream is not None:
                digests.append(stream.sha256.hexdigest())
        finished += file.size
        if on_progress is not None:
            on_progress(Progress(finished, total, rows_read))
    return _together(digests)


def content_hash(files: Sequence[SourceFile]) -> str:
    """Hash the content of files as :func:`load` does, without looking at the rows.

    Args:
        files: The files.

    Returns:
        SHA-256 in hexadecimal.
    """
    digests: list[str] = []
    for file in files:
        if file.kind == "parquet":
            with file.path.open("rb") as content:
                digests.append(hashlib.file_digest(content, "sha256").hexdigest())
        else:
            with open_text(file) as stream:
                while stream.read(BLOCK_BYTES):
                    pass
                digests.append(stream.sha256.hexdigest())
    return _together(digests)


def _together(digests: Sequence[str]) -> str:
    return (
        digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    )


def _positions(layout: Layout, header: Header) -> dict[str, int]:
    return {name: header.columns.index(column) for name, column in layout.wanted.items()}


def _skip_header(start: bytes, header: Header) -> bytes:
    return start[header.first_byte :]


def _ahead(stack: contextlib.ExitStack, blocks: Iterator[Rows]) -> Iterator[Rows]:
    """Parse the next block while the database takes in this one."""
    worker = stack.enter_context(ThreadPoolExecutor(max_workers=1))
    coming = worker.submit(next, blocks, None)
    while (rows := coming.result()) is not None:
        coming = worker.submit(next, blocks, None)
        yield rows


def _create(con: duckdb.DuckDBPyConnection, layout: Layout) -> None:
    columns = [sql_files.quote(name) for name in layout.wanted]
    typed = ", ".join(f"{column} varchar" for column in columns)
    listed = ", ".join(columns)
    names = ", ".join(sql_files.literal(file.name) for file in layout.files)
    file = f"list_extract([{names}], file_number + 1)" if len(layout.files) > 1 else names
    con.execute("drop view if exists temp.source_rows")
    con.execute(
        f"create or replace temp table source_good (file_number integer, line bigint, {typed})"
    )
    con.execute(
        "create or replace temp table source_bad "
        f"(file_number integer, line bigint, {typed}, raw varchar, problem varchar)"
    )
    con.execute(
        f"create temp view source_rows as select {file} as file, line, {listed}, "
        "cast(null as varchar) as raw, cast(null as varchar) as problem from source_good "
        f"union all select {file} as file, line, {listed}, raw, problem from source_bad"
    )


def _insert(con: duckdb.DuckDBPyConnection, number: int, rows: Rows, layout: Layout) -> None:
    listed = ", ".join(sql_files.quote(name) for name in layout.wanted)
    if len(rows.lines):
        # Not pa.array(), which imports pandas to look at NumPy's.
        lines = pa.Array.from_buffers(pa.int64(), len(rows.lines), [None, pa.py_buffer(rows.lines)])
        block = pa.table({"line": lines} | {f"v {name}": v for name, v in rows.values.items()})
        block = block.rename_columns(["line", *layout.wanted])
        select = f"select {number}, line, {listed} from source_block"
        _append(con, block, f"insert into source_good {select}")
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


def discard(con: duckdb.DuckDBPyConnection) -> None:
    """Give back the space of the staged rows, once the tables are made of them."""
    con.execute("drop view if exists temp.source_rows")
    for table in ("source_good", "source_bad", "source_raw"):
        con.execute(f"drop table if exists temp.{table}")


def restore_raw(con: duckdb.DuckDBPyConnection, layout: Layout, rejected: str) -> None:
    """Fetch, for rows that the SQL rejects, what was written: a pass over just those lines.

    Args:
        con: The connection.
        layout: The source.
        rejected: The rendered ``rejected_rows``.
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
            if header is None:
                found = raw_parquet(file.path, lines)
            else:
                stream = stack.enter_context(open_text(file))
                pending = _skip_header(stream.read(BLOCK_BYTES), header)
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
