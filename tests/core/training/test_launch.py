"""Processes that train together: who is alive, who is silent, and the sentence of what failed."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from din_core.config import LaunchConfig, OptionsError, TrainingConfig
from din_core.errors import DinError, RefusedOptionsError
from din_core.machine import limits
from din_core.network.hardware import HardwareError
from din_core.training.launch import failures, signs, supervision, workers
from din_core.training.launch.failures import Exit, Failure, WorkerError
from din_core.training.launch.places import LaunchFolder, Place

AGAIN = "Run again: training goes on from the last checkpoint"
LOST = Failure(kind="lost", text="Connection closed by peer")
BUG = Failure(kind="unexpected", text="Traceback: KeyError")
MEMORY = Failure(kind="memory", text="MemoryError")
NAN = Failure(kind="explained", text="the loss is nan; lower learning_rate", refused=True)

SLEEPER = """
import sys, time
from pathlib import Path
from din_core.training.launch import signs
with signs.shown(Path(sys.argv[1]), timeout=1, is_wanted=lambda: True):
    print("here", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def folder(tmp_path):
    return LaunchFolder(tmp_path)


def write_sign(folder, rank, looks, busy):
    folder.sign(rank).write_text(f"{os.getpid()} {looks} {busy}".ljust(64))


@pytest.fixture
def alive(folder):
    """Two workers and torchrun, all of them this process."""
    with contextlib.ExitStack() as stack:
        for path in (folder.sign(0), folder.sign(1), folder.torchrun):
            stack.enter_context(signs.held(path))
        yield folder


def watch(folder, monkeypatch, timeout=10.0):
    """A watch of two workers whose time the test tells."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    config = LaunchConfig(processes=2, worker_timeout_seconds=timeout)
    return supervision._Watch(folder, config), now


def test_workers_that_look_and_compute_are_left_alone_for_as_long_as_they_like(alive, monkeypatch):
    watched, now = watch(alive, monkeypatch)
    for second in range(100):
        now[0] = float(second)
        write_sign(alive, 0, second, second)
        write_sign(alive, 1, second, 0)  # it waits for the other one
        watched.look()


def test_worker_that_stops_looking_is_named(alive, monkeypatch):
    watched, now = watch(alive, monkeypatch)
    for second in range(12):
        now[0] = float(second)
        write_sign(alive, 0, second, second)
        write_sign(alive, 1, min(second, 1), 0)
        watched.look()
    now[0] = 11.5
    with pytest.raises(WorkerError, match=r"worker 1 of 2 .* no sign of life for 10 s"):
        watched.look()


def test_worker_may_take_long_to_come_up_while_somebody_computes(alive, monkeypatch):
    watched, now = watch(alive, monkeypatch)
    for second in range(100):
        now[0] = float(second)
        alive.torchrun.write_text(f"7 {second} {second}")
        if second > 50:
            write_sign(alive, 1, second, 0)
        watched.look()


def test_workers_that_nobody_starts_are_at_a_standstill(alive, monkeypatch):
    watched, now = watch(alive, monkeypatch)
    for second in range(11):
        now[0] = float(second)
        alive.torchrun.write_text(f"7 {second} {min(second, 1)}")
        watched.look()
    now[0] = 11.5
    with pytest.raises(WorkerError, match="none of the 2 workers has computed anything for 10 s"):
        watched.look()


def test_torchrun_that_is_suspended_is_named(alive, monkeypatch):
    watched, now = watch(alive, monkeypatch)
    alive.torchrun.write_text("7 1 1")
    for second in range(11):
        now[0] = float(second)
        write_sign(alive, 0, second, second)
        watched.look()
    now[0] = 11.5
    with pytest.raises(WorkerError, match=r"torchrun \(process 7\) has shown no sign of life"):
        watched.look()


def test_worker_that_is_done_is_not_silent_while_the_first_one_writes_the_model(alive, monkeypatch):
    watched, now = watch(alive, monkeypatch)
    write_sign(alive, 1, 5, 5)
    alive.sign(1).rename(alive.path / "held")  # the file that is held has another name now
    write_sign(alive, 1, 5, 5)
    for second in range(100):
        now[0] = float(second)
        write_sign(alive, 0, second, second)
        alive.torchrun.write_text(f"7 {second} 0")
        watched.look()


def test_workers_that_all_wait_are_at_a_standstill(alive, monkeypatch):
    watched, now = watch(alive, monkeypatch)
    for second in range(12):
        now[0] = float(second)
        write_sign(alive, 0, second, min(second, 1))
        write_sign(alive, 1, second, min(second, 1))
        watched.look()
    now[0] = 12.5
    with pytest.raises(WorkerError, match="none of the 2 workers has computed anything for 10 s"):
        watched.look()


def test_suspended_watcher_does_not_take_its_own_sleep_for_silence(alive, monkeypatch):
    watched, now = watch(alive, monkeypatch)
    write_sign(alive, 0, 1, 1)
    write_sign(alive, 1, 1, 1)
    watched.look()
    now[0] = 5_000.0
    write_sign(alive, 0, 900, 900)
    write_sign(alive, 1, 900, 900)
    watched.look()


@pytest.mark.parametrize(
    ("found", "exits", "sentence"),
    [
        ({0: LOST, 1: MEMORY}, [], "worker 1 of 2 (counted from 0) is out of memory (MemoryError)"),
        ({0: LOST}, [(0, 1), (1, -9)], "worker 1 of 2 (counted from 0) (process 11) was killed by"),
        (
            {},
            [(0, -15), (1, -11)],
            "worker 1 of 2 (counted from 0) (process 11) was killed by SIGS",
        ),
        ({0: LOST}, [(0, 1), (1, -15)], "worker 0 of 2 (counted from 0) lost the others (Connect"),
        ({0: LOST, 1: NAN}, [(1, -9)], "the loss is nan; lower learning_rate"),
        ({0: MEMORY, 1: BUG}, [], "worker 0 of 2 (counted from 0) is out of memory"),
        ({0: MEMORY, 1: NAN}, [], "the loss is nan; lower learning_rate"),
        ({0: MEMORY}, [(0, 1), (1, -9)], "worker 0 of 2 (counted from 0) is out of memory"),
        ({}, [(1, 3)], "the 2 processes that train ended (worker 1 with status 3):\nlast line"),
    ],
)
def test_sentence_is_about_the_cause_and_not_about_what_followed(found, exits, sentence):
    ends = [Exit(rank=rank, pid=10 + rank, code=code) for rank, code in exits]
    error = failures.error_of(found, ends, 2, "last line")
    assert str(error).startswith(sentence)
    assert isinstance(error, RefusedOptionsError) == (NAN in found.values())
    assert isinstance(error, DinError) == ("last line" not in str(error))


def test_killed_worker_is_told_with_what_may_have_killed_it_and_the_way_on():
    error = failures.error_of({}, [Exit(rank=3, pid=42, code=-9)], 4, "")
    assert str(error) == (
        "worker 3 of 4 (counted from 0) (process 42) was killed by SIGKILL (the kernel does that "
        "when memory runs out: lower processes or batch_size then); the others were ended. " + AGAIN
    )


def test_memory_that_torch_cannot_have_is_told_as_such():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert failures.of_error(caught.value).kind == "memory"
    assert failures.of_error(MemoryError()).kind == "memory"
    assert failures.of_error(KeyError("x")).kind == "unexpected"


def test_options_that_a_worker_refuses_are_refused_by_the_step(tmp_path):
    failures.write(tmp_path / "failure", failures.of_error(OptionsError("batch_size is 0")))
    found = failures.read(tmp_path / "failure")
    assert found == Failure(kind="explained", text="batch_size is 0", refused=True)
    assert isinstance(failures.error_of({1: found}, [], 2, ""), RefusedOptionsError)
    failures.write(tmp_path / "failure", failures.of_error(WorkerError("a file is gone")))
    found = failures.read(tmp_path / "failure")
    assert not isinstance(failures.error_of({1: found}, [], 2, ""), RefusedOptionsError)


def test_port_that_another_program_has_is_named(monkeypatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        place = {"RANK": 0, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        for name, value in place.items():
            monkeypatch.setenv(name, str(value))
        of = Place(rank=0, local_rank=0, on_machine=2)
        with (
            pytest.raises(dist.DistNetworkError) as caught,
            workers.joined(TrainingConfig(device="cpu"), of, 5.0),
        ):
            pass
    failure = failures.of_error(caught.value)
    assert failure.kind == "port"
    sentence = str(failures.error_of({0: failure}, [], 2, ""))
    assert str(port) in sentence
    assert "another program has it" in sentence


def test_fewer_gpus_than_processes_are_refused(monkeypatch):
    monkeypatch.setattr(workers, "choose_device", lambda _: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    of = Place(rank=1, local_rank=1, on_machine=2)
    with (
        pytest.raises(HardwareError, match=r"2 processes train.*torch finds 1: lower processes"),
        workers.joined(TrainingConfig(), of, 5.0),
    ):
        pass


def test_sign_is_held_as_long_as_its_process_lives_and_kills_only_that(tmp_path):
    sign = tmp_path / "worker-0"
    assert not signs.is_held(sign)
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER, str(sign)], stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout.readline() == b"here\n"
        assert signs.is_held(sign)
        assert signs.read(sign).pid == process.pid
        os.kill(process.pid, signal.SIGSTOP)
        assert signs.is_held(sign), "a suspended process is alive"
        signs.kill(sign)
        assert signs.wait_until_gone([sign], 60) == []
    # Its number may be another process's by now: a sign that nobody holds kills nobody.
    sign.write_text(f"{os.getpid()} 1 1")
    signs.kill(sign)


def test_launch_ends_what_an_earlier_one_has_left(tmp_path):
    left = tmp_path / "launches" / "earlier"
    left.mkdir(parents=True)
    sign = LaunchFolder(left).sign(0)
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER, str(sign)], stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        process.stdout.readline()
        with supervision.launch_folder(tmp_path / "launches") as folder:
            assert process.wait() == -signal.SIGKILL
            assert signs.is_held(folder.launcher)
            assert [*(tmp_path / "launches").iterdir()] == [folder.path]
    assert not (tmp_path / "launches").exists()


WORKER = """
import os, sys, time
from pathlib import Path
from din_core.training.launch import places, signs, workers
rank = int(sys.argv[2])
def train():
    if rank == 1:
        while signs.read(folder.sign(0)) is None:
            time.sleep(0.05)
        raise MemoryError
    time.sleep(600)
place = places.Place(rank=rank, local_rank=rank, on_machine=2)
folder = places.LaunchFolder(Path(sys.argv[1]))
with signs.shown(folder.sign(rank), timeout=60, is_wanted=folder.is_wanted()):
    status = workers.work(folder, place, train)
os._exit(status)
"""
BOTH = """
import subprocess, sys
each = [subprocess.Popen([sys.executable, *sys.argv[1:], str(rank)]) for rank in (0, 1)]
for worker in each:
    worker.wait()
"""


def supervise_both(source, folder, seconds):
    """Wait for two workers that run a script, no longer than so many seconds for a silent one."""
    script = folder.path / "worker.py"
    script.write_text(source)
    supervision.supervise(
        [sys.executable, "-c", BOTH, str(script), str(folder.path)],
        {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        folder,
        LaunchConfig(processes=2, worker_timeout_seconds=seconds),
        on_poll=lambda: None,
    )


def test_one_worker_that_fails_ends_those_that_would_wait_for_it(tmp_path):
    with supervision.launch_folder(tmp_path / "launches") as folder:
        with pytest.raises(WorkerError, match=r"worker 1 of 2 .* is out of memory"):
            supervise_both(WORKER, folder, seconds=300)
        # Before the folder goes, with which all are ended that hold a sign there.
        assert [path.name for path in folder.signs()] == ["worker-0", "worker-1"]
        assert signs.wait_until_gone(folder.signs(), 60) == []


SUSPENDED = """
import os, signal, sys, time
from pathlib import Path
from din_core.training.launch import places, signs
folder, rank = places.LaunchFolder(Path(sys.argv[1])), int(sys.argv[2])
with signs.shown(folder.sign(rank), timeout=2, is_wanted=folder.is_wanted()):
    if rank == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
    while True:  # at work
        sum(range(10_000))
        time.sleep(0.002)
"""


def test_suspended_worker_ends_the_launch_within_the_configured_time(tmp_path):
    with supervision.launch_folder(tmp_path / "launches") as folder:
        with pytest.raises(WorkerError) as caught:
            supervise_both(SUSPENDED, folder, seconds=2)
        suspended = signs.read(folder.sign(1))
        assert suspended is not None
        assert str(caught.value).startswith(
            f"worker 1 of 2 (counted from 0) (process {suspended.pid}) has shown no sign of life "
            "for 2 s (worker_timeout_seconds)"
        )
        # Before the folder goes, with which all are ended that hold a sign there.
        assert signs.wait_until_gone(folder.signs(), 60) == []


def test_what_the_workers_wrote_last_is_told_where_nothing_else_is_known(folder):
    program = "import sys; print(*[f'line {n}' for n in range(30)], sep='\\n'); sys.exit(3)"
    with pytest.raises(failures.UnexpectedWorkerError) as caught:
        supervision.supervise(
            [sys.executable, "-c", program],
            dict(os.environ),
            folder,
            LaunchConfig(processes=2, worker_timeout_seconds=300),
            on_poll=lambda: None,
        )
    assert str(caught.value).splitlines()[1:] == [f"line {n}" for n in range(10, 30)]


def test_what_a_worker_explained_is_not_tried_again_and_what_it_lost_is(folder):
    place, trained = Place(rank=1, local_rank=1, on_machine=2, attempt=1), []
    failures.write(folder.failure(1), NAN)
    assert workers.work(folder, place, lambda: trained.append(1)) == 1
    assert (trained, failures.read(folder.failure(1))) == ([], NAN)
    failures.write(folder.failure(1), LOST)
    assert workers.work(folder, place, lambda: trained.append(1)) == 0
    assert (trained, failures.read(folder.failure(1))) == ([1], None)


def test_watch_waits_for_the_restart_of_a_worker_that_lost_another(alive, monkeypatch):
    watched, _ = watch(alive, monkeypatch)
    alive.output.touch()
    failures.write(alive.failure(0), LOST)
    watched.look()
    failures.write(alive.failure(1), MEMORY)
    with pytest.raises(WorkerError, match=r"worker 1 of 2 .* out of memory"):
        watched.look()


def test_processes_of_a_machine_share_its_cores_and_its_memory(monkeypatch):
    monkeypatch.setattr(limits, "cores", lambda: 12)
    monkeypatch.setattr(limits, "memory", lambda: 10 << 30)
    of_four = Place(rank=5, local_rank=1, on_machine=4)
    assert workers.share_of_cores(of_four) == 3
    assert workers.share_of_cores(dataclasses.replace(of_four, on_machine=16)) == 1
    assert workers.default_memory_limit(of_four) == "2048MiB"  # 10 GiB * 4 / 5 / 4
    assert workers.with_its_threads(TrainingConfig(), of_four).num_threads == 3
    assert workers.with_its_threads(TrainingConfig(num_threads=5), of_four).num_threads == 5


def test_processes_wait_for_each_other_no_longer_than_they_are_told(monkeypatch):
    asked = []
    monkeypatch.setattr(
        workers, "rendezvous", lambda url, timeout: iter([(asked.append(timeout), 1, 2)])
    )
    monkeypatch.setattr(workers, "PrefixStore", lambda prefix, store: prefix)
    monkeypatch.setattr(dist, "init_process_group", lambda backend, **of: asked.append(of))
    monkeypatch.setattr(dist, "destroy_process_group", lambda: asked.append("left"))
    of = Place(rank=1, local_rank=1, on_machine=2, attempt=3)
    with workers.joined(TrainingConfig(device="cpu"), of, 7.0):
        pass
    waits = datetime.timedelta(seconds=7)
    assert asked == [
        waits,
        {"store": "attempt-3", "rank": 1, "world_size": 2, "timeout": waits},
        "left",
    ]


class Clock:
    """A clock that a sign looks at: in each pause so much time passes, and so much is computed."""

    def __init__(self, *pauses):
        self.pauses, self.now, self.computed = [*pauses], 0.0, 0.0

    def monotonic(self):
        return self.now

    def process_time(self):
        return self.computed

    def wait(self, pause):
        if not self.pauses:
            return True
        passed, computed = self.pauses.pop(0)
        self.now, self.computed = self.now + passed, self.computed + computed
        return False


def test_look_is_a_busy_one_from_a_twentieth_of_the_time_on(tmp_path, monkeypatch):
    clock = Clock((1.0, 0.9), (1.0, 0.01), (1.0, 0.0), (4.0, 0.21), (4.0, 0.19))
    monkeypatch.setattr(signs, "time", clock)
    with signs.held(tmp_path / "sign") as descriptor:
        signs._look(descriptor, 1.0, clock, lambda: True)
    assert signs.read(tmp_path / "sign")[1:] == (5, 2)


def test_workers_look_at_themselves_ten_times_within_the_timeout():
    assert [signs._pause(timeout) for timeout in (600.0, 10.0, 5.0)] == [1.0, 1.0, 0.5]


def test_what_is_chosen_of_processes_that_are_not_started_is_refused():
    from din_core.config import validate

    validate(LaunchConfig(processes=2, worker_timeout_seconds=5))
    with pytest.raises(OptionsError, match="worker_timeout_seconds is 5, but processes is 1"):
        validate(LaunchConfig(worker_timeout_seconds=5))
