"""Processes that begin with their imports done: forks of one that has imported what takes long.

For tests of what processes do to each other, and of what is left when one is killed. How a program
starts is tested with the program itself.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable, Mapping
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any, Self

import pytest

from tests import forks

_PROGRAMS = {"dagster": "dagster._cli:main", "din": "din_assets.command.cli:main"}


class WarmProcess:
    """A program at work; it can be read, waited for and killed as a ``subprocess.Popen`` can.

    Args:
        command: Name of the program, ``din`` or ``dagster``, and its arguments.
        folder: Its working directory.
        variables: What it finds in its environment beside ours.
        killed_at: A call, as ``module:function``, and whether it is killed ``before`` or ``after``.
        stands_in: A function of stand_ins.py that it calls with a ``MonkeyPatch`` before it begins.
    """

    def __init__(
        self,
        *command: str,
        folder: Path,
        variables: Mapping[str, str],
        killed_at: tuple[str, str] | None = None,
        stands_in: str = "",
    ) -> None:
        reading, writing = os.pipe()
        self.stdout = os.fdopen(reading)
        try:
            passed = (
                command, str(folder), dict(variables), _Passed(writing), killed_at, stands_in,
            )  # fmt: skip
            self._process = forks.context().Process(target=_work, args=passed)
            self._process.start()
        finally:
            os.close(writing)
        self.pid: int = self._process.pid or 0

    @property
    def returncode(self) -> int | None:
        """The exit status, as of ``subprocess.Popen``; None while the process runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def communicate(self, timeout: float) -> tuple[str, None]:
        """Read what is written until the process ends."""
        output = self.stdout.read()
        self._process.join(timeout)
        return output, None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.join()
        self.stdout.close()


class _Passed:
    """A file descriptor that is handed to the new process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (DupFd(self._descriptor),)


def _received(passed: Any) -> int:
    return passed.detach()


def _work(
    command: tuple[str, ...],
    folder: str,
    variables: dict[str, str],
    output: Any,
    killed_at: tuple[str, str] | None,
    stands_in: str,
) -> None:
    os.setsid()
    for standard in (1, 2):
        os.dup2(output, standard)
    os.close(output)
    os.chdir(folder)
    os.environ.update(variables)
    if stands_in:  # imported as late as the definitions, which that module has
        _named(f"tests.assets.stand_ins:{stands_in}")(pytest.MonkeyPatch())
    if killed_at is not None:
        _kill_at(*killed_at)
    sys.argv = list(command)
    main = _named(_PROGRAMS[command[0]])
    sys.exit(main())


def _kill_at(where: str, when: str) -> None:
    real = _named(where)

    def killing(*args: Any, **kwargs: Any) -> None:
        if when == "after":
            real(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    module, _, name = where.partition(":")
    setattr(importlib.import_module(module), name, killing)


def _named(where: str) -> Callable[..., Any]:
    module, _, name = where.partition(":")
    return getattr(importlib.import_module(module), name)
