"""How ``dagster.yaml`` queues and watches runs: dead ones take no place in the queue.

Dagster's defaults notice only what dies while ``dagster dev`` goes on. Its monitoring asks the run
launcher whether a run's process is there, and the default launcher cannot say; the one below can.
"""

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.run_coordinator.queued_run_coordinator import RunQueueConfig

from din_assets.runs import dead_runs


class RunQueue(dg.QueuedRunCoordinator):
    """Dagster's queue; a run that joins it finds no dead run ahead of it."""

    def submit_run(self, context: dg.SubmitRunContext) -> dg.DagsterRun:
        """Mark dead runs as failed, then let the run join the queue."""
        dead_runs.mark_failed(self._instance)
        return super().submit_run(context)

    def get_run_queue_config(self) -> RunQueueConfig:
        """Mark dead runs as failed, then say how long the queue is.

        The daemon asks this whenever it looks for runs to start. Its monitoring comes to runs that
        are starting only after ``start_timeout_seconds``.
        """
        if self.has_instance:
            dead_runs.mark_failed(self._instance)
        return super().get_run_queue_config()


class WatchedRuns(dg.DefaultRunLauncher):
    """Dagster's launcher, which run monitoring can ask about a run, also one of a terminal."""

    def launch_run(self, context: LaunchRunContext) -> None:
        """Launch a run, and show its sign of life until its own process does."""
        dead_runs.take_over(self._instance)
        run_id = context.dagster_run.run_id
        dead_runs.show_sign(self._instance, run_id)
        try:
            super().launch_run(context)
        except BaseException:
            dead_runs.take_sign_away(self._instance, run_id)
            raise

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Yes: this is what run monitoring needs."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Say whether a started run's process is there; Dagster marks the run as failed if not."""
        if dead_runs.is_dead(self._instance, run):
            return CheckRunHealthResult(WorkerStatus.FAILED, dead_runs.explanation())
        return CheckRunHealthResult(WorkerStatus.RUNNING)
