"""Starts that meet: the run history is created once, by whoever comes first."""

from __future__ import annotations

import threading
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier

import pytest
import yaml

from din_assets.runs import paths
from din_assets.runs.history_errors import RunHistoryError
from din_assets.runs.run_history import RunHistory
from din_core import store
from din_core.errors import DinError
from tests import forks

STARTS = 3


def open_at_once(folder: str, all_there: Barrier, answers: SimpleQueue[object]) -> None:
    all_there.wait()
    try:
        history = RunHistory.from_config_value(None, {"base_dir": folder})
        answers.put(len(history.run_storage.get_runs()))
    except BaseException as error:
        answers.put(repr(error))
        raise


def test_starts_at_once_on_a_fresh_folder_all_succeed(tmp_path):
    context = forks.context()
    all_there, answers = context.Barrier(STARTS), context.SimpleQueue()
    asked = (str(tmp_path / "fresh"), all_there, answers)
    starts = [context.Process(target=open_at_once, args=asked, daemon=True) for _ in range(STARTS)]
    for start in starts:
        start.start()
    for start in starts:
        start.join(300)
    said = [answers.get() for _ in starts if not answers.empty()]
    assert said == [0] * STARTS
    assert [start.exitcode for start in starts] == [0] * STARTS


def test_a_start_waits_while_another_creates_the_history(tmp_path):
    folder, opened = tmp_path / "fresh", threading.Event()

    def start() -> None:
        RunHistory.from_config_value(None, {"base_dir": str(folder)})
        opened.set()

    with store.run_lock(folder / "creation.lock", owner="a test"):
        thread = threading.Thread(target=start)
        thread.start()
        assert not opened.wait(1.0)
        assert not (folder / "history").exists()
    thread.join(60)
    assert opened.is_set()


def test_history_in_a_folder_that_cannot_be_used_is_explained(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DinError, match=r"file is not a folder.*run history.*DAGSTER_HOME"):
        RunHistory.from_config_value(None, {"base_dir": str(tmp_path / "file")})
    broken = tmp_path / "folder"
    (broken / "history" / "runs.db").mkdir(parents=True)
    with pytest.raises(RunHistoryError, match=r"unable to open database file.*DAGSTER_HOME"):
        RunHistory.from_config_value(None, {"base_dir": str(broken)})


def test_every_command_opens_the_history_this_way():
    config = yaml.safe_load((paths.project_root() / "dagster.yaml").read_text(encoding="utf-8"))
    assert config["storage"]["custom"]["class"] == RunHistory.__name__
    assert config["storage"]["custom"]["module"] == RunHistory.__module__
