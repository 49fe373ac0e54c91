"""What of a run is ours: its steps and its configuration, told from those of others beside us."""

from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg

from din_assets.assets import catalogue
from din_assets.names import Names
from din_assets.starting.refresh_config import RunConfig, RunConfigError

_OBSERVED = frozenset(asset.op.name for asset in catalogue.OBSERVED)
_OURS = _OBSERVED.union(catalogue.STEPS)


@dataclass(frozen=True)
class OwnPart:
    """What of a run is ours.

    Attributes:
        config: Its configuration, with steps by name.
        steps: Its steps, by name.
        tags: Its tags.
    """

    config: RunConfig
    steps: frozenset[str]
    tags: Mapping[str, str]

    @property
    def only_looks(self) -> bool:
        """Whether it does nothing but observe the source."""
        return bool(self.steps) and self.steps <= _OBSERVED

    def has_step(self, step: str) -> bool:
        """Say whether a step is one of the run's."""
        return step in self.steps


def own_part(run: dg.DagsterRun, instance: dg.DagsterInstance, names: Names) -> OwnPart:
    """Return what of a run is ours.

    Args:
        run: The run.
        instance: Where it is recorded.
        names: What Dagster calls our assets in it.

    Raises:
        RunConfigError: It gives options to a step of ours by a name that the step does not have
            here. Dagster passes over it, and the run would go by other options.
    """
    # Its plan, since a selection says nothing where the run's job has some of the steps only.
    plan = run.execution_plan_snapshot_id
    made = (
        {*instance.get_execution_plan_snapshot(plan).step_keys_to_execute}
        if plan is not None
        else {names.identifier(step) for step in catalogue.STEPS}
    )
    steps = frozenset(step for step in _OURS if names.identifier(step) in made)
    return OwnPart(_own_config(run, instance, names), steps, run.tags)


def _own_config(run: dg.DagsterRun, instance: dg.DagsterInstance, names: Names) -> RunConfig:
    given = names.own(run.run_config)
    ops = run.run_config.get("ops")
    if not isinstance(ops, Mapping):
        return given
    unknown = [name for name in ops if (name in catalogue.STEPS) == bool(names.prefix)]
    others = _steps_of_job(run, instance) if unknown else frozenset[str]()
    if names.prefix:
        for name in unknown:
            if name not in others:
                raise RunConfigError(
                    f"ops: there is no step '{name}'; it is called '{names.identifier(name)}' here"
                )
        return given
    return {**given, "ops": {name: ops[name] for name in ops if name not in {*unknown} & others}}


def _steps_of_job(run: dg.DagsterRun, instance: dg.DagsterInstance) -> frozenset[str]:
    job = run.job_snapshot_id
    return frozenset() if job is None else frozenset(instance.get_job_snapshot(job).node_names)
