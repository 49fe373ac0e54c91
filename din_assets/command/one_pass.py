"""One pass over the steps: decide on each, and make what has to be made in one run of Dagster.

Which steps the run has is known before it begins: those that may have to be made. Each is decided
on when all that it is made from has come out (docs/adr/0028-one-run.md).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.execution.api import execute_run_iterator

from din_assets.command.changes import State, own_reasons, read_again, reasons_of_inputs
from din_assets.names import Names, name_of, step_of
from din_assets.runs import choices, executor
from din_assets.runs.failures import explanation
from din_assets.runs.last_run import Options, Settled
from din_assets.runs.resources import StoreResource
from din_assets.starting import refresh_config
from din_assets.starting.refresh_config import RunConfig
from din_core.errors import DinError


@dataclass(frozen=True)
class Decision:
    """What was decided about one step: an asset, or assets that are made together.

    Attributes:
        assets: The assets.
        reasons: Why they were made again; none where they were left alone.
        outcome: ``up to date``, ``made, same content``, ``made, new content`` or ``would be made``.
        seconds: Time it took.
    """

    assets: tuple[str, ...]
    reasons: tuple[str, ...]
    outcome: str
    seconds: float = 0.0


class RefreshFailedError(DinError, RuntimeError):
    """A step failed; what was made before it stays."""


@dataclass(frozen=True)
class Pass:
    """One pass over the steps, from the source down."""

    job: dg.JobDefinition
    names: Names
    instance: dg.DagsterInstance | None
    resource: StoreResource
    asked: RunConfig
    settled: Settled
    everything: bool
    _own: dict[str, tuple[tuple[Options, bool], list[str]]] = field(
        default_factory=dict[str, "tuple[tuple[Options, bool], list[str]]"]
    )

    @property
    def run_config(self) -> RunConfig:
        """The run configuration with the source and all options spelled out, as they are by now."""
        ops = {step: {"config": dict(config)} for step, config in self.settled.options.items()}
        return {**self.asked, "ops": ops}

    def reads_source(self, steps: Sequence[dg.AssetsDefinition], state: State) -> bool:
        """Whether the step that reads the source has to be made."""
        reading = [step for step in steps if name_of_step(step) == choices.SOURCE_STEP]
        return any(self.reasons(step, state) for step in reading)

    def plan(self, steps: Sequence[dg.AssetsDefinition], state: State) -> Iterator[Decision]:
        """Decide, and make nothing."""
        dirty: set[str] = set()
        for step in steps:
            reasons = self.reasons(step, state, dirty)
            if reasons:
                dirty.update(assets_of(step))
            outcome = "would be made" if reasons else "up to date"
            yield Decision(assets_of(step), reasons, outcome)

    def carry_out(self, steps: Sequence[dg.AssetsDefinition], state: State) -> Iterator[Decision]:
        """Make what has to be made, in one run, and yield each decision as it falls."""
        wanted: dict[str, dg.AssetsDefinition] = {}
        failed = self._shown_as_failed(steps)
        for step, decision in zip(steps, self.plan(steps, state), strict=True):
            if decision.reasons or failed.intersection(step.keys):
                wanted[name_of_step(step)] = step
            else:
                yield decision
        if wanted:
            yield from _Run(self, wanted, state).decisions()

    def _shown_as_failed(self, steps: Sequence[dg.AssetsDefinition]) -> set[dg.AssetKey]:
        """The assets that the UI shows as failed: the last run that was to make them did.

        One that is up to date all the same, since that run never came to it, is shown so until
        another run has it. There it is skipped.
        """
        if self.instance is None:
            return set()
        records = self.instance.get_asset_records([key for step in steps for key in step.keys])
        entries = [each.asset_entry for each in records]
        unmade = [
            entry
            for entry in entries
            if (made := entry.last_materialization) is None or made.run_id != entry.last_run_id
        ]
        runs = {entry.last_run_id for entry in unmade if entry.last_run_id is not None}
        if not runs:
            return set()
        failed = dg.RunsFilter(run_ids=[*runs], statuses=[dg.DagsterRunStatus.FAILURE])
        ids = {run.run_id for run in self.instance.get_runs(failed)}
        return {entry.asset_key for entry in unmade if entry.last_run_id in ids}

    def reasons(
        self, step: dg.AssetsDefinition, state: State, dirty: Collection[str] = ()
    ) -> tuple[str, ...]:
        """Why a step has to be made; empty where it is up to date."""
        of_inputs = (
            reason
            for asset in assets_of(step)
            for reason in reasons_of_inputs(step, asset, state, dirty)
        )
        return tuple(dict.fromkeys([*self._certain(step, state), *of_inputs]))

    def _certain(self, step: dg.AssetsDefinition, state: State) -> list[str]:
        """Reasons that no other step can give or take away.

        Looked for once, since every byte of an artifact is read for them, and again where options
        were forgotten since, or what was made: another log forgets the ids of the one before.
        """
        if self.everything:
            return ["asked for"]
        name = name_of_step(step)
        is_made = all(asset in state.made for asset in assets_of(step))
        found_for = self.settled.options.get(name, {}), is_made
        if name not in self._own or self._own[name][0] != found_for:
            reasons = [
                reason
                for asset in assets_of(step)
                for reason in own_reasons(step, asset, state, self.run_config, self.resource)
            ]
            self._own[name] = found_for, reasons
        return self._own[name][1]


class _Run:
    """The run of one pass: which steps it has is known before, which of them it needs is not."""

    def __init__(
        self, one_pass: Pass, wanted: Mapping[str, dg.AssetsDefinition], state: State
    ) -> None:
        self._pass = one_pass
        self._wanted = wanted
        self._before = state
        self._is_outdated = False
        self._is_stopped = False
        self._reasons: dict[str, tuple[str, ...]] = {}
        self._made: dict[str, str] = {}
        self._error: DinError | None = None

    def decisions(self) -> Iterator[Decision]:
        """Carry the run out.

        Raises:
            RefreshFailedError: A step failed.
            KeyboardInterrupt: It was interrupted, and counts as cancelled.
        """
        instance = self._pass.instance
        if instance is None:
            raise RuntimeError("a run is recorded somewhere")
        run, events = self._started(instance)
        failures: dict[str, str] = {}
        try:
            for event in events:
                if event.is_step_materialization:
                    made = event.step_materialization_data.materialization
                    self._made[name_of(made.asset_key)] = (made.tags or {})[DATA_VERSION_TAG]
                elif event.is_step_failure or (event.is_run_failure and not failures):
                    failures |= _why(event)
                elif event.is_step_success or event.is_step_skipped:
                    yield self._decision(event)
        except BaseException:
            # Nobody asks for the next step: without an end the run would stay "started".
            self._is_stopped = True
            for _ in events:
                pass
            raise
        if self._error is not None:
            raise self._error
        ended = instance.get_run_by_id(run.run_id)
        if ended is not None and ended.status == dg.DagsterRunStatus.CANCELED:
            raise KeyboardInterrupt
        if failures or ended is None or not ended.is_success:
            raise RefreshFailedError(_told(failures, run.run_id))

    def _started(
        self, instance: dg.DagsterInstance
    ) -> tuple[dg.DagsterRun, Iterator[dg.DagsterEvent]]:
        job = self._pass.job.with_executor_def(executor.sparing(self._is_needed))
        run = instance.create_run_for_job(
            job,
            run_config=self._pass.names.in_dagster(
                refresh_config.for_steps(self._pass.run_config, self._wanted)
            ),
            asset_selection={key for step in self._wanted.values() for key in step.keys},
            tags={**job.run_tags, "din/reasons": self._why_at_all()},
        )
        return run, execute_run_iterator(InMemoryJob(job), run, instance)

    def _why_at_all(self) -> str:
        """What set the run off, for the list of runs: no reason that only follows from others."""
        found = (
            why for step in self._wanted.values() for why in self._pass.reasons(step, self._before)
        )
        return "; ".join(dict.fromkeys(found))[:250] or "shown as failed, and up to date"

    def _is_needed(self, step_key: str) -> bool:
        if self._is_stopped:
            raise DagsterExecutionInterruptedError(executor.INTERRUPTED)
        name = step_of(step_key)
        step = self._wanted[name]
        assets, state = assets_of(step), self._before
        was_made = any(asset in state.made for asset in assets)
        try:
            # What was never made has its reason, whatever came out above it.
            if self._is_outdated and was_made and not self._pass.everything:
                state = read_again(self._pass.resource, assets, self._before)
            self._reasons[name] = self._pass.reasons(step, state)
        except DinError as error:
            self._error = error
            raise
        self._is_outdated |= bool(self._reasons[name])
        return bool(self._reasons[name])

    def _decision(self, event: dg.DagsterEvent) -> Decision:
        name = step_of(event.step_key or "")
        assets = assets_of(self._wanted[name])
        if event.is_step_skipped:
            return Decision(assets, (), "up to date")
        was = [entry and entry.data_version for entry in map(self._before.made.get, assets)]
        now = [self._made.get(asset) for asset in assets]
        outcome = "made, same content" if was == now else "made, new content"
        seconds = event.step_success_data.duration_ms / 1000
        return Decision(assets, self._reasons[name], outcome, seconds)


def _why(event: dg.DagsterEvent) -> dict[str, str]:
    """Why a step failed, or the run where no step did."""
    error: Any = getattr(event.event_specific_data, "error", None)
    sentence = explanation(error)
    if sentence is None and event.is_step_failure:
        sentence = "nobody foresaw this; its stack is above"
    return {step_of(event.step_key or ""): sentence} if sentence else {}


def _told(failures: Mapping[str, str], run_id: str) -> str:
    lines = [f"{step}: {why}" if step else why for step, why in failures.items()]
    return "\n".join(lines or [f"run {run_id} failed; its log says why"])


def assets_of(step: dg.AssetsDefinition) -> tuple[str, ...]:
    """Return the assets of a step, in order."""
    return tuple(sorted(name_of(key) for key in step.keys))


def name_of_step(step: dg.AssetsDefinition) -> str:
    """Return the name of a step."""
    return step_of(step.op.name)
