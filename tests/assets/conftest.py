"""Pipelines for tests of assets: an empty one, finished ones, and what they may do without."""

from __future__ import annotations

import contextlib
import functools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from din_core.store import sql_files
from din_core.store.kept_instance import kept_instance
from tests.assets import quick_runs
from tests.assets.shared_runs import shared_run
from tests.assets.small_pipeline import Pipeline, complete_run, run_history, write_rows
from tests.assets.stand_ins import (
    stand_in_for_delivery,
    stand_in_for_pictures,
    stand_in_for_the_drawn_network,
)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("DIN_CSV", "DIN_HOME", "DIN_ENGINE", "DIN_TABLES", "SPARK_REMOTE"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(scope="session", autouse=True)
def _quick_runs() -> Iterator[None]:
    """Open files in one instance of DuckDB, as a run does, from the first run to the last."""
    with pytest.MonkeyPatch.context() as patch, kept_instance():
        quick_runs.make_runs_quick(patch)
        yield


@pytest.fixture(scope="package", autouse=True)
def _graphs_that_are_made_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        quick_runs.make_graphs_once(patch)
        yield


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    with run_history() as instance:
        yield Pipeline(tmp_path / "data", instance)


# One of each for all workers.
@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A pipeline after one complete run; read it, do not change it."""
    with shared_run(tmp_path_factory, "finished", complete_run) as pipeline:
        yield pipeline


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A pipeline after a run on labelled rows with ids of text; read it, do not change it."""
    from tests.assets.served_logs import run_on_labels  # with torch, which other tests do without

    with shared_run(tmp_path_factory, "labelled", run_on_labels) as pipeline:
        yield pipeline


@pytest.fixture(params=["finished", "labelled"])
def made(request: pytest.FixtureRequest) -> Pipeline:
    """Either of them."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which `DIN_HOME` names."""
    home = tmp_path / "data"
    home.mkdir()
    monkeypatch.setenv("DIN_HOME", str(home))
    return home


@pytest.fixture
def without_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what takes seconds and decides nothing, where nobody looks at it."""
    stand_in_for_delivery(monkeypatch)


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without all that is drawn, where nobody looks at it and the log is one like others."""
    stand_in_for_pictures(monkeypatch)


@pytest.fixture
def without_drawn_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the drawings of the network, which look the same whatever the log is."""
    stand_in_for_the_drawn_network(monkeypatch)


@pytest.fixture
def write_csv(tmp_path: Path) -> Callable[..., Path]:
    """Write lines to a CSV file in the test's folder."""
    return functools.partial(write_rows, tmp_path / "log.csv")


@pytest.fixture
def other_sql(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., contextlib.AbstractContextManager[None]]:
    """Change the text of one SQL file for the length of a block."""

    @contextlib.contextmanager
    def changed(file: str, old: str, new: str) -> Iterator[None]:
        root = tmp_path / "sql"
        shutil.copytree(sql_files.SQL_ROOT, root)
        text = (root / file).read_text(encoding="utf-8")
        assert old in text
        (root / file).write_text(text.replace(old, new), encoding="utf-8")
        try:
            with monkeypatch.context() as patch:
                patch.setattr(sql_files, "SQL_ROOT", root)
                sql_files._environment.cache_clear()
                yield
        finally:
            sql_files._environment.cache_clear()

    return changed
