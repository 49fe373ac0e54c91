"""One load after the other: which log this is, what came with it, and what became of its files.

A load is a reading of a log with other content than before, counted from 1 in the ledger of
``interactions``. It belongs to the log that was read before, and known ids keep their indices,
where the source is the same by name, or holds a file that was read before, whole or grown. Another
log starts the vocabularies anew. :func:`take` decides that, in the transaction that reads the
source, so that a load that fails has changed nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from din_core import store
from din_core.engines.engine import DUCKDB, Engine
from din_core.store import ledger
from din_core.tables import known_ids

if TYPE_CHECKING:
    import duckdb

    from din_core.config import Vocabularies
    from din_core.sources import ReadFile

TABLE = "source_files"
_READ_FILES = pa.schema(
    {"file": pa.string(), "sha256": pa.string(), "bytes": pa.int64(), "load": pa.int32()}
)
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a load turned out to be.

    Attributes:
        number: Which load of its log it is, from 1.
        starts_anew: Whether ids that were known before are forgotten.
        sentence: What becomes of the vocabularies.
        notes: What became of the files, one sentence each.
        warnings: Likewise, what somebody should look into.
    """

    number: int
    starts_anew: bool
    sentence: str
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Before:
    """A file as it was read before."""

    sha256: str
    size: int
    load: int


def take(
    con: duckdb.DuckDBPyConnection,
    files: Sequence[ReadFile],
    *,
    content: str,
    content_before: str | None,
    same_source: bool,
    vocabularies: Vocabularies,
    renamed: Mapping[str, tuple[str, str]] | None = None,
    engine: Engine = DUCKDB,
) -> Load:
    """Count a load, forget the known ids where it is of another log, and make ``source_files``.

    Args:
        con: Connection, in the transaction that has read the log: ``interactions`` and
            ``rejected_rows`` are those of now, all else is as it was.
        files: The files that were read.
        content: Hash of the whole content.
        content_before: That of the load before; None where there was none.
        same_source: Whether the source has the name of the one that was read before.
        vocabularies: Which log it is to count as.
        renamed: Columns of ids that are others than before, by option: the one before, and now.
        engine: What makes ``source_files``.
    """
    before = _before(con)
    number = _number_before(con)
    changes = _Changes(files, before)
    is_first = content_before is None
    same_log = vocabularies == "keep" or (
        vocabularies == "auto" and (same_source or content == content_before or changes.go_on)
    )
    if is_first or not same_log:
        n_forgotten, before, load = known_ids.forget(con), {}, 1
    else:
        # Content that was read before loads were counted is the first one.
        n_forgotten, load = 0, max(1, number + (content != content_before))
    loads = [
        known.load
        if (known := before.get(file.name)) is not None and known.sha256 == file.sha256
        else load
        for file in files
    ]
    _write(con, files, loads, engine)
    gone_on = not is_first and same_log
    return Load(
        number=load,
        starts_anew=n_forgotten > 0,
        sentence=_sentence(load, gone_on=gone_on, n_forgotten=n_forgotten, why=vocabularies),
        notes=tuple(changes.notes()) if gone_on else (),
        warnings=(
            *(changes.warnings() if gone_on else ()),
            *(_other_ids(renamed or {}) if gone_on else ()),
            *_repeated(con, files),
        ),
    )


def _sentence(load: int, *, gone_on: bool, n_forgotten: int, why: Vocabularies) -> str:
    if gone_on:
        return f"load {load} of this log: known ids keep their indices"
    if not n_forgotten:
        return f"load {load} of this log: ids are numbered in their order"
    reason = "vocabularies is 'anew'" if why == "anew" else "this is another log than before"
    way = "" if why == "anew" else "; vocabularies: keep (ops: interactions: config) keeps them"
    return (
        f"{reason}: {n_forgotten:,} known ids are forgotten and all are numbered anew, so a model "
        f"has to be trained again{way}"
    )


class _Changes:
    """What became of the files since they were read before."""

    def __init__(self, files: Sequence[ReadFile], before: Mapping[str, _Before]) -> None:
        self._before = before
        now = {file.name: file for file in files}
        self._new = [name for name in now if name not in before]
        self._gone = [name for name in before if name not in now]
        changed = [n for n in now if n in before and now[n].sha256 != before[n].sha256]
        self._grown = [name for name in changed if _begins_as(now[name], before[name])]
        self._corrected = [
            name
            for name in changed
            if name not in self._grown or not _ends_a_line(now[name], before[name].size)
        ]
        names_now = {now[name].sha256: name for name in self._new}
        self._moved = {
            name: names_now[before[name].sha256]
            for name in self._gone
            if before[name].sha256 in names_now
        }
        # A log that is one file, exported anew under another name.
        if len(self._gone) == len(now) == len(before) == 1 and not self._moved:
            [was], [name] = self._gone, self._new
            if _begins_as(now[name], before[was]):
                self._moved, self._grown = {was: name}, [name]
        kept = [n for n in now if n in before and now[n].sha256 == before[n].sha256]
        #: Whether a file that was read before is there, under any name, whole or grown.
        self.go_on = bool(kept or self._grown or self._moved)

    def notes(self) -> Iterator[str]:
        if new := [name for name in self._new if name not in self._moved.values()]:
            yield f"files that are new: {_listed(new)}"
        if grown := [name for name in self._grown if name not in self._corrected]:
            yield f"files that grew, what was read before unchanged: {_listed(grown)}"
        if self._moved:
            pairs = [f"{was} is {name} now" for was, name in self._moved.items()]
            yield f"files under another name: {_listed(pairs)}"

    def warnings(self) -> Iterator[str]:
        for name in self._corrected:
            yield (
                f"{name} was changed since load {self._before[name].load} read it; it was read "
                "anew, and ids that it no longer has keep their indices"
            )
        for name in self._gone:
            if name not in self._moved:
                yield (
                    f"{name}, which load {self._before[name].load} read, is gone, and so are its "
                    "rows; put it back, or leave it so: ids of it keep their indices"
                )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"


def _begins_as(file: ReadFile, before: _Before) -> bool:
    """Whether a file is what it was before, with more behind it.

    Of compressed files and Parquet nobody can tell: they count as changed.
    """
    if not file.is_plain_text or file.bytes <= before.size:
        return False
    digest, left = hashlib.sha256(), before.size
    with file.path.open("rb") as content:
        while left and (block := content.read(min(_BLOCK_BYTES, left))):
            digest.update(block)
            left -= len(block)
    return digest.hexdigest() == before.sha256


def _ends_a_line(file: ReadFile, size: int) -> bool:
    """Whether a line ends there; where not, what follows is part of the row that was read last."""
    with file.path.open("rb") as content:
        content.seek(size - 1)
        around = content.read(2)
    return b"\r" in around or b"\n" in around


def _repeated(con: duckdb.DuckDBPyConnection, files: Sequence[ReadFile]) -> Iterator[str]:
    """Name files of the same content: their rows count as often as there are files."""
    rows = dict(con.execute(f"select file, rows from {TABLE}").fetchall())
    first: dict[str, str] = {}
    for file in files:
        same = first.setdefault(file.sha256, file.name)
        if same != file.name and rows[file.name]:
            yield (
                f"{file.name} has the very content of {same}, so each of these rows counts twice: "
                "take one of the files away, or set drop_duplicates"
            )


def _other_ids(renamed: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    for option, (before, now) in renamed.items():
        yield (
            f"{option} is {now!r} and was {before!r}: known ids keep their indices, as of a column "
            "with a new name; if these are other ids, read once with vocabularies: anew (ops: "
            "interactions: config)"
        )


def _before(con: duckdb.DuckDBPyConnection) -> dict[str, _Before]:
    if TABLE not in store.relations(con):
        return {}
    rows = con.execute(f"select file, sha256, bytes, load from {TABLE} order by file").fetchall()
    return {name: _Before(sha256, size, load) for name, sha256, size, load in rows}


def _number_before(con: duckdb.DuckDBPyConnection) -> int:
    """The last load of the log that was read before; 0 where that was not counted."""
    entry = ledger.entries(con).get("interactions")
    return 0 if entry is None else int(entry.inputs.get(known_ids.LOAD, 0))


def _write(
    con: duckdb.DuckDBPyConnection,
    files: Sequence[ReadFile],
    loads: Sequence[int],
    engine: Engine,
) -> None:
    columns: list[list[object]] = [
        [file.name for file in files],
        [file.sha256 for file in files],
        [file.bytes for file in files],
        [load for _, load in zip(files, loads, strict=True)],
    ]
    # By DuckDB: Arrow imports pandas for any table that it makes of Python's lists.
    made = con.sql(
        "select unnest(?::varchar[]) as file, unnest(?::varchar[]) as sha256, "
        "unnest(?::bigint[]) as bytes, unnest(?::bigint[]) as load",
        params=columns,
    )
    con.register("read_files", made.to_arrow_table().cast(_READ_FILES))
    try:
        engine.hand_over(con, "read_files")
        engine.create_table(con, TABLE)
    finally:
        store.unregister(con, "read_files")
