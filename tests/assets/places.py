"""A folder with a Dagster instance of its own, and real processes that a test starts in it."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from jinja2 import FileSystemBytecodeCache

from din_assets.runs import paths
from din_assets.runs.run_history import RunHistory
from tests.assets.small_pipeline import SMALL_RUN
from tests.assets.warm_processes import WarmProcess

PATIENCE = 1200  # seconds for a run that waits for two others on a busy machine

_LAUNCH = """
mutation Launch($job: ExecutionParams!) {
  launchRun(executionParams: $job) { __typename ... on LaunchRunSuccess { run { runId } } }
}
"""


@functools.cache
def _empty_history() -> Path:
    """A run history without runs, made once: making its tables takes longer than some tests.

    How a first start makes them is tested by test_starts.py and from the wheel.
    """
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    RunHistory.from_config_value(None, {"base_dir": folder}).dispose()
    return Path(folder)


def temporary_folder(place: Path) -> dict[str, str]:
    """Return the variable of a temporary folder of its own, for services that a test kills.

    They leave sockets and folders there. What is kept of templates and of code versions lies in the
    system's folder, and is taken along.
    """
    folder = place / "t"  # short, since the path of a socket has room for 107 characters
    if not folder.exists():
        kept = Path(FileSystemBytecodeCache().directory)
        there = folder / kept.name
        folder.mkdir()
        there.mkdir(mode=0o700)
        for file in kept.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another worker has just replaced it
                shutil.copy(file, there)
    return {"TMPDIR": str(folder)}


@dataclass
class Place:
    """A Dagster home with the project's instance, and the processes that a test starts in it.

    Attributes:
        home: The folder.
        stands_in: A function of stand_ins.py that its warm processes call with a ``MonkeyPatch``
            before they begin; empty for none.
        processes: What was started.
    """

    home: Path
    stands_in: str = ""
    processes: list[subprocess.Popen[str] | WarmProcess] = field(default_factory=list)

    def __post_init__(self) -> None:
        shutil.copytree(_empty_history(), self.home / ".dagster" / "storage")
        # Relative folders start at the working directory, which `din` sets to the project's root.
        config = (paths.project_root() / "dagster.yaml").read_text(encoding="utf-8")
        for was, becomes in {
            "base_dir: .dagster": f"base_dir: {self.home / '.dagster'}",
            # A test waits for what Dagster does each time it looks.
            "poll_interval_seconds: 15": "poll_interval_seconds: 1",
            "class: RunQueue\n": "class: RunQueue\n  config: {dequeue_interval_seconds: 1}\n",
        }.items():
            assert was in config
            config = config.replace(was, becomes)
        (self.home / "dagster.yaml").write_text(config)

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def variables(self) -> dict[str, str]:
        """What a process finds in its environment to work here."""
        return {
            "DAGSTER_HOME": str(self.home),
            "DIN_HOME": str(self.data),
            "OMP_NUM_THREADS": "1",
        }

    def start(
        self, *command: str, output: Any = subprocess.PIPE, **variables: str
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command,
            cwd=self.home,
            env={**os.environ, **self.variables, **variables},
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def start_warm(self, *command: str, killed_at: tuple[str, str] | None = None) -> WarmProcess:
        """Start ``din`` or ``dagster`` with its imports done."""
        process = WarmProcess(
            *command,
            folder=self.home,
            variables=self.variables,
            killed_at=killed_at,
            stands_in=self.stands_in,
        )
        self.processes.append(process)
        return process

    def start_run(
        self, select: str = "*", *, log_level: str = "WARNING", config: dict[str, Any] | None = None
    ) -> WarmProcess:
        """Start a run; at ``DEBUG`` it tells each step, and its pipe must be read meanwhile."""
        return self.start_warm("dagster", *self.materialize(select, config, log_level))

    def materialize(
        self, select: str, config: dict[str, Any] | None = None, log_level: str = "WARNING"
    ) -> tuple[str, ...]:
        """Return the arguments of ``dagster`` that make some assets."""
        return (
            "asset", "materialize", "--select", select,
            "-m", "din_assets.definitions", "-c", self.write(config or SMALL_RUN, log_level),
        )  # fmt: skip

    def write(self, config: dict[str, Any], log_level: str = "WARNING") -> str:
        """Write a run configuration to a file and return its path."""
        file = self.home / f"run_{len(self.processes)}.yaml"
        logger = {"console": {"config": {"log_level": log_level}}}
        file.write_text(yaml.safe_dump({**config, "loggers": logger}), encoding="utf-8")
        return str(file)

    def start_ui(self, **variables: str) -> UserInterface:
        """Start ``dagster dev`` and wait until it answers."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        log = self.home / "dev.log"
        with log.open("w") as output:
            process = self.start(
                program("dagster"), "dev", "-p", str(port),
                "-w", str(paths.project_root() / "workspace.yaml"),
                output=output, **temporary_folder(self.home), **variables,
            )  # fmt: skip
        ui = UserInterface(process, f"http://127.0.0.1:{port}/graphql", log)
        wait_until(ui.answers, log.read_text)
        return ui

    def start_daemon(self, **variables: str) -> None:
        """Start what ``dagster dev`` has beside its pages: the daemon, which starts queued runs."""
        with (self.home / "daemon.log").open("w") as output:
            self.start(
                program("dagster-daemon"), "run",
                "-w", str(paths.project_root() / "workspace.yaml"),
                output=output, **temporary_folder(self.home), **variables,
            )  # fmt: skip

    def statuses(self) -> dict[str, str]:
        """Status of every run, by its id."""
        history = RunHistory.from_local(str(self.home / ".dagster" / "storage"))
        return {run.run_id: run.status.value for run in history.run_storage.get_runs()}

    def stop_everything(self) -> None:
        for process in self.processes:
            kill(process)


@dataclass
class UserInterface:
    """A running ``dagster dev``."""

    process: subprocess.Popen[str]
    address: str
    log: Path

    def wait_for_monitoring(self) -> None:
        """Wait until run monitoring has looked at what runs, once more than now."""
        looks = self.log.read_text().count("Checking run")
        wait_until(lambda: self.log.read_text().count("Checking run") > looks, self.log.read_text)

    def answers(self) -> bool:
        try:
            return bool(self.ask("{ version }"))
        except OSError:
            return False

    def ask(self, query: str, **variables: Any) -> Any:
        request = urllib.request.Request(
            self.address,
            data=json.dumps({"query": query, "variables": variables}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)["data"]

    def launch(self, *assets: str, config: dict[str, Any]) -> str:
        """Launch a run, as a click on "Materialize" does, and return its id."""
        location = "din_assets.definitions"
        job = {
            "selector": {
                "repositoryName": "__repository__",
                "repositoryLocationName": location,
                "jobName": "full_run",
                "assetSelection": [{"path": [asset]} for asset in assets],
            },
            "runConfigData": config,
        }
        return self.ask(_LAUNCH, job=job)["launchRun"]["run"]["runId"]


def program(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def wait_until(true: Callable[[], object], otherwise: Callable[[], object]) -> None:
    """Wait until something holds; say what was seen where it does not."""
    until = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < until, otherwise()
        time.sleep(0.2)


def finish(process: subprocess.Popen[str] | WarmProcess, returncode: int = 0) -> str:
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == returncode, output[-3000:]
    return output


def kill(process: subprocess.Popen[str] | WarmProcess) -> None:
    """Kill a process with all that it started, where it still runs, and close its pipe."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    with process:  # closes the pipe and waits
        pass
