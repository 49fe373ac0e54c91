"""Make what changed and nothing else, and say what was done and why.

An asset is made again when something in it or in what it is made from changed (:mod:`changes`).
Because a data version is the hash of the content alone, a result that comes out the same stops the
change there: nothing below it is made but the published copy, which carries the record of it.

Steps that are certain to be made go into one run of Dagster; a step that hangs on the content of
another has to wait for it.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import dagster as dg

from din_assets.command.changes import (
    State,
    inputs_of,
    own_reasons,
    read_state,
    reasons_of_inputs,
    reasons_of_made_inputs,
)
from din_assets.definitions import build_defs
from din_assets.making import acceptance
from din_assets.runs import choices, paths
from din_assets.runs.last_run import Options, Settled
from din_assets.runs.resources import HeldStore, StoreResource
from din_assets.starting import refresh_config, run_start
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


def refresh(
    instance: dg.DagsterInstance | None,
    *,
    run_config: RunConfig,
    keeps_others: bool = False,
    named: str | None = None,
    everything: bool = False,
    dry_run: bool = False,
    on_wait: Callable[[str], object] = lambda _: None,
    on_note: Callable[[str], object] = lambda _: None,
) -> Iterator[Decision]:
    """Make again what changed and yield each decision as soon as it is carried out.

    It holds the run's lock from its first step to its last, so that of several the second finds
    done what the first did, and no run changes what was decided on.

    Args:
        instance: Where the runs are recorded; None records them nowhere, as a dry run wants it.
        run_config: Run configuration as ``-c`` takes it; where it names no step, the options are
            those of the last run.
        keeps_others: Whether the steps that it does not name keep the options of the last run, also
            where it names some.
        named: The source, as an absolute path or glob or ``synthetic``. By default what DIN_CSV
            names, then the source of the last run.
        everything: Make all of it, changed or not.
        dry_run: Decide, but change nothing: what killed runs left behind stays, too. What a change
            would do further down is then unknown, so everything below a step that would be made is
            listed as well.
        on_wait: Told for whom one waits where a run is under way.
        on_note: Told which source and whose options it goes by.

    Raises:
        refresh_config.RunConfigError: The configuration is wrong.
        choices.ChoicesError: It is unclear what is to be read.
        OptionsError: An option does not go with the log that was read before.
        SourceError: What is to be read is not there, or cannot be.
        RefreshFailedError: A step failed.
    """
    definitions = build_defs()
    refresh_config.check(run_config, definitions.resolve_job_def("all_assets"))
    resource = StoreResource(**refresh_config.config_of(run_config, "resources", "store"))
    settle = functools.partial(_settle, run_config, keeps_others, named, resource)
    # Once before the lock: nobody should wait for another run to hear of a file that is not there.
    settle(None)
    steps = _steps(definitions)
    if dry_run and not resource.pipeline_path.is_file():
        for step in steps:
            yield Decision(_assets(step), ("never made",), "would be made")
        return
    with resource.locked("din run", read_only=dry_run, on_wait=on_wait, on_note=on_note):
        state = read_state(resource)
        recorded = state.made.get(choices.SOURCE_STEP)
        settled, notes = settle(recorded and recorded.options)
        for note in notes:
            on_note(note)
        one_pass = _Pass(
            _job_going_by(settled), instance, resource, run_config, settled, everything
        )
        decisions = one_pass.plan(steps, state) if dry_run else one_pass.carry_out(steps, state)
        for decision in decisions:
            if choices.SOURCE_STEP in decision.assets and not decision.reasons:
                # Otherwise the step that reads the source does.
                with resource.connection(read_only=True) as con:
                    acceptance.hold_against_log(con, settled, on_note)
                if not dry_run:
                    settled.remember()
            yield decision


def _settle(
    run_config: RunConfig,
    keeps_others: bool,
    named: str | None,
    resource: StoreResource,
    recorded: choices.Options | None,
) -> tuple[Settled, list[str]]:
    """Decide what is gone by, and say where it comes from."""
    asked = choices.of_run(run_config, resource.folder, keeps_others=keeps_others)
    refresh_config.check_remembered(asked)
    by = "DIN_CSV" if named is None else "the command line"
    source = asked.source(named or paths.source_csv(), recorded, by=by)
    run_start.refuse_missing(source)
    notes = [f"source: {source.name} ({source.origin})", *source.warnings]
    if kept := asked.remembered_steps():
        notes.append(f"options of the last run ({asked.place}): {', '.join(sorted(kept))}")
    return asked.settled(source, lambda _: True), notes


def _job_going_by(settled: Settled) -> dg.JobDefinition:
    definitions = build_defs(resource_overrides={"store": HeldStore.going_by(settled)})
    return definitions.resolve_job_def("all_assets")


@dataclass(frozen=True)
class _Pass:
    """One pass over the steps, from the source down."""

    job: dg.JobDefinition
    instance: dg.DagsterInstance | None
    resource: StoreResource
    asked: RunConfig
    settled: Settled
    everything: bool
    _own: dict[str, tuple[Options, list[str]]] = field(
        default_factory=dict[str, "tuple[Options, list[str]]"]
    )

    @property
    def run_config(self) -> RunConfig:
        """The run configuration with the source and all options spelled out, as they are by now."""
        ops = {step: {"config": dict(config)} for step, config in self.settled.options.items()}
        return {**self.asked, "ops": ops}

    def plan(self, steps: Sequence[dg.AssetsDefinition], state: State) -> Iterator[Decision]:
        """Decide, and make nothing."""
        dirty: set[str] = set()
        for step in steps:
            reasons = self._certain(step, state) + self._of_inputs(step, state, dirty)
            if reasons:
                dirty.update(_assets(step))
            outcome = "would be made" if reasons else "up to date"
            yield Decision(_assets(step), tuple(dict.fromkeys(reasons)), outcome)

    def carry_out(self, steps: Sequence[dg.AssetsDefinition], state: State) -> Iterator[Decision]:
        """Make what has to be made, and decide on the next step by what came out."""
        waiting = list(steps)
        while waiting:
            step = waiting.pop(0)
            reasons = self._certain(step, state) + self._of_inputs(step, state)
            if not reasons:
                yield Decision(_assets(step), (), "up to date")
                continue
            together = {step.op.name: tuple(dict.fromkeys(reasons))}
            batch = [step]
            # What hangs on a step that is not decided yet cannot be made before that one.
            undecided: set[str] = set()
            for other in list(waiting):
                certain = self._certain_beside(batch, other, state)
                if not certain or undecided & _inputs(other):
                    undecided.update(_assets(other))
                    continue
                waiting.remove(other)
                batch.append(other)
                together[other.op.name] = tuple(dict.fromkeys(certain))
            before = state
            seconds, run_id = self._run(batch, together)
            state = read_state(self.resource)
            for made in batch:
                if made.op.name in seconds:
                    yield Decision(
                        _assets(made),
                        together[made.op.name],
                        _outcome(made, before, state),
                        seconds[made.op.name],
                    )
            if failed := [made for made in batch if made.op.name not in seconds]:
                raise RefreshFailedError(
                    f"{', '.join(_assets(failed[0]))} failed in run {run_id}; the log above says "
                    "why, and what was made before it stays"
                )

    def _certain(self, step: dg.AssetsDefinition, state: State) -> list[str]:
        """Reasons that no other step can give or take away.

        Looked for once, since every byte of an artifact is read for them, and again where options
        were forgotten since.
        """
        if self.everything:
            return ["asked for"]
        name = step.op.name
        options = self.settled.options.get(name, {})
        if name not in self._own or self._own[name][0] != options:
            reasons = [
                reason
                for asset in _assets(step)
                for reason in own_reasons(step, asset, state, self.run_config, self.resource)
            ]
            self._own[name] = options, reasons
        return self._own[name][1]

    def _certain_beside(
        self, batch: Sequence[dg.AssetsDefinition], step: dg.AssetsDefinition, state: State
    ) -> list[str]:
        """Reasons to make a step that no step of a batch can take away, however it comes out."""
        unmade = {asset for made in batch for asset in _assets(made)}
        return self._certain(step, state) + [
            reason
            for asset in _assets(step)
            for reason in reasons_of_made_inputs(step, asset, state, unmade)
        ]

    def _of_inputs(
        self, step: dg.AssetsDefinition, state: State, dirty: set[str] | None = None
    ) -> list[str]:
        return [
            reason
            for asset in _assets(step)
            for reason in reasons_of_inputs(step, asset, state, dirty or ())
        ]

    def _run(
        self, batch: Sequence[dg.AssetsDefinition], reasons: dict[str, tuple[str, ...]]
    ) -> tuple[dict[str, float], str]:
        """Make some steps in one run; return the seconds of those that came to an end."""
        said = "; ".join(dict.fromkeys(each for step in reasons.values() for each in step))
        result = self.job.execute_in_process(
            asset_selection=[dg.AssetKey(asset) for step in batch for asset in _assets(step)],
            run_config=refresh_config.for_steps(self.run_config, [step.op.name for step in batch]),
            instance=self.instance,
            tags={"din/reasons": said[:250]},
            raise_on_error=False,
        )
        seconds = {
            event.step_key: event.step_success_data.duration_ms / 1000
            for event in result.all_events
            if event.is_step_success and event.step_key is not None
        }
        return seconds, result.run_id


def _steps(definitions: dg.Definitions) -> list[dg.AssetsDefinition]:
    """Return the steps in an order that respects the assets' dependencies."""
    graph = definitions.resolve_asset_graph()
    steps: dict[str, dg.AssetsDefinition] = {}
    for key in graph.toposorted_asset_keys:
        if graph.get(key).is_materializable:
            definition = definitions.resolve_assets_def(key)
            steps.setdefault(definition.op.name, definition)
    return list(steps.values())


def _assets(step: dg.AssetsDefinition) -> tuple[str, ...]:
    return tuple(sorted(key.to_user_string() for key in step.keys))


def _inputs(step: dg.AssetsDefinition) -> set[str]:
    return {dep for asset in _assets(step) for dep in inputs_of(step, asset)}


def _outcome(step: dg.AssetsDefinition, before: State, after: State) -> str:
    was = [before.made[asset].data_version for asset in _assets(step) if asset in before.made]
    now = [after.made[asset].data_version for asset in _assets(step)]
    return "made, same content" if was == now else "made, new content"
