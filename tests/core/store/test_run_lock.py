"""One run at a time: who waits says for whom, and a killed holder holds nothing."""

import errno
import fcntl
import os
import shutil
import signal
import socket
import threading

import pytest

from din_core import store
from tests.core.other_processes import kill, run_python

HOLD = (
    "import sys, time\n"
    "from din_core import store\n"
    "with store.run_lock(sys.argv[1], owner='run 1', on_wait=print):\n"
    "    print('held', flush=True)\n"
    "    time.sleep(60)"
)


def test_a_free_lock_is_taken_without_a_word(tmp_path):
    said = []
    for _ in range(2):
        with store.run_lock(tmp_path / "l", owner="run 1", on_wait=said.append):
            assert '"run 1"' in (tmp_path / "l").read_text()
    assert said == []
    assert (tmp_path / "l").read_text() == ""


def test_a_waiter_says_for_whom_and_goes_on_when_the_holder_is_killed(tmp_path):
    holder = run_python(HOLD, tmp_path / "l")
    said, waiting, held = [], threading.Event(), threading.Event()

    def heard(sentence):
        said.append(sentence)
        waiting.set()

    def wait():
        with store.run_lock(tmp_path / "l", owner="run 2", on_wait=heard):
            held.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    assert waiting.wait(30)
    assert not held.is_set()
    kill(holder)
    waiter.join(30)
    assert held.is_set()
    assert f"waiting for run 1 (process {holder.pid}, since " in said[0]
    assert len(said) == 1


def test_an_exception_releases_it(tmp_path):
    with pytest.raises(ZeroDivisionError), store.run_lock(tmp_path / "l", owner="run 1"):
        _ = 1 / 0
    said = []
    with store.run_lock(tmp_path / "l", owner="run 2", on_wait=said.append):
        assert said == []


def test_a_lock_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(store.StoreError, match="DIN_HOME"),
        store.run_lock(tmp_path / "file" / "l", owner="run 1"),
    ):
        pass


def test_a_folder_in_the_place_of_the_lock_is_named(tmp_path):
    (tmp_path / "l").mkdir()
    with (
        pytest.raises(store.StoreError, match=r"/l is a folder, .* move it away"),
        store.run_lock(tmp_path / "l", owner="run 1"),
    ):
        pass


def test_a_waiter_says_that_the_holder_is_suspended(tmp_path):
    holder = run_python(HOLD, tmp_path / "l")
    said, heard_twice, held = [], threading.Event(), threading.Event()

    def heard(sentence):
        said.append(sentence)
        if len(said) == 1:
            os.kill(holder.pid, signal.SIGSTOP)
        else:
            heard_twice.set()

    def wait():
        with store.run_lock(tmp_path / "l", owner="run 2", on_wait=heard):
            held.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    assert heard_twice.wait(30)
    assert f"suspended (kill -CONT {holder.pid}" in said[1]
    kill(holder)
    waiter.join(30)
    assert held.is_set()


def test_a_holder_on_another_machine_is_named_with_it(tmp_path, monkeypatch):
    holder = run_python(HOLD, tmp_path / "l")
    here = socket.gethostname()
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    said = []

    def heard(sentence):
        said.append(sentence)
        kill(holder)

    with store.run_lock(tmp_path / "l", owner="run 2", on_wait=heard):
        pass
    assert f"UTC) on {here}, who has" in said[0]


def test_a_lock_whose_folder_was_cleared_away_meanwhile_is_taken_anew(tmp_path):
    folder = tmp_path / "data"
    holder = run_python(HOLD, folder / "l")

    def clear_away(sentence):
        shutil.rmtree(folder)
        kill(holder)

    with store.run_lock(folder / "l", owner="run 2", on_wait=clear_away):
        assert '"run 2"' in (folder / "l").read_text()


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with (
        pytest.raises(store.StoreError, match=r"No locks available.*DIN_HOME"),
        store.run_lock(tmp_path / "l", owner="run 1"),
    ):
        pass
