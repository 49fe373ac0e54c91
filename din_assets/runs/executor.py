"""How the steps of a run are carried out: one after another, in the run's own process.

Dagster's in-process executor does that; three things are added. A run that is interrupted in the
terminal counts as cancelled, and not as failed. One that is refused before its first step fails
with the sentence that says why. And a step may turn out to be spared once the steps
above it have come out: it is skipped then, and what lies below it goes on.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dagster as dg
from dagster._core.definitions.executor_definition import IN_PROC_CONFIG
from dagster._core.errors import DagsterExecutionInterruptedError, DagsterResourceFunctionError
from dagster._core.events import DagsterEvent
from dagster._core.execution.api import ExecuteRunWithPlanIterable
from dagster._core.execution.context.system import PlanExecutionContext, PlanOrchestrationContext
from dagster._core.execution.context_creation_job import PlanExecutionContextManager
from dagster._core.execution.plan.execute_plan import dagster_event_sequence_for_step
from dagster._core.execution.plan.outputs import StepOutputHandle
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.in_process import InProcessExecutor

INTERRUPTED = "Interrupted in the terminal; what was made before it stays."


class InterruptibleExecutor(InProcessExecutor):
    """Dagster's in-process executor; a run that is interrupted is cancelled."""

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[DagsterEvent]:
        """Carry the plan out."""
        try:
            yield from self._events(plan_context, execution_plan)
        except (KeyboardInterrupt, DagsterExecutionInterruptedError):
            # Dagster takes an interruption for a failure unless somebody asked for it.
            run = plan_context.instance.get_run_by_id(plan_context.run_id)
            if run is not None and run.status == dg.DagsterRunStatus.STARTED:
                plan_context.instance.report_run_canceling(run, message=INTERRUPTED)
            raise
        except DagsterResourceFunctionError as error:
            # The run's page shows an error's own message first, and Dagster's says nothing.
            if isinstance(error.user_exception, dg.Failure):
                raise error.user_exception from None
            raise

    def _events(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[DagsterEvent]:
        yield from super().execute(plan_context, execution_plan)


class SparingExecutor(InterruptibleExecutor):
    """Carries out the steps that turn out to be needed when it comes to them.

    What the process writes is left to its terminal: Dagster would copy it to files, by two
    processes a run, and take the terminal away while the steps run.
    """

    def __init__(self, is_needed: Callable[[str], bool]) -> None:
        """Make an executor for one run.

        Args:
            is_needed: Asked for a step, by its key, when all that it waits for has come out. It
                raises DagsterExecutionInterruptedError where the run is to end there.
        """
        super().__init__(retries=RetryMode.ENABLED)
        self._is_needed = is_needed

    def _events(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[DagsterEvent]:
        yield from ExecuteRunWithPlanIterable(
            execution_plan=execution_plan,
            iterator=self._of_steps,
            execution_context_manager=PlanExecutionContextManager(
                job=plan_context.job,
                retry_mode=plan_context.retry_mode,
                execution_plan=execution_plan,
                run_config=plan_context.run_config,
                dagster_run=plan_context.dagster_run,
                instance=plan_context.instance,
                raise_on_error=plan_context.raise_on_error,
                output_capture=plan_context.output_capture,
                step_dependency_config=self.step_dependency_config,
            ),
        )

    def _of_steps(
        self, job_context: PlanExecutionContext, execution_plan: ExecutionPlan
    ) -> Iterator[DagsterEvent]:
        with execution_plan.start(
            retry_mode=job_context.retry_mode,
            step_dependency_config=job_context.step_dependency_config,
        ) as active:
            while not active.is_complete:
                if (step := active.get_next_step()) is None:
                    active.sleep_til_ready()
                    continue
                context = job_context.for_step(step, active.get_known_state())
                if self._is_needed(step.key):
                    for event in dagster_event_sequence_for_step(context):
                        yield event
                        active.handle_event(event)
                else:
                    yield DagsterEvent.step_skipped_event(context)
                    # What is there already is what the steps below wait for.
                    for output in step.step_outputs:
                        active.mark_step_produced_output(StepOutputHandle(step.key, output.name))
                    active.mark_success(step.key)
                active.verify_complete(job_context, step.key)
                yield from active.plan_events_iterator(job_context)


@dg.executor(name="in_process", config_schema=IN_PROC_CONFIG)
def in_process(init_context: dg.InitExecutorContext) -> InterruptibleExecutor:
    """Return the executor of runs that Dagster starts."""
    config: Mapping[str, Any] = init_context.executor_config
    retries = RetryMode.from_config(config["retries"])
    return InterruptibleExecutor(retries=retries or RetryMode.ENABLED)


def sparing(is_needed: Callable[[str], bool]) -> dg.ExecutorDefinition:
    """Return the executor of a run that decides step by step; see :class:`SparingExecutor`."""

    @dg.executor(name="sparing", config_schema=IN_PROC_CONFIG)
    def executor(_: dg.InitExecutorContext) -> SparingExecutor:
        return SparingExecutor(is_needed)

    return executor
