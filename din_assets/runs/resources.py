"""The store as a resource: the pipeline's database, its artifacts, and the lock of a run."""

import contextlib
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol, Self

import dagster as dg
import duckdb
from pydantic import Field, PrivateAttr

from din_assets.names import PLAIN, Names
from din_assets.runs import dead_runs, engines, paths
from din_assets.runs.failures import as_dagster_failures
from din_assets.runs.last_run import Settled
from din_core import store
from din_core.engines.engine import Engine
from din_core.engines.errors import EngineError
from din_core.machine import limits
from din_core.store import artifacts
from din_core.store.kept_instance import kept_instance
from din_core.store.standalone_copy import Contents
from din_core.store.threads import FEW_ROWS

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


class Log(Protocol):
    """Where a resource says what it does."""

    def info(self, msg: object) -> object:
        """Say it at level INFO."""
        ...

    def warning(self, msg: object) -> object:
        """Say it at level WARNING."""
        ...


class Asked(NamedTuple):
    """A run that asks for the store.

    Attributes:
        run: The run.
        instance: Where it is recorded, with its plan and its job.
    """

    run: dg.DagsterRun
    instance: dg.DagsterInstance


class StoreResource(dg.ConfigurableResource):
    """The pipeline's own database (``pipeline.duckdb``) and all that lies beside it.

    DuckDB lets one process write. A run therefore holds ``pipeline.lock`` from its first step to
    its last, and a second run says for whom it waits. Analysts read ``warehouse.duckdb``, which the
    asset ``warehouse`` publishes, and never this file. What a run may name is known to those who
    know the steps: :class:`din_assets.starting.run_start.RunStore` is what runs are given.
    """

    lock_is_held: ClassVar[bool] = False
    names: ClassVar[Names] = PLAIN
    _settled: Settled | None = PrivateAttr(default=None)
    _of_run: contextlib.ExitStack | None = PrivateAttr(default=None)
    _engine: Engine | None = PrivateAttr(default=None)
    _log: Log | None = PrivateAttr(default=None)

    home: str = Field(
        default_factory=lambda: str(paths.home()),
        description="Folder of all results; relative paths start at the project's root.",
    )
    memory_limit: str | None = Field(
        default=None,
        description="DuckDB's memory limit, such as '6GB'; by default 80 % of the memory that the "
        "process may use.",
    )
    threads: int | None = Field(
        default=None,
        ge=1,
        description="DuckDB's threads; by default one for each core that the process may use, or "
        f"one in all where no table has more than {FEW_ROWS:,} rows, but for reading the log.",
    )

    engine_name: engines.EngineName = Field(
        default_factory=engines.name,
        description="What makes the tables from interactions to samples: 'duckdb' on this machine, "
        "or 'spark' (DIN_ENGINE).",
    )
    spark_remote: str | None = Field(
        default_factory=engines.remote,
        description="Address of a Spark Connect server, such as 'sc://host:15002', or 'local[2]' "
        "for an Apache Spark on this machine (SPARK_REMOTE); by default Sail in this process.",
    )
    tables: str | None = Field(
        default_factory=engines.tables,
        description="Where Spark's tables lie as Parquet: a folder or a URL such as "
        "'s3://bucket/prefix' (DIN_TABLES); by default the folder 'tables' among all results.",
    )

    buckets: int | None = Field(
        default=None,
        ge=1,
        description="Into how many folders Spark's tables spread the users, so that a part of the "
        "users can be read alone; by default as many as there are, at first 16. Take the rows of "
        "the log over ten million.",
    )

    @classmethod
    def below(cls, names: Names) -> type[Self]:
        """Return the resource of a log whose assets Dagster calls by these names."""
        # A class, since Dagster makes another object of it for each run.
        attributes = {"names": names, "__module__": cls.__module__, "__doc__": cls.__doc__}
        return type(cls.__name__, (cls,), attributes)

    @property
    def settled(self) -> Settled:
        """What the run goes by: its source and the options of its steps."""
        if self._settled is None:
            raise RuntimeError("no run has been started on this resource")
        return self._settled

    @property
    def folder(self) -> Path:
        """Folder of all results."""
        return paths.resolve(self.home)

    @property
    def pipeline_path(self) -> Path:
        """The pipeline's own database file."""
        return self.folder / "pipeline.duckdb"

    @property
    def published_path(self) -> Path:
        """The database file that analysts open."""
        return self.folder / "warehouse.duckdb"

    @property
    def artifacts_root(self) -> Path:
        """Root of the content-addressed files."""
        return self.folder / "artifacts"

    @property
    def tables_root(self) -> str:
        """Root of the Parquet tables that a cluster makes: a folder, or a URL."""
        if self.tables is None:
            return str(self.folder / "tables")
        return self.tables if "://" in self.tables else str(paths.resolve(self.tables))

    @property
    def engine(self) -> Engine:
        """What makes the tables, for the length of the run."""
        if self._engine is None:
            if self._of_run is None:
                raise RuntimeError("no run has been started on this resource")
            opening = engines.opened(
                self.engine_name,
                self.spark_remote,
                self.tables_root,
                self.folder,
                self.buckets,
                warn=self._warn,
            )
            with as_dagster_failures():
                self._engine = self._of_run.enter_context(opening)
        return self._engine

    def _warn(self, sentence: str) -> None:
        if self._log is not None:
            self._log.warning(sentence)

    @property
    def checkpoints_root(self) -> Path:
        """Where an interrupted training finds itself again."""
        return self.folder / "checkpoints"

    @contextlib.contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator["StoreResource"]:
        """Hold the run's lock around all of its steps."""
        log = context.log or dg.get_dagster_logger()
        if context.instance is not None and context.instance.is_ephemeral:
            log.warning(
                "This run leaves no history: its instance is a temporary one. Dagster reads "
                f"dagster.yaml from the working directory: start it in {paths.project_root()}."
            )
        for sentence in engines.without_effect(
            self.engine_name, self.spark_remote, self.tables, self.buckets
        ):
            log.warning(sentence)
        with contextlib.ExitStack() as stack:
            self._of_run, self._log = stack, log
            owner = "a Dagster resource"
            asked = None
            if context.run and context.instance is not None:
                owner = f"Dagster run {context.run.run_id}"
                for run_id in dead_runs.mark_failed(context.instance):
                    log.info(f"run {run_id} was killed earlier; it counts as failed from now on")
                if not self.lock_is_held:
                    asked = Asked(context.run, context.instance)
            with as_dagster_failures():
                if asked is not None:
                    self.check(asked, log)
                if asked is not None and self.only_looks(asked):
                    self._settled = self.settle_look(asked)
                else:
                    stack.enter_context(self.locked(owner, on_wait=log.warning, on_note=log.info))
                    if asked is not None:
                        self._settled = self.settle(asked, log)
            yield self

    def check(self, asked: Asked, log: Log) -> None:
        """Refuse a run before it waits for the lock; here nothing is refused."""

    def settle(self, asked: Asked, log: Log) -> Settled | None:
        """Decide what a run goes by, once it has the lock; here nothing is known of steps."""

    def only_looks(self, asked: Asked) -> bool:  # noqa: ARG002
        """Say whether a run changes nothing and waits for nobody; here none is known to."""
        return False

    def settle_look(self, asked: Asked) -> Settled | None:
        """Decide what such a run looks at, without the lock; here nothing is known of sources."""

    @contextlib.contextmanager
    def locked(
        self,
        owner: str,
        *,
        read_only: bool = False,
        on_wait: Callable[[str], object] = lambda _: None,
        on_note: Callable[[str], object] = lambda _: None,
    ) -> Generator[None]:
        """Be the only one who writes; where another does, say for whom one waits, and wait.

        What killed runs left unfinished is removed here, whatever is done then.

        Args:
            owner: Who is taking the lock, for the others to read.
            read_only: Whether nothing is to change, and leftovers stay.
            on_wait: Told for whom one waits.
            on_note: Told what is removed.
        """
        if self.lock_is_held:
            yield
            return
        lock = self.folder / "pipeline.lock"
        with store.run_lock(lock, owner=owner, on_wait=on_wait), kept_instance():
            if not read_only:
                # Here: a run that finds nothing to do publishes nothing and makes no artifact.
                store.remove_unfinished(self.published_path)
                for leftover in artifacts.sweep(self.artifacts_root):
                    on_note(f"removed what a killed run left behind: {leftover}")
                for sentence in self._settle_tables():
                    on_note(sentence)
            yield

    def _settle_tables(self) -> list[str]:
        """Let those who read the tables on Spark alone see what the pipeline's database reads."""
        if self.engine_name == "duckdb" or not self.pipeline_path.is_file():
            return []
        try:
            with self.connection(read_only=True) as con:
                return engines.settle(con, self.tables_root, self.folder)
        except (EngineError, store.StoreError) as error:
            # Not every run needs the tables; one that does ends with it.
            return [str(error)]

    @contextlib.contextmanager
    def connection(
        self, *, read_only: bool = False, reads_source: bool = False
    ) -> Generator[duckdb.DuckDBPyConnection]:
        """Open the pipeline's database for the length of a step.

        Args:
            read_only: Open it for reading.
            reads_source: Whether more is read than the tables, which say nothing of its size.
        """
        # Also for DuckDB as the engine: an earlier run's tables may lie there.
        filesystem = engines.filesystem(self.tables_root)
        threads = self.threads or (limits.cores() if reads_source else None)
        with self._opened(self.pipeline_path, read_only, threads, filesystem) as con:
            yield con

    @contextlib.contextmanager
    def published(self) -> Generator[duckdb.DuckDBPyConnection]:
        """Open the analysts' file for reading."""
        with self._opened(self.published_path, read_only=True, threads=self.threads) as con:
            yield con

    def _opened(
        self,
        path: Path,
        read_only: bool,
        threads: int | None,
        filesystem: "AbstractFileSystem | None" = None,
    ) -> contextlib.AbstractContextManager[duckdb.DuckDBPyConnection]:
        return store.connect(
            path,
            read_only=read_only,
            filesystem=filesystem,
            memory_limit=self.memory_limit,
            threads=threads,
            # Of both files the same: an instance that has spilled to one folder takes no other, so
            # that a run which looks at them in turn would make an instance each time.
            temp_directory=self.folder / "pipeline.tmp",
        )

    @contextlib.contextmanager
    def transaction(self, *, reads_source: bool = False) -> Generator[duckdb.DuckDBPyConnection]:
        """Open the pipeline's database in a transaction: all of a step's changes, or none.

        Args:
            reads_source: As of :meth:`connection`.
        """
        with self.connection(reads_source=reads_source) as con, store.transaction(con):
            yield con

    def publish(self, every_nth_user: int) -> Contents:
        """Let analysts have the pipeline's database as it is now.

        Args:
            every_nth_user: Which users the file holds, 1 for all of them.
        """
        return store.publish(
            self.pipeline_path,
            self.published_path,
            every_nth_user=every_nth_user,
            filesystem=engines.filesystem(self.tables_root),
            memory_limit=self.memory_limit,
            threads=self.threads,
        )


class HeldStore(StoreResource):
    """The store for runs of a process that holds the lock around all of them.

    Taking it again, such a run would wait for its own process. What its runs go by is settled for
    all of them once the process has the lock: it says so by :meth:`go_by`.
    """

    lock_is_held: ClassVar[bool] = True
    settled_for_all: ClassVar[Settled]

    @classmethod
    def of_its_own(cls) -> "HeldStore":
        """Return the store for the runs of one process."""
        # Of a class of its own, since Dagster makes another object of it for each run.
        return type(cls.__name__, (cls,), {"__module__": __name__})()

    def go_by(self, settled: Settled) -> None:
        """Let all runs of this store go by this from now on."""
        type(self).settled_for_all = settled

    @property
    def settled(self) -> Settled:
        """What all of the process's runs go by."""
        return self.settled_for_all
