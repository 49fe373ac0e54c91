"""What a task of a cluster does with its part of a source: the readers of one machine, as they are.

The functions here travel to the workers with all that they call (:func:`on_workers`), so a cluster
needs Python, pyarrow and NumPy, and no installation of this program.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from din_core.sources.content_hashes import file_hash, rest_of_hash
from din_core.sources.csv_blocks import BLOCK_BYTES, Extent, read_rows
from din_core.sources.csv_header import Header
from din_core.sources.errors import SourceError
from din_core.sources.files import HashedStream, SourceFile, open_text
from din_core.sources.integers import canonical_integers
from din_core.sources.layout import Layout
from din_core.sources.parquet_rows import raw_parquet, read_parquet
from din_core.sources.parts import Part, Told
from din_core.sources.places import state_of
from din_core.sources.raw_lines import raw_text
from din_core.sources.record_rows import Rows

_RAW_ROWS = 1 << 16


@contextlib.contextmanager
def on_workers() -> Generator[None]:
    """Let what is defined in this program travel to the workers whole, instead of by its name."""
    from pyspark import cloudpickle

    import din_core

    cloudpickle.register_pickle_by_value(din_core)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(din_core)


def value_columns(layout: Layout) -> dict[str, str]:
    """Return the staged column of each wanted one: any name is safe there."""
    return {name: f"value_{place}" for place, name in enumerate(layout.wanted)}


def staged_schema(layout: Layout) -> str:
    """Return the columns of the staged rows, in Spark's words.

    A row has its ``part`` and ``attempt``, its ``line`` counted from 0 in the part, its values, and
    where it could not be taken apart ``raw`` and ``problem``. What a task says of its part is a row
    that has ``told`` alone.
    """
    values = ", ".join(f"{column} string" for column in value_columns(layout).values())
    return f"part int, attempt int, line bigint, {values}, raw string, problem string, told string"


def row_reader(layout: Layout) -> Callable[[Iterable[Any]], Iterator[Any]]:
    """Return what reads the rows of parts.

    Args:
        layout: The source.

    Returns:
        From batches that name parts, a row each with the fields of :class:`Part`, to batches of
        :func:`staged_schema`.
    """

    def read(batches: Iterable[Any]) -> Iterator[Any]:
        for batch in batches:
            for fields in batch.to_pylist():
                yield from _read_part(layout, Part(**fields))

    return read


def raw_reader(layout: Layout) -> Callable[[Iterable[Any]], Iterator[Any]]:
    """Return what fetches rows as they were written.

    Args:
        layout: The source.

    Returns:
        From batches that name parts, a row each with the fields of :class:`Part` and the wanted
        ``lines``, to batches of ``part, line, raw, error``.
    """

    def read(batches: Iterable[Any]) -> Iterator[Any]:
        for batch in batches:
            for fields in batch.to_pylist():
                lines = np.sort(np.asarray(fields.pop("lines"), dtype=np.int64))
                yield from _raw_of_part(layout, Part(**fields), lines)

    return read


def _read_part(layout: Layout, part: Part) -> Iterator[Any]:
    told = _Telling(part)
    try:
        _refuse_other(layout.files[part.file])
        for rows in _rows_of(layout, part, told):
            told.add(rows)
            yield _good_rows(layout, part, rows)
            if rows.bad:
                yield _bad_rows(layout, part, rows)
        yield _told_row(layout, part, told.all())
    except SourceError as error:
        yield _told_row(layout, part, Told(part=part.number, error=str(error)))
    except OSError as error:
        yield _told_row(
            layout, part, Told(part=part.number, error=_unreadable(layout, part, error))
        )


def _unreadable(layout: Layout, part: Part, error: OSError) -> str:
    return (
        f"{layout.files[part.file].path}: the cluster cannot read this file ({error}); put the "
        "source where each worker finds it at this place, or set DIN_ENGINE=duckdb"
    )


def _refuse_other(file: SourceFile) -> None:
    """Make sure that this worker finds the file, and the one that was cut into parts by its size.

    Raises:
        OSError: It is not there, or this worker may not read it.
        SourceError: It is another one.
    """
    with file.path.open("rb"):
        size = state_of(file.path).size
    if size != file.size:
        raise SourceError(
            f"{file.path}: a worker of the cluster finds {size:,} bytes there, where {file.size:,} "
            "were seen; give each worker the same file, and run again when nobody writes to it"
        )


class _Telling:
    """Gathers what is to be said of a part."""

    def __init__(self, part: Part) -> None:
        self._part, self._texts = part, set[str]()
        self._rows = self._continued = self._enclosed = 0
        self._swallowed, self._escaped, self._unseen = list[int](), list[int](), list[int]()
        self.begin, self.extent, self.sha256 = part.begin, Extent(0, 0), ""

    def add(self, rows: Rows) -> None:
        self._rows += len(rows.lines) + len(rows.bad)
        self._continued += rows.continued
        self._swallowed += rows.swallowed
        self._escaped += rows.escaped
        self._unseen += rows.unseen
        self._enclosed += rows.enclosed
        for name, values in rows.values.items():
            if name not in self._texts and canonical_integers(values) is None:
                self._texts.add(name)

    def all(self) -> Told:
        is_text = self._part.kind in ("file", "range")
        return Told(
            part=self._part.number,
            begin=self.begin,
            end=self.begin + self.extent.end,
            lines=self.extent.line if is_text else self._rows,
            rows=self._rows,
            texts=sorted(self._texts),
            continued=self._continued,
            swallowed=len(self._swallowed),
            first_swallowed=next(iter(self._swallowed), 0),
            enclosed=self._enclosed,
            escaped=len(self._escaped),
            first_escaped=next(iter(self._escaped), 0),
            unseen=len(self._unseen),
            first_unseen=next(iter(self._unseen), 0),
            sha256=self.sha256,
        )


def _rows_of(layout: Layout, part: Part, told: _Telling) -> Iterator[Rows]:
    file, header = layout.files[part.file], layout.headers[part.file]
    if part.kind == "hash":
        told.sha256 = _hash_of(file)
    elif header is None:
        groups = range(part.begin, part.end)
        found = read_parquet(file.path, layout.wanted, list(groups), numbers=layout.numbers)
        for rows in found:
            yield dataclasses.replace(rows, lines=rows.lines - 1)
    else:
        with open_text(file) as stream:
            limit = None
            if part.kind == "file":
                pending = stream.read(max(BLOCK_BYTES, part.begin + 1))[part.begin :]
            else:
                if part.end >= 0:
                    limit = _line_at(stream, part.end)
                if not part.is_exact:
                    told.begin = _line_at(stream, part.begin)
                if limit is not None:
                    limit = max(0, limit - told.begin)
                stream.skip_to(told.begin)
                pending = b""
            told.extent = yield from read_rows(
                stream,
                dataclasses.replace(header, first_line=0),
                layout.positions(header),
                pending=pending,
                where=f"{file.path}, counted from byte {told.begin:,}",
                limit=limit,
            )
            if part.kind == "file":
                told.sha256 = stream.sha256.hexdigest()


def _hash_of(file: SourceFile) -> str:
    if file.kind == "parquet":
        return file_hash(file)
    with open_text(file) as stream:
        return rest_of_hash(stream)


def _line_at(stream: HashedStream, place: int) -> int:
    """Return where the first line begins that does not begin before ``place``."""
    stream.skip_to(place - 1)
    place -= 1
    while block := stream.read(BLOCK_BYTES):
        end = block.find(b"\n")
        if end >= 0:
            return place + end + 1
        place += len(block)
    return place


def _good_rows(layout: Layout, part: Part, rows: Rows) -> Any:
    columns = value_columns(layout)
    values = {columns[name]: _whole(values) for name, values in rows.values.items()}
    return _batch(layout, part, len(rows.lines), {"line": pa.array(rows.lines), **values})


def _bad_rows(layout: Layout, part: Part, rows: Rows) -> Any:
    given = {
        "line": pa.array([bad.line for bad in rows.bad], pa.int64()),
        "raw": pa.array([bad.raw for bad in rows.bad], pa.string()),
        "problem": pa.array([bad.problem for bad in rows.bad], pa.string()),
    }
    return _batch(layout, part, len(rows.bad), given)


def _told_row(layout: Layout, part: Part, told: Told) -> Any:
    text = json.dumps(dataclasses.asdict(told))
    return _batch(layout, part, 1, {"told": pa.array([text], pa.string())})


def _whole(values: Any) -> Any:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _batch(layout: Layout, part: Part, n_rows: int, given: Mapping[str, Any]) -> Any:
    """Fill the columns of :func:`staged_schema`, those that are not given with NULL."""
    named = {
        "part": pa.repeat(pa.scalar(part.number, pa.int32()), n_rows),
        "attempt": pa.repeat(pa.scalar(part.attempt, pa.int32()), n_rows),
        "line": pa.nulls(n_rows, pa.int64()),
    }
    texts = (*value_columns(layout).values(), "raw", "problem", "told")
    nulls = {name: pa.nulls(n_rows, pa.string()) for name in texts}
    return pa.RecordBatch.from_pydict({**named, **nulls, **given})


def _raw_of_part(layout: Layout, part: Part, lines: Any) -> Iterator[Any]:
    file, header = layout.files[part.file], layout.headers[part.file]
    try:
        _refuse_other(file)
        if header is None:
            groups = range(part.begin, part.end)
            found = raw_parquet(file.path, lines + 1, list(groups))
            yield from _raw_rows(part, ((line - 1, raw) for line, raw in found))
            return
        with open_text(file) as stream:
            yield from _raw_rows(part, _raw_text(stream, header, part, lines))
    except SourceError as error:
        yield _raw_batch(part, [], error=str(error))
    except OSError as error:
        yield _raw_batch(part, [], error=_unreadable(layout, part, error))


def _raw_text(
    stream: HashedStream, header: Header, part: Part, lines: Any
) -> Iterator[tuple[int, str]]:
    pending = b""
    if part.kind == "file":
        pending = stream.read(max(BLOCK_BYTES, part.begin + 1))[part.begin :]
    else:
        stream.skip_to(part.begin)
    yield from raw_text(stream, dataclasses.replace(header, first_line=0), lines, pending=pending)


def _raw_rows(part: Part, found: Iterator[tuple[int, str]]) -> Iterator[Any]:
    while some := [pair for _, pair in zip(range(_RAW_ROWS), found, strict=False)]:
        yield _raw_batch(part, some)


def _raw_batch(part: Part, found: list[tuple[int, str]], error: str | None = None) -> Any:
    n_rows = len(found) + (error is not None)
    lines = [line for line, _ in found] + [-1] * (error is not None)
    raws = [raw for _, raw in found] + [None] * (error is not None)
    return pa.RecordBatch.from_pydict(
        {
            "part": pa.repeat(pa.scalar(part.number, pa.int32()), n_rows),
            "line": pa.array(lines, pa.int64()),
            "raw": pa.array(raws, pa.string()),
            "error": pa.array([None] * len(found) + [error] * (error is not None), pa.string()),
        }
    )
