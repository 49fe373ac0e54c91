"""Runs whose process is gone: found exactly, and marked as failed.

A killed process, a power cut or the kernel out of memory leaves a run "started" for ever, and the
queue of the UI counts it. A living run shows a *sign of life*: a file in ``living_runs`` beside the
run history, on which a process holds a lock. The kernel drops the lock when that process dies, and
shows it to every process and container on the machine. Numbers of processes are not looked at: the
same number is another process in another container or on another machine.

The run history (:mod:`run_history`) shows the sign of every run from its first event to its last,
in the run's own process. Before that, whoever launches the run shows it (:mod:`run_queue`). So a
run without any sign is none that this can judge, and is left to Dagster; one that waits, for the
queue or for ``pipeline.lock``, is alive.
"""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import dagster as dg

from din_core.errors import DinError

_COUNTED = (
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
_SUFFIX = ".lock"


class SignOfLifeError(DinError):
    """A run cannot show that it is alive; the message says the way out."""


# By run: the signs that this process shows.
_shown: dict[str, TextIO] = {}


def show_sign(instance: dg.DagsterInstance, run_id: str) -> None:
    """Show a run's sign of life, in place of whoever showed it before.

    It is shown until :func:`take_sign_away`, or until this process ends.

    Args:
        instance: Where the run is recorded.
        run_id: The run.

    Raises:
        SignOfLifeError: The file cannot be written or locked. A run without it would stay "started"
            for ever when it is killed.
    """
    path = _sign_of_life(instance, run_id)
    part = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Locked before it has its name: at no moment is there a sign that nobody holds.
        descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=f"{run_id}.", suffix=".part")
        sign = os.fdopen(descriptor, "w")
        fcntl.flock(sign, fcntl.LOCK_EX | fcntl.LOCK_NB)
        Path(part).rename(path)
    except OSError as error:
        if part is not None:
            with contextlib.suppress(OSError):
                Path(part).unlink(missing_ok=True)
        raise SignOfLifeError(
            f"{path}: {error.strerror}; a run shows there that it is alive: make the folder "
            "writable, or make room, or let DAGSTER_HOME name another one"
        ) from error
    _shown[run_id] = sign


def take_sign_away(instance: dg.DagsterInstance, run_id: str) -> None:
    """Take a sign away that this process shows; nothing happens where it shows none."""
    if (sign := _shown.pop(run_id, None)) is None:
        return
    with sign, contextlib.suppress(OSError):  # removed while it is held, for whoever looks just now
        if _is_at(_sign_of_life(instance, run_id), sign):
            _sign_of_life(instance, run_id).unlink()


def take_over(instance: dg.DagsterInstance) -> None:
    """Let go of the signs that others show by now, and of those of runs that have ended."""
    for run_id, sign in list(_shown.items()):
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished or not _is_at(_sign_of_life(instance, run_id), sign):
            take_sign_away(instance, run_id)


def mark_failed(instance: dg.DagsterInstance) -> list[str]:
    """Mark every dead run as failed, or as cancelled where it was being cancelled.

    Args:
        instance: Where the runs are recorded.

    Returns:
        Ids of the runs that were marked.
    """
    marked: list[str] = []
    counted = instance.get_run_records(dg.RunsFilter(statuses=list(_COUNTED)))
    for record in counted:
        run = record.dagster_run
        if not is_dead(instance, run):
            continue
        # It may have ended, well, since the list was made.
        now = instance.get_run_by_id(run.run_id)
        if now is None or now.status not in _COUNTED:
            continue
        if now.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(now, explanation())
        else:
            instance.report_run_failed(now, explanation())
        marked.append(run.run_id)
    alive = {record.dagster_run.run_id for record in counted} - {*marked}
    _remove_signs(instance, but_of=alive)
    return marked


def is_dead(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Say whether a run that counts as under way has no process any more."""
    path = _sign_of_life(instance, run.run_id)
    return path.exists() and not _is_held(path)


def explanation() -> str:
    """What a dead run's log says, in the UI."""
    return (
        "The process of this run is gone: killed, out of memory, or the machine went down. What it "
        "had committed stays. Run again: an interrupted training goes on where it was."
    )


def _folder(instance: dg.DagsterInstance) -> Path:
    return Path(instance.root_directory) / "living_runs"


def _sign_of_life(instance: dg.DagsterInstance, run_id: str) -> Path:
    return _folder(instance) / f"{run_id}{_SUFFIX}"


def _is_held(path: Path) -> bool:
    """Whether somebody holds a sign; yes where that cannot be told."""
    try:
        with path.open() as sign:
            fcntl.flock(sign, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # held; or gone this very moment, or not to be read
        return True
    return False


def _is_at(path: Path, sign: TextIO) -> bool:
    """Whether a sign is the one that others see."""
    try:
        return os.path.samestat(path.stat(), os.fstat(sign.fileno()))
    except OSError:
        return False


def _remove_signs(instance: dg.DagsterInstance, *, but_of: set[str]) -> None:
    """Remove the signs of runs that have ended without doing so, whoever marked them."""
    for path in _signs(instance):
        # A sign that is being made has another name, and is not locked for a moment.
        if path.suffix == _SUFFIX and path.stem not in but_of and not _is_held(path):
            # What stays is an empty file that nobody holds.
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def _signs(instance: dg.DagsterInstance) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from list(_folder(instance).iterdir())
