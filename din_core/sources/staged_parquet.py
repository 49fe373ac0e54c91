"""A source staged by a cluster, as Parquet below the root of its tables.

Each task reads a part of the source and writes its rows down as text (:mod:`part_reader`). The
relation ``source_rows`` is a view over that, which knows the lines of the whole files and the types
of the columns. The same files of ``sql/ingest`` judge it as on one machine.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from din_core.engines.errors import EngineError
from din_core.sources import parts as parts_of
from din_core.sources.doubts import Doubts
from din_core.sources.errors import SourceError
from din_core.sources.files import refuse_changed
from din_core.sources.layout import Layout
from din_core.sources.part_reader import (
    on_workers,
    raw_reader,
    row_reader,
    staged_schema,
    value_columns,
)
from din_core.sources.parts import Part, Told
from din_core.sources.rendering import WORDS_FOR_NOTHING, IngestContext
from din_core.sources.staged_source import Progress, Staged, StagedSource

if TYPE_CHECKING:
    import duckdb
    from pyspark.sql import DataFrame, SparkSession

    from din_core.engines.spark import SparkEngine

_ROWS, _REJECTED = "source_rows", "source_rejected"
_MOST_TASKS = 4096
_EXCLUDED = "spark.sql.optimizer.excludedRules"
_PUSH_DOWN = ",".join(
    f"org.apache.spark.sql.catalyst.optimizer.{rule}"
    for rule in ("PushDownPredicates", "PushPredicateThroughNonJoin")
)
_MISSING = re.compile(r"ModuleNotFoundError: No module named '([^']+)'")
_PART_FIELDS = pa.schema(
    {
        "number": pa.int32(),
        "file": pa.int32(),
        "kind": pa.string(),
        "begin": pa.int64(),
        "end": pa.int64(),
        "is_exact": pa.bool_(),
        "attempt": pa.int32(),
    }
)


@contextlib.contextmanager
def staged(
    engine: SparkEngine,
    con: duckdb.DuckDBPyConnection,
    layout: Layout,
    on_progress: Callable[[Progress], None] | None,
) -> Generator[StagedParquet]:
    """Read a source on a cluster, and give the space back at the end.

    Args:
        engine: The cluster.
        con: The pipeline's database.
        layout: The source.
        on_progress: Told when all rows are read.

    Yields:
        The staged rows.

    Raises:
        SourceError: A file is damaged, changed while it was read, or is not there for the cluster.
    """
    folders: list[str] = []
    try:
        with _as_written(engine.spark):
            yield StagedParquet(engine, con, layout, on_progress, folders)
    finally:
        engine.take_back(_ROWS)
        for folder in folders:
            with contextlib.suppress(EngineError):
                engine.root.remove(folder)


@contextlib.contextmanager
def _as_written(spark: SparkSession) -> Generator[None]:
    """Let queries judge each row step by step, as they are written.

    Whether a row can be used hangs on its time, which is taken apart in some steps, each of which
    asks the one before several times. Spark would write the steps into one another to ask that
    before all else, and the Java of it grows beyond what a method can hold.
    """
    before = spark.conf.get(_EXCLUDED, "") or ""
    spark.conf.set(_EXCLUDED, ",".join(filter(None, (before, _PUSH_DOWN))))
    try:
        yield
    finally:
        spark.conf.set(_EXCLUDED, before)


class StagedParquet(StagedSource):
    """Rows of a source on a cluster; see :func:`staged`.

    Args:
        engine: The cluster.
        con: The pipeline's database.
        layout: The source.
        on_progress: Told when all rows are read.
        folders: Takes what is written below the root.
    """

    def __init__(
        self,
        engine: SparkEngine,
        con: duckdb.DuckDBPyConnection,
        layout: Layout,
        on_progress: Callable[[Progress], None] | None,
        folders: list[str],
    ) -> None:
        self._spark, self._layout, self._folders = engine, layout, folders
        self._folder = self._new_folder(_ROWS)
        self._parts, self._told = parts_of.read_all(
            parts_of.plan(layout, parts_of.PART_BYTES), self._read
        )
        for file in layout.files:
            refuse_changed(file)
        super().__init__(engine, con, self._found())
        self._rows = self._whole_rows()
        self._rejected: DataFrame | None = None
        self._emptied: frozenset[str] = frozenset()
        engine.lend(_ROWS, self._view(self._rows))
        if on_progress is not None:
            total = sum(file.size for file in layout.files)
            on_progress(Progress(total, total, self.found.rows))

    def empty_words(self, columns: Sequence[str]) -> None:
        """Lend the rows without them; see :meth:`StagedSource.empty_words`."""
        self._emptied = frozenset(columns)
        self._spark.lend(_ROWS, self._view(self._rows))

    def restore_raw(self, judging: IngestContext) -> None:
        """Read the parts of the rejected rows again; see :meth:`StagedSource.restore_raw`."""
        rejecting = self.engine.render("rejected_rows", **judging.variables())
        unknown = self._spark.frame(self.con, rejecting).where("raw is null")
        rows = self._rows.join(unknown.select("file", "line"), ["file", "line"])
        rows = self._kept(_REJECTED, rows.where("problem is null"))
        # By its name: of a function, the whole pyspark would ask Java.
        lines = rows.groupBy("part").agg({"part_line": "collect_list"}).toDF("number", "lines")
        raws = self._kept("source_raw", self._raws(lines))
        errors = [row[0] for row in raws.where("error is not null").select("error").collect()]
        if errors:
            raise SourceError(errors[0])
        for file in self._layout.files:
            refuse_changed(file)
        raws = raws.where("error is null").selectExpr("part", "line as part_line", "raw")
        found = rows.drop("raw").join(raws, ["part", "part_line"])
        self._rejected = self._view(found).unionByName(
            self._view(self._rows.where("problem is not null"))
        )

    @contextlib.contextmanager
    def rejected_alone(self) -> Generator[None]:
        """Let ``source_rows`` be the rejected ones; see :meth:`StagedSource.rejected_alone`."""
        if self._rejected is None:
            yield
            return
        self._spark.lend(_ROWS, self._rejected)
        yield
        self._spark.lend(_ROWS, self._view(self._rows))

    def discard(self) -> None:
        """Nothing to do: :func:`staged` gives the space back."""

    def _read(self, parts: Sequence[Part]) -> dict[int, Told]:
        url = self._spark.root.url_of(self._folder)
        with _at_work():
            tasks = self._tasks(parts)
            rows = tasks.mapInArrow(row_reader(self._layout), staged_schema(self._layout))
            rows.write.mode("append").parquet(url)
            said = self._staged().where("told is not null").select("part", "attempt", "told")
            found = {(part, attempt): told for part, attempt, told in said.collect()}
        told = {part.number: Told(**json.loads(found[part.number, part.attempt])) for part in parts}
        for each in told.values():
            if each.error:
                raise SourceError(each.error)
        return told

    def _tasks(self, parts: Sequence[Part]) -> DataFrame:
        rows = pa.Table.from_pylist([vars(part) for part in parts], _PART_FIELDS)
        frame = self._spark.spark.createDataFrame(rows)
        return frame.repartition(min(len(parts), _MOST_TASKS))

    def _staged(self) -> DataFrame:
        return self._spark.spark.read.parquet(self._spark.root.url_of(self._folder))

    def _found(self) -> Staged:
        digests: dict[int, str] = {}
        doubts = [
            Doubts(file, header)
            for file, header in zip(self._layout.files, self._layout.headers, strict=True)
        ]
        begins = parts_of.lines_before(self._layout, self._parts, self._told)
        texts: set[str] = set()
        for part in self._parts:
            told = self._told[part.number]
            if told.sha256:
                digests[part.file] = told.sha256
            begin, doubts_of_file = begins[part.number], doubts[part.file]
            doubts_of_file.count_swallowed(told.swallowed, begin + told.first_swallowed)
            doubts_of_file.count_escaped(told.escaped, begin + told.first_escaped)
            doubts_of_file.count_enclosed(told.enclosed)
            doubts_of_file.count_unseen(told.unseen, begin + told.first_unseen)
            texts |= set(told.texts)
        return Staged(
            tuple(digests[number] for number in range(len(self._layout.files))),
            frozenset(self._layout.wanted) - texts,
            sum(told.rows for told in self._told.values()),
            sum(told.continued for told in self._told.values()),
            tuple(sentence for of_file in doubts for sentence in of_file.sentences()),
        )

    def _whole_rows(self) -> DataFrame:
        """The staged rows with what places them: the file, and the line in it."""
        begins = parts_of.lines_before(self._layout, self._parts, self._told)
        places = pa.Table.from_pylist(
            [
                {
                    "part": part.number,
                    "attempt": part.attempt,
                    "file": self._layout.files[part.file].name,
                    "first_line": begins[part.number],
                }
                for part in self._parts
            ],
            pa.schema(
                {
                    "part": pa.int32(),
                    "attempt": pa.int32(),
                    "file": pa.string(),
                    "first_line": pa.int64(),
                }
            ),
        )
        placed = self._spark.spark.createDataFrame(places)
        rows = self._staged().where("told is null").join(placed, ["part", "attempt"])
        return rows.selectExpr(
            "part", "line as part_line", "file", "first_line + line as line",
            *value_columns(self._layout).values(), "raw", "problem",
        )  # fmt: skip

    def _view(self, rows: DataFrame) -> DataFrame:
        """Name the values as the SQL does, and give them their types."""
        # Each of these is an integer. Not each of a part that was read again, and Sail casts those
        # before it leaves them out.
        values = [
            f"try_cast({column} as bigint) as {_escaped(name)}"
            if name in self.found.integers
            else f"{self._emptied_value(name, column)} as {_escaped(name)}"
            for name, column in value_columns(self._layout).items()
        ]
        return rows.selectExpr("file", "line", *values, "raw", "problem")

    def _emptied_value(self, name: str, column: str) -> str:
        if name not in self._emptied:
            return column
        words = ", ".join(f"'{word}'" for word in WORDS_FOR_NOTHING)
        return f"case when {column} in ({words}) then '' else {column} end"

    def _raws(self, wanted: DataFrame) -> DataFrame:
        known = [
            {**vars(part), "begin": self._told[part.number].begin, "is_exact": True}
            for part in self._parts
        ]
        parts = self._spark.spark.createDataFrame(pa.Table.from_pylist(known, _PART_FIELDS))
        wanted = wanted.join(parts, "number")
        names = [*_PART_FIELDS.names, "lines"]
        with _at_work():
            n_tasks = min(len(self._parts), _MOST_TASKS)
            return (
                wanted.select(*names)
                .repartition(n_tasks)
                .mapInArrow(
                    raw_reader(self._layout), "part int, line bigint, raw string, error string"
                )
            )

    def _kept(self, name: str, frame: DataFrame) -> DataFrame:
        """Write a frame down, so that it is not computed for each query again."""
        url = self._spark.root.url_of(self._new_folder(name))
        with _at_work():
            frame.write.mode("append").parquet(url)
        return self._spark.spark.read.schema(frame.schema).parquet(url)

    def _new_folder(self, name: str) -> str:
        folder = self._spark.root.new_folder(name)
        self._folders.append(folder)
        self._spark.root.make(folder)
        return folder


@contextlib.contextmanager
def _at_work() -> Generator[None]:
    """Send the readers to the workers, and say it in a sentence where these cannot run them."""
    from pyspark.errors import PythonException

    try:
        with on_workers():
            yield
    except PythonException as error:
        missing = _MISSING.search(str(error))
        if missing is None:
            raise
        raise EngineError(
            f"the workers of the cluster have no Python package '{missing[1]}', which reads the "
            "source there: install pyarrow and numpy on them, for a source at a URL also fsspec "
            "and what speaks to its store"
        ) from error


def _escaped(column: str) -> str:
    """A column's name as Spark's expressions take it."""
    return "`" + column.replace("`", "``") + "`"
