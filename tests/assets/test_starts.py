"""Starts that meet: the run history is created once, by whoever comes first."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
import yaml

from din_assets.runs import paths
from din_assets.runs.history_errors import RunHistoryError
from din_assets.runs.run_history import RunHistory
from din_core import store
from din_core.errors import DinError

STARTS = 3
OPEN_AT_ONCE = """
import sys
from din_assets.runs.run_history import RunHistory
print("ready", flush=True)
sys.stdin.read()
history = RunHistory.from_config_value(None, {"base_dir": sys.argv[1]})
print(len(history.run_storage.get_runs()))
"""


def test_starts_at_once_on_a_fresh_folder_all_succeed(tmp_path):
    starts = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN_AT_ONCE, str(tmp_path / "fresh")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(STARTS)
    ]
    for start in starts:
        assert start.stdout.readline() == "ready\n"
    for start in starts:
        start.stdin.close()
        start.stdin = None  # so that `communicate` does not flush it again
    answers = [start.communicate(timeout=300) for start in starts]
    assert [out for out, _ in answers] == ["0\n"] * STARTS, [err[-2000:] for _, err in answers]


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
