"""What a worker trains, and what it tells Dagster of it by Pipes.

The first worker tells of epochs and warnings while it trains, and of the model's version and
figures when it is done.
"""

import contextlib
import functools
from collections.abc import Generator
from dataclasses import asdict, replace
from typing import Any

from dagster_pipes import PipesContext, open_dagster_pipes

from din_assets.launching.jobs import Job
from din_core import store
from din_core.engines.parquet_tables import ParquetRoot
from din_core.serving import fitting
from din_core.training.launch import workers
from din_core.training.launch.places import LaunchFolder, Place


def work(folder: LaunchFolder, place: Place, job: Job) -> int:
    """Train with the other workers.

    Args:
        folder: Of the launch.
        place: Of this worker.
        job: What they do.

    Returns:
        The status to exit with.
    """
    return workers.work(folder, place, lambda: _train(job, place))


def _train(job: Job, place: Place) -> None:
    given = fitting.Task.from_json(job.task)
    task = replace(given, training=workers.with_its_threads(given.training, place))
    connect = functools.partial(_connected, job, place)
    with workers.joined(task.training, place, job.timeout):
        if place.rank:
            fitting.fit(task, connect, on_epoch=_no, on_warning=_no, on_note=_no)
            return
        with _pipes() as pipes:
            if place.attempt:
                pipes.log.warning(
                    "a worker was killed or lost, and all were started again "
                    f"(restart {place.attempt})"
                )
            fitted = fitting.fit(
                task,
                connect,
                on_epoch=lambda report: pipes.report_custom_message({"epoch": asdict(report)}),
                on_warning=pipes.log.warning,
                on_note=pipes.log.info,
            )
            assert fitted is not None
            pipes.report_custom_message({"fitted": fitted.to_json()})


@contextlib.contextmanager
def _connected(job: Job, place: Place) -> Generator[Any]:
    root = ParquetRoot(job.tables_root)
    with store.connect(
        job.database,
        read_only=True,
        memory_limit=job.memory_limit or workers.default_memory_limit(place),
        threads=job.threads or workers.share_of_cores(place),
        temp_directory=f"{job.spill}.{place.rank}",
        filesystem=None if root.is_local else root.filesystem,
    ) as con:
        yield con


@contextlib.contextmanager
def _pipes() -> Generator[PipesContext]:
    """Open the way to Dagster, and close it only where all went well.

    A worker that torchrun starts again goes on telling on the same way.
    """
    pipes = open_dagster_pipes()
    yield pipes
    pipes.close()


def _no(_: object) -> None:
    """The first worker tells it."""
