"""Make what changed and nothing else, and say what was done and why.

An asset is made again when something in it or in what it is made from changed (:mod:`changes`).
Because a data version is the hash of the content alone, a result that comes out the same stops the
change there: nothing below it is made but the published copy, which carries the record of it.

All of it is one run of Dagster (docs/adr/0028-one-run.md). It has the steps that may have to be
made; each is decided on when all that it is made from has come out, and skipped where it is spared.
"""

import functools
from collections.abc import Callable, Iterator, Mapping

import dagster as dg

from din_assets import jobs
from din_assets.command.changes import read_state
from din_assets.command.one_pass import Decision, Pass, RefreshFailedError, assets_of, name_of_step
from din_assets.definitions import alone, build_defs, of_project
from din_assets.making import acceptance
from din_assets.names import STORE, Names
from din_assets.runs import choices, folders, paths
from din_assets.runs.last_run import Settled
from din_assets.runs.resources import HeldStore, StoreResource
from din_assets.starting import refresh_config, run_start
from din_assets.starting.refresh_config import RunConfig

__all__ = ["Decision", "RefreshFailedError", "refresh"]


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
    names = folders.current_names()
    store = HeldStore.of_its_own()
    definitions = _definitions({STORE: store})
    job = _job(definitions, names)
    refresh_config.check(run_config, job, names)
    resource = StoreResource(**refresh_config.config_of(run_config, "resources", "store"))
    settle = functools.partial(_settle, run_config, keeps_others, named, resource)
    # Once before the lock: nobody should wait for another run to hear of a file that is not there.
    settle(None)
    steps = _steps(definitions)
    if dry_run and not resource.pipeline_path.is_file():
        for step in steps:
            yield Decision(assets_of(step), ("never made",), "would be made")
        return
    with resource.locked("din run", read_only=dry_run, on_wait=on_wait, on_note=on_note):
        state = read_state(resource)
        recorded = state.made.get(choices.SOURCE_STEP)
        settled, notes = settle(recorded and recorded.options)
        for note in notes:
            on_note(note)
        store.go_by(settled)
        one_pass = Pass(job, names, instance, resource, run_config, settled, everything)
        if not one_pass.reads_source(steps, state):
            # Otherwise the step that reads the source does.
            with resource.connection(read_only=True) as con:
                acceptance.hold_against_log(con, settled, on_note)
            if not dry_run:
                settled.remember()
        yield from one_pass.plan(steps, state) if dry_run else one_pass.carry_out(steps, state)


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
    by = "DIN_CSV" if named is None else choices.COMMAND_LINE
    source = asked.source(named or paths.source_csv(), recorded, by=by)
    run_start.refuse_missing(source)
    notes = [f"source: {source.name} ({source.origin})", *source.warnings]
    if kept := asked.remembered_steps():
        notes.append(f"options of the last run ({asked.place}): {', '.join(sorted(kept))}")
    return asked.settled(source, lambda _: True), notes


def _definitions(resource_overrides: Mapping[str, StoreResource]) -> dg.Definitions:
    """Those of the project, as the UI shows them."""
    return alone(build_defs(**of_project(), resource_overrides=resource_overrides))


def _job(definitions: dg.Definitions, names: Names) -> dg.JobDefinition:
    return definitions.resolve_job_def(names.identifier(jobs.FULL_RUN))


def _steps(definitions: dg.Definitions) -> list[dg.AssetsDefinition]:
    """Return the steps in an order that respects the assets' dependencies."""
    graph = definitions.resolve_asset_graph()
    steps: dict[str, dg.AssetsDefinition] = {}
    for key in graph.toposorted_asset_keys:
        if graph.get(key).is_materializable:
            definition = definitions.resolve_assets_def(key)
            steps.setdefault(name_of_step(definition), definition)
    return list(steps.values())
