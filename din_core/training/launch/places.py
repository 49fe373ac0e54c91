"""Where a launch and each of its workers are. Nothing here imports torch, which takes seconds.

So a worker can show that it is alive before it does.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from din_core.training.launch import signs


@dataclass(frozen=True, kw_only=True)
class Place:
    """A worker among others.

    Attributes:
        rank: Its number among all, from 0.
        local_rank: Its number on its machine, from 0.
        on_machine: How many there are on its machine.
        attempt: How often all of them have been started again.
    """

    rank: int
    local_rank: int
    on_machine: int
    attempt: int = 0


@dataclass(frozen=True)
class LaunchFolder:
    """Where the launching process and its workers see each other; on one machine.

    Attributes:
        path: The folder.
    """

    path: Path

    @property
    def launcher(self) -> Path:
        """Held by the launching process as long as it wants the workers."""
        return self.path / "launcher"

    @property
    def exits(self) -> Path:
        """How the workers ended, as torchrun saw it."""
        return self.path / "exits.json"

    @property
    def output(self) -> Path:
        """What torchrun and the workers write to their terminal."""
        return self.path / "output.txt"

    @property
    def logs(self) -> Path:
        """What torchrun keeps of its own while it runs."""
        return self.path / "logs"

    @property
    def torchrun(self) -> Path:
        """The sign of life of the process that starts the workers."""
        return self.path / "torchrun"

    def sign(self, rank: int) -> Path:
        """A worker's sign of life."""
        return self.path / f"worker-{rank}"

    def failure(self, rank: int) -> Path:
        """Why a worker cannot go on."""
        return self.path / f"failure-{rank}.json"

    def signs(self) -> list[Path]:
        """All workers' signs."""
        return sorted(self.path.glob("worker-*"))

    def is_wanted(self) -> Callable[[], bool]:
        """Return what a worker asks again and again: whether anybody still waits for its work."""
        parent = os.getppid()
        return lambda: os.getppid() == parent and signs.is_held(self.launcher)
