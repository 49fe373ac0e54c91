"""How ``dagster.yaml`` queues and watches runs: dead ones take no place in the queue.

Dagster's defaults notice only what dies while ``dagster dev`` goes on. Its monitoring asks the run
launcher whether a run's process is there, and the default launcher cannot say; the one below can.
"""

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus

from din_assets import dead_runs


class RunQueue(dg.QueuedRunCoordinator):
    """Dagster's queue; a run that joins it finds no dead run ahead of it."""

    def submit_run(self, context: dg.SubmitRunContext) -> dg.DagsterRun:
        """Mark dead runs as failed, then let the run join the queue."""
        dead_runs.mark_failed(self._instance)
        return super().submit_run(context)


class WatchedRuns(dg.DefaultRunLauncher):
    """Dagster's launcher, which run monitoring can ask about a run, also one of a terminal."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Yes: this is what run monitoring needs."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Say whether a started run's process is there; Dagster marks the run as failed if not."""
        if dead_runs.is_dead(self._instance, run):
            return CheckRunHealthResult(WorkerStatus.FAILED, dead_runs.explanation())
        return CheckRunHealthResult(WorkerStatus.RUNNING)
