"""Spark as the engine: tables made on a cluster, kept as Parquet, read by DuckDB.

A table is written to a folder of its own, then DuckDB's view of its name is pointed there, in the
transaction that decides. What the engine itself reads are temporary views of its session, made of
what DuckDB's relations stand for when a query first names them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from din_core import store
from din_core.engines import parquet_views, reading, sessions, translation
from din_core.engines.engine import Answer
from din_core.engines.errors import EngineError, UnreadableTableError, explaining
from din_core.engines.parquet_tables import BUCKET, Manifest, ParquetRoot, ParquetTable
from din_core.store.table_files import Fault, find_damaged

if TYPE_CHECKING:
    import duckdb
    from pyspark.sql import DataFrame, Observation, SparkSession

_ROWS = "rows"


class SparkEngine:
    """Makes tables on a Spark Connect session.

    Args:
        spark: The session, from :func:`din_core.engines.sessions.session`; while this one is used,
            nobody else makes temporary views there.
        root: Where the tables lie.
        called: The engine in words, from :func:`din_core.engines.sessions.called`.
    """

    name = "spark"

    def __init__(
        self, spark: SparkSession, root: ParquetRoot, *, called: str = "the engine"
    ) -> None:
        self._spark = spark
        self._root = root
        self._called = called
        self._manifest = root.manifest()
        self._follows_database = False
        self._known: set[str] = set()
        self._made: dict[str, ParquetTable] = {}
        self._handed: list[str] = []
        self._lent: dict[str, DataFrame] = {}
        self._written_out: dict[str, ParquetTable] = {}
        self._views: dict[str, str] = {}
        self._engine_views: dict[str, str] = {}
        self._session_views: dict[str, object] = {}
        self._asked_for: set[str] = set()
        self._is_sail: bool | None = None

    @property
    def spark(self) -> SparkSession:
        """The session."""
        return self._spark

    @property
    def root(self) -> ParquetRoot:
        """Where the tables lie."""
        return self._root

    @contextlib.contextmanager
    def transaction(self) -> Generator[None]:
        """Let what is made inside hold, and nothing of it after an error."""
        try:
            with explaining(self._called):
                yield
        except BaseException as error:
            unreadable = self._unreadable() if isinstance(error, UnreadableTableError) else None
            for name in self._views:
                self._engine_views.pop(name, None)
            for name, table in self._made.items():
                self._written_out.pop(name, None)
                # An interrupt may come when DuckDB has committed. What nobody reads is swept later.
                if isinstance(error, Exception):
                    with contextlib.suppress(EngineError):
                        self._root.remove(table.folder)
            self._forget()
            if unreadable is not None:
                raise UnreadableTableError(unreadable.sentence()) from error
            raise
        try:
            self._let_hold()
        finally:
            # It is committed: whatever fails from now on takes nothing of it back.
            self._forget()

    def create_table(
        self,
        con: duckdb.DuckDBPyConnection,
        name: str,
        *,
        variant: str | None = None,
        **options: object,
    ) -> int:
        """Make a table from its file; see :class:`din_core.engines.engine.Engine`."""
        select = self.render(name, variant=variant, **options)
        return self.keep(con, name, self.frame(con, select))

    def keep(self, con: duckdb.DuckDBPyConnection, name: str, frame: DataFrame) -> int:
        """Keep a frame as a table; return its rows.

        Args:
            con: The pipeline's database, in a transaction.
            name: Name of the table.
            frame: Its rows.
        """
        self._follow_database(con)
        folder = self._root.new_folder(name)
        url = self._root.url_of(folder)
        self._root.make(folder)
        bucket = _bucket(frame.columns, self._manifest.buckets)
        if bucket is not None:
            spread = frame.selectExpr("*", f"{bucket} as {BUCKET}")
            laid = spread.repartition(self._manifest.buckets, BUCKET)
        else:
            laid = frame
        laid, counted = self._counting(laid)
        writer = laid.write.mode("append")
        (writer if bucket is None else writer.partitionBy(BUCKET)).parquet(url)
        if not self._root.files(folder):
            # Of a table without rows nothing is written, not even its columns.
            self._root.write_empty(folder, frame.limit(0).toArrow().schema)
        self._root.flush(folder)
        parquet_views.create(con, self._root, name, folder)
        self._made[name] = parquet_views.described(con, name, folder, bucketed=bucket is not None)
        self._refuse_lost(name, self._made[name].rows, counted)
        # What was made of the version before has to be made again when it is read.
        self._known.clear()
        return self._made[name].rows

    def _counting(self, frame: DataFrame) -> tuple[DataFrame, Observation | None]:
        """Let the workers count the rows of a frame as they write them; Sail's cannot."""
        if self._is_sail is None:
            self._is_sail = sessions.is_sail(self._spark)
        if self._is_sail:
            return frame, None
        from pyspark.sql.connect.functions import count, lit
        from pyspark.sql.connect.observation import Observation

        # Those of the classic session, whose types they have not, would ask Java.
        counted: Any = Observation()
        rows: Any = count(lit(1)).alias(_ROWS)
        return frame.observe(counted, rows), counted

    def _refuse_lost(self, name: str, rows: int, counted: Observation | None) -> None:
        """Refuse a table of which rows are not where they were meant to be.

        A worker that does not share the root writes to a folder of its own, and Spark calls that
        written.
        """
        # Where Spark saw beforehand that there is no row, nobody counted.
        written = rows if counted is None else int(counted.get.get(_ROWS) or 0)
        if written != rows:
            raise EngineError(
                f"{self._root.url}: {self._called} wrote {written} rows of '{name}' and {rows} are "
                "there; some of its workers have a folder of their own by that name. Let "
                "DIN_TABLES name a place that all of them share with this machine"
            )

    def create_view(
        self,
        con: duckdb.DuckDBPyConnection,
        name: str,
        *,
        variant: str | None = None,
        **options: object,
    ) -> None:
        """Make a view from its file, of either engine; see :meth:`create_table`."""
        self._follow_database(con)
        store.create_view(con, name, variant=variant, **options)
        self._views[name] = parquet_views.words_of(con, name)
        self._engine_views[name] = self.render(name, variant=variant, **options)
        self._known.discard(name)

    def query(self, con: duckdb.DuckDBPyConnection, select: str) -> Answer:
        """Answer a query in Spark's words."""
        frame = self.frame(con, select)
        rows = frame.collect()
        # To ask for the columns would be another question to the engine, which rows answer already.
        columns = rows[0].__fields__ if rows else frame.columns
        return Answer(columns, [tuple(row) for row in rows])

    def hand_over(self, con: duckdb.DuckDBPyConnection, name: str) -> None:
        """Send a temporary table of the connection to the session."""
        table = parquet_views.write_out(con, self._root, name, buckets=self._manifest.buckets)
        self._handed.append(table.folder)
        self.lend(name, self._reading(self._root.files(table.folder), table.columns))

    def lend(self, name: str, frame: DataFrame) -> None:
        """Let the queries that follow read a frame by a name, until :meth:`take_back`.

        Args:
            name: The name; a relation of the database that has it is not seen meanwhile.
            frame: Its rows.
        """
        self._lent[name] = frame
        self._known.discard(name)

    def take_back(self, name: str) -> None:
        """Forget what was lent by a name; nothing where nothing was."""
        self._lent.pop(name, None)
        self._known.discard(name)

    def frame(self, con: duckdb.DuckDBPyConnection, select: str) -> DataFrame:
        """Return what a query in Spark's words gives, computed when it is asked for."""
        self._let_read(con, select)
        return self._asking(select)

    def render(self, name: str, *, variant: str | None = None, **options: object) -> str:
        """Render a file of ``sql/`` in Spark's words."""
        return translation.render(name, variant=variant, **options)

    def _asking(self, select: str) -> DataFrame:
        """Return what a query gives; nothing is asked yet.

        The session's own `sql()` would have the engine analyse each query once more, to see
        whether it is a command. The version of pyspark is one that `requirements` has seen to.
        """
        from pyspark.sql.connect.dataframe import DataFrame
        from pyspark.sql.connect.plan import SQL

        session: Any = self._spark
        return DataFrame(SQL(select, [], {}, []), session)

    def _let_read(self, con: duckdb.DuckDBPyConnection, select: str) -> None:
        """Make the relations that a query names known to the session."""
        for name in sorted(translation.tables_of(select) - self._known):
            self._register(con, name)
            self._known.add(name)

    def _register(self, con: duckdb.DuckDBPyConnection, name: str) -> None:
        """Give the session a view of a relation, unless the one it has is made of the same."""
        made_of: object
        if name in self._lent:
            frame = made_of = self._lent[name]
        elif name in self._engine_views:
            view = self._engine_views[name]
            self._let_read(con, view)
            below = sorted(translation.tables_of(view))
            made_of = (view, *(self._session_views[each] for each in below))
            if self._session_views.get(name) == made_of:
                return
            frame = self._asking(view)
        else:
            made_of = self._files_of(con, name)
            if self._session_views.get(name) == made_of:
                return
            self._asked_for.add(name)
            self._require_whole(con, name, made_of)
            frame = self._reading(made_of, store.column_types(con, name))
        frame.createOrReplaceTempView(name)
        self._session_views[name] = made_of

    def _files_of(self, con: duckdb.DuckDBPyConnection, name: str) -> tuple[str, ...]:
        """Find the files of a relation of DuckDB, which are written where Spark did not make it."""
        files = parquet_views.files_of(con, name)
        if parquet_views.folder_of_files(self._root, files) is None:
            files = self._root.files(self._write_out(con, name).folder)
        return tuple(files)

    def _require_whole(
        self, con: duckdb.DuckDBPyConnection, name: str, files: tuple[str, ...]
    ) -> None:
        """Refuse files that are others than were written, before the engine reads them.

        Of an object store they are asked for one by one, and it looks after them itself.
        """
        table = self._manifest.tables.get(name)
        if table is None or not self._root.is_local:
            return
        if parquet_views.folder_of_files(self._root, files) == table.folder:
            reading.require_whole(con, self._root, Manifest(self._manifest.buckets, {name: table}))

    def _unreadable(self) -> Fault | None:
        """Find the file that the engine could not read, of the tables that it was asked for."""
        tables = [
            reading.files_of(self._root, name, table)
            for name, table in {**self._manifest.tables, **self._made}.items()
            if name in self._asked_for
        ]
        filesystem = None if self._root.is_local else self._root.filesystem
        with store.connect(":memory:", filesystem=filesystem) as con:
            return find_damaged(con, tables)

    def _write_out(self, con: duckdb.DuckDBPyConnection, name: str) -> ParquetTable:
        """Write a relation that Spark did not make below this root.

        Once, since in a run nobody else makes it anew.
        """
        if name not in self._written_out:
            table = parquet_views.write_out(con, self._root, name, buckets=self._manifest.buckets)
            self._written_out[name] = self._made[name] = table
        return self._written_out[name]

    def _reading(self, files: Iterable[str], columns: Iterable[str]) -> DataFrame:
        frame = self._spark.read.parquet(*files)
        return frame.select(*[_escaped(column) for column in columns])

    def _follow_database(self, con: duckdb.DuckDBPyConnection) -> None:
        """Go on from what the database holds: no version that it reads is swept away."""
        if not self._follows_database:
            self._manifest = parquet_views.as_database(con, self._root, self._manifest, ())
            self._follows_database = True

    def _let_hold(self) -> None:
        if not self._made and not self._views:
            return
        before = self._manifest
        tables, views = {**before.tables, **self._made}, {**before.views, **self._views}
        self._manifest = Manifest(
            buckets=before.buckets,
            tables={name: each for name, each in tables.items() if name not in self._views},
            views={name: each for name, each in views.items() if name not in self._made},
        )
        self._root.replace_manifest(self._manifest)
        # Whoever reads the versions before goes on reading them until the next change.
        self._root.sweep({**_by_folder(before), **_by_folder(self._manifest)})

    def _forget(self) -> None:
        for folder in self._handed:
            with contextlib.suppress(EngineError):
                self._root.remove(folder)
        self._handed = []
        self._lent.clear()
        self._made, self._views = {}, {}
        self._known.clear()


def _by_folder(manifest: Manifest) -> Mapping[str, ParquetTable]:
    return {each.folder: each for each in manifest.tables.values()}


def _bucket(columns: list[str], buckets: int) -> str | None:
    """Where a row of a table with users lies: those of one user lie together."""
    if "user_idx" in columns:
        return f"cast(user_idx % {buckets} as int)"
    if "user_id" in columns:
        return f"cast(crc32(cast(cast(user_id as string) as binary)) % {buckets} as int)"
    return None


def _escaped(column: str) -> str:
    """A column's name as Spark's functions take it: a dot in it is part of it."""
    return "`" + column.replace("`", "``") + "`"
