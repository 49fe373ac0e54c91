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
from dataclasses import dataclass, field
from pathlib import Path

from din_core.config import LaunchConfig
from din_core.errors import DinError
from din_core.training.launch import failures, signs
from din_core.training.launch.failures import Exit
from din_core.training.launch.workers import LaunchFolder

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
    for sign in folder.signs():
        signs.kill(sign)
    if left := signs.wait_until_gone(folder.signs(), _KILL_SECONDS):
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


@dataclass
class _Watch:
    """Sees who is silent, by what the workers write on their signs."""

    folder: LaunchFolder
    config: LaunchConfig
    seen: dict[int, signs.Sign | None] = field(default_factory=dict[int, signs.Sign | None])
    heard: dict[int, float] = field(default_factory=dict[int, float])
    busy: float = field(default_factory=time.monotonic)

    def look(self) -> None:
        """Raise the error of a worker that cannot go on, or that is silent for too long."""
        config, limit = self.config, self.config.worker_timeout_seconds
        for rank in range(config.processes):
            failure = failures.read(self.folder.failure(rank))
            if failure is not None and not failure.may_pass:
                raise _error(self.folder, config)
            sign = signs.read(self.folder.sign(rank))
            now = time.monotonic()  # after the look: this process may have been suspended before it
            before = self.seen.get(rank)
            if rank not in self.heard or sign != before:
                self.heard[rank] = now
                if sign is None or before is None or sign.busy_looks != before.busy_looks:
                    self.busy = now
            self.seen[rank] = sign
        now = time.monotonic()
        silent = min(self.heard, key=self.heard.__getitem__)
        if now - self.heard[silent] > limit:
            sign = self.seen[silent]
            pid = None if sign is None else sign.pid
            raise failures.stalled(silent, pid, config.processes, limit)
        if now - self.busy > limit:
            raise failures.at_a_standstill(config.processes, limit)


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
