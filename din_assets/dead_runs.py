"""Runs whose process is gone: found exactly, and marked as failed.

A killed process, a power cut or the kernel out of memory leaves a run "started" for ever, and the
queue of the UI counts it. A living run is recognised by two signs, each of which is enough: the
kernel holds the lock that the run took on its own file (also seen from another container), or the
process that wrote that the run started exists. Runs that wait, for the queue or for
``pipeline.lock``, are alive. A run that was killed before its process was known is left to the
``start_timeout_seconds`` of Dagster's run monitoring.
"""

import contextlib
import fcntl
import os
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

_COUNTED = (
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
# The kernel counts time from the boot, the history by the clock, which may have been set since.
_CLOCK_SLACK = timedelta(minutes=1)


@contextlib.contextmanager
def announced(instance: dg.DagsterInstance, run_id: str) -> Generator[None]:
    """Let everybody see that a run is alive, for as long as the block lasts.

    Args:
        instance: Where the run is recorded.
        run_id: The run of this process.
    """
    path = _sign_of_life(instance, run_id)
    with contextlib.ExitStack() as stack:
        # A courtesy: without it the run's process is still seen.
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            sign = stack.enter_context(path.open("w"))
            fcntl.flock(sign, fcntl.LOCK_EX | fcntl.LOCK_NB)
            stack.callback(path.unlink, missing_ok=True)
        yield


def mark_failed(instance: dg.DagsterInstance) -> list[str]:
    """Mark every dead run as failed, or as cancelled where it was being cancelled.

    Args:
        instance: Where the runs are recorded.

    Returns:
        Ids of the runs that were marked.
    """
    marked: list[str] = []
    for run in instance.get_runs(dg.RunsFilter(statuses=list(_COUNTED))):
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
        with contextlib.suppress(OSError):  # what stays is an empty file that nobody holds
            _sign_of_life(instance, run.run_id).unlink(missing_ok=True)
        marked.append(run.run_id)
    return marked


def is_dead(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Say whether a run that counts as under way has no process any more."""
    if _is_held(_sign_of_life(instance, run.run_id)):
        return False
    process = _process(instance, run.run_id)
    return process is not None and not _exists(*process)


def explanation() -> str:
    """What a dead run's log says, in the UI."""
    return (
        "The process of this run is gone: killed, out of memory, or the machine went down. What it "
        "had committed stays. Run again: an interrupted training goes on where it was."
    )


def _sign_of_life(instance: dg.DagsterInstance, run_id: str) -> Path:
    return Path(instance.root_directory) / "living_runs" / f"{run_id}.lock"


def _is_held(path: Path) -> bool:
    try:
        with path.open() as sign:
            fcntl.flock(sign, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _process(instance: dg.DagsterInstance, run_id: str) -> tuple[int, datetime] | None:
    """The process of a run, and since when it was there; None where the history does not tell."""
    for kind in (dg.DagsterEventType.RUN_START, dg.DagsterEventType.ENGINE_EVENT):
        for record in instance.get_records_for_run(run_id, of_type=kind).records:
            event = record.event_log_entry.get_dagster_event()
            pid = event.pid or _named_pid(event)
            if pid:
                return pid, datetime.fromtimestamp(record.timestamp, tz=UTC)
    return None


def _named_pid(event: dg.DagsterEvent) -> int | None:
    """The process that an event of the launcher is about, from before the run itself speaks."""
    if event.event_type != dg.DagsterEventType.ENGINE_EVENT:
        return None
    named = event.engine_event_data.metadata.get("pid")
    return int(named.text) if isinstance(named, dg.TextMetadataValue) else None


def _exists(pid: int, since: datetime) -> bool:
    """Whether a process exists that was there at a time: numbers of processes are used again."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    began = _began(pid)
    return began is None or began <= since + _CLOCK_SLACK


def _began(pid: int) -> datetime | None:
    """When a process began, None where the system does not tell (it does on Linux)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        uptime = float(Path("/proc/uptime").read_text(encoding="utf-8").split()[0])
    except OSError:
        return None
    # The second field, the program's name in brackets, may hold blanks; the 22nd is the begin.
    state, *numbers = stat.rpartition(")")[2].split()
    if state == "Z":
        return datetime.max.replace(tzinfo=UTC)
    age = uptime - int(numbers[18]) / os.sysconf("SC_CLK_TCK")
    return datetime.now(UTC) - timedelta(seconds=age)
