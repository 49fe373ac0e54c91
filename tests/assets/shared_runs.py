"""A run that all workers of a test session read, made by the first of them that needs it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.execute_in_process_result import ExecuteInProcessResult

from tests.assets.small_pipeline import Pipeline, run_history


@contextlib.contextmanager
def shared_run(
    factory: pytest.TempPathFactory,
    name: str,
    make: Callable[[Path], AbstractContextManager[Pipeline]],
) -> Iterator[Pipeline]:
    """Yield a pipeline after its run; read it, do not change it.

    Its results and the events of its run are those of whoever made it. Its instance is another one,
    in which nothing was recorded.

    Args:
        factory: Makes the folders of this worker, which lie in one of the whole session.
        name: What is shared; the folder is called so.
        make: Makes the pipeline in a folder, which is there and empty, and yields it after its run.
    """
    root = factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    folder, kept = root / f"shared_{name}", root / f"shared_{name}.json"
    with (root / f"shared_{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the others wait meanwhile: they would make it as well
        if not kept.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed to make it
            folder.mkdir()
            with make(folder) as pipeline:
                text = json.dumps(_described(pipeline))
            kept.write_text(text)
    with run_history() as instance:
        yield _pipeline(json.loads(kept.read_text()), instance)


def _described(pipeline: Pipeline) -> dict[str, Any]:
    result = pipeline.result
    assert result is not None
    return {
        "home": str(pipeline.home),
        "engine": pipeline.engine,
        "config": pipeline.config,
        "events": dg.serialize_value(list(result.all_events)),
        "run": dg.serialize_value(result.dagster_run),
    }


def _pipeline(described: dict[str, Any], instance: dg.DagsterInstance) -> Pipeline:
    result: Any = ExecuteInProcessResult.__new__(ExecuteInProcessResult)  # without its job
    result._event_list = dg.deserialize_value(described["events"], list)
    result._dagster_run = dg.deserialize_value(described["run"], dg.DagsterRun)
    return Pipeline(
        Path(described["home"]), instance, described["config"], result, described["engine"]
    )
