"""The users of one bucket at a time, read from the Parquet tables below a root.

A shard is a log of some users (:class:`din_core.inputs.flat_log.ShareOfUsers`): DuckDB reads its
files through Arrow, the views over them are those of the pipeline, and what reads the pipeline's
database reads a shard. What a process holds of the users grows with the shard; of the items it
holds all, once.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import hashlib
import itertools
from collections.abc import Callable, Collection, Generator
from typing import TYPE_CHECKING, TypedDict, Unpack

import duckdb
import numpy as np

from din_core import store
from din_core.engines import reading
from din_core.engines.errors import EngineError
from din_core.inputs import times, training_data
from din_core.inputs.flat_log import Int64, ShareOfUsers, SplitName, TrainingData
from din_core.inputs.training_data import TrainingDataError
from din_core.store.errors import shortage
from din_core.store.sql_files import literal, quote
from din_core.store.table_files import TableFiles, explain

if TYPE_CHECKING:
    from pathlib import Path

    from fsspec import AbstractFileSystem

    from din_core.config import SequenceConfig
    from din_core.engines.parquet_tables import ParquetRoot, ParquetTable
    from din_core.network.vocabulary import Vocabulary


class _Options(TypedDict):
    filesystem: AbstractFileSystem | None
    memory_limit: str | None
    threads: int | None
    temp_directory: Path | str | None


# What is read of each shard, and what is read once. Tables come before the views over them.
_OF_USERS = ("users", "events", "user_sequences", "negatives", "sample_bounds")
_OF_ALL = ("items", "attributes", "column_roles")


class Shards:
    """The shards of a log.

    The versions of the tables that hold at first are read to the end.

    Args:
        root: Of the tables.
        sequences: How the table ``negatives`` was sampled.
        with_times: Whether to read when things happened.
        threads: DuckDB's; by default the cores that this process may use.
        memory_limit: DuckDB's, as of :func:`din_core.store.connect`.
        temp_directory: Where DuckDB spills, likewise.

    Attributes:
        number: How many shards there are; some may be empty.
        catalogue: What is known of the items.

    Raises:
        TrainingDataError: A table is missing.
        EngineError: The tables cannot be read, or are not whole.
    """

    def __init__(
        self,
        root: ParquetRoot,
        sequences: SequenceConfig,
        *,
        with_times: bool = False,
        threads: int | None = None,
        memory_limit: str | None = None,
        temp_directory: Path | str | None = None,
    ) -> None:
        self._root, self._sequences = root, sequences
        self._with_times = with_times
        self._databases = _Databases(
            filesystem=None if root.is_local else root.filesystem,
            memory_limit=memory_limit,
            threads=threads,
            temp_directory=temp_directory,
        )
        self._manifest = manifest = root.manifest()
        there = {*manifest.tables, *manifest.views}
        missing = [name for name in (*_OF_USERS, *_OF_ALL, "interactions") if name not in there]
        if missing:
            raise TrainingDataError(
                f"training reads tables that are not all below {root.url} (there is no "
                f"{missing[0]!r}); materialize the assets up to samples with DIN_ENGINE=spark first"
            )
        of_users = [name for name in _OF_USERS if name in manifest.tables]
        if scattered := [name for name in of_users if not manifest.tables[name].bucketed]:
            raise TrainingDataError(
                f"{root.url}: {scattered[0]!r} does not lie in folders by user, so no process can "
                "read its share; make it again with DIN_ENGINE=spark"
            )
        self.number = manifest.buckets
        self._item_counts: Int64 | None = None
        with self._tables("the items", _OF_ALL, None) as con:
            # A file that is gone would be users that nobody misses.
            reading.require_whole(con, root, manifest)
            n_users = manifest.tables["users"].rows
            self.catalogue = training_data.load_catalogue(con, n_users)

    @property
    def labelled(self) -> bool:
        """Whether the negatives are logged."""
        return "label" in self._manifest.tables["interactions"].columns

    def versions(self) -> str:
        """SHA-256 of which tables and views are read."""
        folders = {name: each.folder for name, each in self._manifest.tables.items()}
        read = {**self._manifest.views, **folders}
        of_tables = [read[name] for name in (*_OF_USERS, *_OF_ALL)]
        return hashlib.sha256(repr((self.number, of_tables)).encode()).hexdigest()

    def knowing(self, vocabulary: Vocabulary, item_counts: Int64 | None) -> Shards:
        """Return the shards with what a pass over all of them has found out.

        Args:
            vocabulary: With the numbers measured.
            item_counts: As of :class:`ShareOfUsers`, where training draws its negatives itself: of
                the training samples only the positives are read then.
        """
        shards = copy.copy(self)
        shards.catalogue = dataclasses.replace(self.catalogue, vocabulary=vocabulary)
        shards._item_counts = item_counts
        return shards

    @contextlib.contextmanager
    def opened(self) -> Generator[Callable[[int, Collection[SplitName]], TrainingData]]:
        """Open one database for a pass over shards.

        Yields:
            :meth:`open` in that database, for one call at a time.
        """
        with self._databases.empty() as con:
            yield functools.partial(self.open, con=con)

    def open(
        self,
        number: int,
        splits: Collection[SplitName],
        *,
        con: duckdb.DuckDBPyConnection | None = None,
    ) -> TrainingData:
        """Read a shard.

        Args:
            number: From 0.
            splits: Those whose samples are read.
            con: From :meth:`opened`; by default a database of its own.

        Raises:
            StoreError: A file of it is gone or damaged.
            EngineError: Its files cannot be read.
        """
        with self._tables(f"shard {number}", _OF_USERS, number, con) as tables:
            return self._load(tables, number, splits)

    def nobody(self) -> TrainingData:
        """Return a shard without users."""
        with self._tables("a shard without users", _OF_USERS, None) as con:
            return self._load(con, 0, ("train",))

    def _load(
        self, con: duckdb.DuckDBPyConnection, number: int, splits: Collection[SplitName]
    ) -> TrainingData:
        draws_itself = self._item_counts is not None and set(splits) == {"train"}
        data = training_data.load_users(
            con, self.catalogue, self._sequences, splits, positives_only=draws_itself
        )
        if self._with_times:
            data = times.with_times(con, data)
        # Those whose index has this remainder, in their order; 0 is nobody's index.
        first = number or self.number
        users = np.arange(-1, data.n_users, dtype=np.int32) * np.int32(self.number) + first
        users[0] = 0
        share = ShareOfUsers(number, users.astype(np.int32), self._item_counts)
        return dataclasses.replace(data, share=share)

    @contextlib.contextmanager
    def _tables(
        self,
        what: str,
        names: Collection[str],
        number: int | None,
        con: duckdb.DuckDBPyConnection | None = None,
    ) -> Generator[duckdb.DuckDBPyConnection]:
        """Have a database whose views are tables, of users those of a shard or none."""
        tables = self._manifest.tables
        read: list[TableFiles] = []
        with contextlib.nullcontext(con) if con else self._databases.empty() as database:
            try:
                _let_go(database)
                # Only its columns are asked for.
                _create_view(database, "interactions", self._select(tables["interactions"], []))
                for name in names:
                    if name not in tables:
                        _create_view(database, name, self._manifest.views[name])
                        continue
                    files = list[str]()
                    if number is not None or not tables[name].bucketed:
                        files = self._root.files(tables[name].folder, number)
                    read.append(TableFiles(name, files, self._select_one(tables[name])))
                    _create_view(database, name, self._select(tables[name], files))
                yield database
            except (duckdb.Error, OSError) as error:
                if isinstance(error, duckdb.Error) and (
                    known := explain(database, error, read) or shortage(":memory:", error)
                ):
                    raise known from error
                reason = str(error).splitlines()[0]
                raise EngineError(
                    f"{self._root.url}: {what} cannot be read ({reason}). If the tables were made "
                    "again meanwhile, train again; otherwise make them again (din run --all)"
                ) from error

    def _select_one(self, table: ParquetTable) -> Callable[[str], str]:
        return lambda file: self._select(table, [file])

    def _select(self, table: ParquetTable, files: list[str]) -> str:
        """Select a table's columns from files; in those of a shard its users count from 1."""
        values = {name: quote(name) for name in table.columns}
        if table.bucketed and "user_idx" in values:
            values["user_idx"] = f"(user_idx - 1) // {self.number} + 1"
        columns = ", ".join(
            f"cast({values[name] if files else 'null'} as {kind}) as {quote(name)}"
            for name, kind in table.columns.items()
        )
        if not files:
            return f"select {columns} where false"
        # The bucket is in the path and in no column.
        paths = ", ".join(map(literal, files))
        return f"select {columns} from read_parquet([{paths}], hive_partitioning = false)"


class _Databases:
    """Empty databases of one instance of DuckDB.

    To start an instance takes 20 ms, which a pass over small shards would feel. It is closed when
    nobody has the shards any more.
    """

    def __init__(self, **options: Unpack[_Options]) -> None:
        self._options = options
        self._instance: duckdb.DuckDBPyConnection | None = None
        self._until_closed = contextlib.ExitStack()
        self._numbers = itertools.count()

    @contextlib.contextmanager
    def empty(self) -> Generator[duckdb.DuckDBPyConnection]:
        if self._instance is None:
            connected = store.connect(":memory:", **self._options)
            self._instance = self._until_closed.enter_context(connected)
        con, name = self._instance.cursor(), f"shards_{next(self._numbers)}"
        with contextlib.closing(con):
            con.execute(f"attach ':memory:' as {name}; use {name}")
            try:
                yield con
                _let_go(con)
                con.execute(f"use memory; detach {name}")
            except BaseException:
                # What went wrong may be the instance's state: what comes next has another one.
                self._instance = None
                self._until_closed.close()
                raise


def _let_go(con: duckdb.DuckDBPyConnection) -> None:
    """Keep nothing of the remote files of the shard before."""
    for keeps in ("false", "true"):
        con.execute(f"set enable_external_file_cache = {keeps}")


def _create_view(con: duckdb.DuckDBPyConnection, name: str, select: str) -> None:
    con.execute(f"create or replace view {quote(name)} as {select}")
