"""The code location: everything put together, nothing else."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from din_assets import jobs
from din_assets.assets.catalogue import ASSETS
from din_assets.assets.ingest import SOURCE
from din_assets.automation import changed_source, daily, freshness, new_files
from din_assets.making.placing import placed
from din_assets.names import STORE, Names
from din_assets.runs import console, executor, folders, garbage
from din_assets.runs.folders import project_of
from din_assets.runs.resources import StoreResource
from din_assets.starting import uncaught
from din_assets.starting.run_start import RunStore

__all__ = ["alone", "build_defs", "defs", "of_project", "project_of"]


def build_defs(
    *,
    prefix: str | Sequence[str] | None = None,
    group_prefix: str | None = None,
    home: str | os.PathLike[str] | None = None,
    resource_overrides: Mapping[str, Any] | None = None,
) -> dg.Definitions:
    """Put the assets, jobs and resources of one log together.

    They stand beside those of others: ``dg.Definitions.merge(yours, build_defs(prefix="clicks"))``.
    Of two logs in a code location each has a prefix and a home of its own.

    Args:
        prefix: What the keys of the assets begin with, and with ``__`` behind it the names of
            steps, jobs and the resource: ``clicks``, or ``team/clicks``. None for none.
        group_prefix: What the names of the groups begin with, followed by ``_``. None for none.
        home: Folder of all results; a relative one starts at the project's root. By default what
            ``DIN_HOME`` names, then that of the project, then ``data``; for a prefix that is not
            the project's a folder of that name in it, so that two logs never share one.
        resource_overrides: Resources that take the place of the defaults, by name, as a test wants
            them.

    Returns:
        The definitions. They bring no executor and no logger, which a code location has one of: see
        :func:`alone`. The jobs among them run their steps one after another in one process.

    Raises:
        PrefixError: A prefix cannot be one.
    """
    names = Names.below(prefix, group_prefix)
    resources = {STORE: store_of(names, home), **(resource_overrides or {})}
    store = resources[STORE]
    assets = changed_source.with_conditions(placed(ASSETS, names), names.key(SOURCE))
    return dg.Definitions(
        assets=freshness.with_freshness(assets, freshness.fresh_within()),
        jobs=jobs.jobs(names),
        schedules=[daily.schedule(names)],
        sensors=[
            changed_source.sensor(assets, names),
            *([new_files.sensor(store, names)] if isinstance(store, StoreResource) else []),
        ],
        resources={names.identifier(name): made for name, made in resources.items()},
    )


def store_of(names: Names, home: str | os.PathLike[str] | None) -> RunStore:
    """Return the store of a log; arguments as of :func:`build_defs`."""
    if home is None and names.prefix not in ((), folders.current_names().prefix):
        home = folders.home().joinpath(*names.prefix)
    store = RunStore.below(names)
    return store() if home is None else store(home=os.fspath(home))


def alone(definitions: dg.Definitions) -> dg.Definitions:
    """Make a code location of :func:`build_defs` alone, without assets of others.

    Steps run one after another in one process, also those of a run without a job: the database has
    one writer, and torch is imported once. A terminal shows failures as sentences. The
    process looks for garbage less often, and not when it ends.

    Args:
        definitions: What it has.
    """
    garbage.collect_seldom()
    garbage.leave_at_end()
    console.use_by_default()
    uncaught.explain_uncaught()
    return dg.Definitions.merge(
        definitions,
        dg.Definitions(executor=executor.in_process, loggers={"console": console.console_logger}),
    )


def of_project() -> dict[str, Any]:
    """Return what :func:`build_defs` takes for the project of the working directory."""
    project = folders.current_project()
    if project is None:
        return {}
    return {"prefix": project.prefix, "group_prefix": project.group_prefix}


@dg.definitions
def defs() -> dg.Definitions:
    """Return the code location of the project that the working directory lies in."""
    return alone(build_defs(**of_project()))
