"""What the process does that started the workers: it watches them, and leaves none behind.

It waits for none of them longer than it was told to, whatever has become of them: dead, suspended,
stuck, or unable to start. However its own waiting ends, in success, in an error or by an
interruption, no worker is left. If it is killed itself, the workers see that and end.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path

from din_core.config import LaunchConfig
from din_core.errors import DinError
from din_core.training.launch import failures, signs
from din_core.training.launch.failures import Exit
from din_core.training.launch.places import LaunchFolder

_POLL_SECONDS = 0.1
#: For the kernel to take a killed process away; one that writes to a dead disk may need longer.
_KILL_SECONDS = 30.0
_LAST_LINES = 20


class LeftoverError(DinError, RuntimeError):
    """Workers cannot be ended; the message names them."""


@contextlib.contextmanager
def launch_folder(root: Path) -> Generator[LaunchFolder]:
    """Make the folder of a launch, and end what killed launches have left.

    Args:
        root: Of all launches that write the same checkpoint, of which one runs at a time.

    Yields:
        The folder. While the block lasts its workers are wanted; after it none is there.

    Raises:
        LeftoverError: A worker of this or an earlier launch cannot be ended.
    """
    root.mkdir(parents=True, exist_ok=True)
    for left in root.iterdir():
        _remove(LaunchFolder(left))
    folder = LaunchFolder(root / uuid.uuid4().hex)
    folder.path.mkdir()
    try:
        with signs.held(folder.launcher):
            yield folder
    finally:
        _remove(folder)
        with contextlib.suppress(OSError):
            root.rmdir()


def _remove(folder: LaunchFolder) -> None:
    processes = [folder.torchrun, *folder.signs()]
    for sign in processes:
        signs.kill(sign)
    if left := signs.wait_until_gone(processes, _KILL_SECONDS):
        pids = [str(sign.pid) for each in left if (sign := signs.read(each)) is not None]
        raise LeftoverError(
            f"workers that train cannot be ended (process {', '.join(pids)}): they hang in the "
            "operating system, as on a disk that does not answer. Training would go on twice: end "
            "them, or restart the machine, then run again"
        )
    shutil.rmtree(folder.path, ignore_errors=True)


def supervise(
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: LaunchFolder,
    config: LaunchConfig,
    on_poll: Callable[[], object],
) -> None:
    """Start the workers, and wait until they are done.

    Args:
        command: Starts and ends all workers; it writes :attr:`LaunchFolder.exits`.
        environment: All of it.
        folder: Of this launch.
        config: How many workers, and how long to wait.
        on_poll: Called again and again while they work.

    Raises:
        WorkerError: A worker failed, or shows no sign of life.
        UnexpectedWorkerError: A worker met a mistake in the program.
    """
    with folder.output.open("wb") as output:
        agent = subprocess.Popen(  # noqa: S603 (this program's own command)
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # A Ctrl-C in the terminal is for this process, which then ends the others.
            start_new_session=True,
        )
    try:
        watch = _Watch(folder, config)
        while agent.poll() is None:
            watch.look()
            on_poll()
            time.sleep(_POLL_SECONDS)
    finally:
        agent.kill()
        agent.wait()
        for sign in folder.signs():
            signs.kill(sign)
    if agent.returncode:
        raise _error(folder, config)


class _Watch:
    """Sees who is silent, and whether anybody computes, by what they write on their signs.

    A worker that has not come up yet is not silent as long as somebody computes: importing torch
    takes long on a machine that others use too.
    """

    def __init__(self, folder: LaunchFolder, config: LaunchConfig) -> None:
        self._folder, self._config = folder, config
        self._seen: dict[int | None, signs.Sign | None] = {}
        self._heard: dict[int | None, float] = {}
        self._busy = time.monotonic()

    def look(self) -> None:
        """Raise the error of a process that cannot go on, or that is silent for too long."""
        config, limit = self._config, self._config.worker_timeout_seconds
        for rank in range(config.processes):
            failure = failures.read(self._folder.failure(rank))
            if failure is not None and not failure.may_pass:
                raise _error(self._folder, config)
            self._look_at(rank, self._folder.sign(rank))
        self._look_at(None, self._folder.torchrun)
        now = time.monotonic()
        there = [each for each, sign in self._seen.items() if sign is not None]
        silent = min(there, key=self._heard.__getitem__, default=None)
        if (sign := self._seen[silent]) is not None and now - self._heard[silent] > limit:
            raise failures.stalled(silent, sign.pid, config.processes, limit)
        if now - self._busy > limit:
            raise failures.at_a_standstill(config.processes, limit)

    def _look_at(self, who: int | None, path: Path) -> None:
        """Look at the sign of a worker, or of torchrun (``None``)."""
        sign, before = signs.read(path), self._seen.get(who)
        now = time.monotonic()  # after the look: this process may have been suspended before it
        is_first = who not in self._heard
        # One that has ended is torchrun's business: it is done, or it is started again.
        if is_first or sign != before or not signs.is_held(path):
            self._heard[who] = now
        came_up = sign is not None and before is None
        if is_first or came_up or (sign and before and sign.busy_looks != before.busy_looks):
            self._busy = now
        self._seen[who] = sign


def _error(folder: LaunchFolder, config: LaunchConfig) -> Exception:
    found = {
        rank: failure
        for rank in range(config.processes)
        if (failure := failures.read(folder.failure(rank))) is not None
    }
    try:
        exits = [Exit(**each) for each in json.loads(folder.exits.read_text(encoding="utf-8"))]
    except (FileNotFoundError, ValueError):
        exits = []
    lines = folder.output.read_text(encoding="utf-8", errors="replace").splitlines()
    return failures.error_of(found, exits, config.processes, "\n".join(lines[-_LAST_LINES:]))
