"""One run at a time: who waits says for whom, and a killed holder holds nothing."""

import threading

import pytest

from din_core import warehouse
from tests.core.other_processes import kill, run_python

HOLD = (
    "import sys, time\n"
    "from din_core import warehouse\n"
    "with warehouse.run_lock(sys.argv[1], owner='run 1', on_wait=print):\n"
    "    print('held', flush=True)\n"
    "    time.sleep(60)"
)


def test_a_free_lock_is_taken_without_a_word(tmp_path):
    said = []
    for _ in range(2):
        with warehouse.run_lock(tmp_path / "l", owner="run 1", on_wait=said.append):
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
        with warehouse.run_lock(tmp_path / "l", owner="run 2", on_wait=heard):
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
    with pytest.raises(ZeroDivisionError), warehouse.run_lock(tmp_path / "l", owner="run 1"):
        _ = 1 / 0
    said = []
    with warehouse.run_lock(tmp_path / "l", owner="run 2", on_wait=said.append):
        assert said == []


def test_a_lock_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(warehouse.WarehouseError, match="DIN_HOME"),
        warehouse.run_lock(tmp_path / "file" / "l", owner="run 1"),
    ):
        pass
