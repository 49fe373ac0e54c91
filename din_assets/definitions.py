"""The code location: everything put together, nothing else."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from din_assets import jobs
from din_assets.assets.catalogue import ASSETS
from din_assets.assets.source import interactions_csv
from din_assets.automation import changed_source, daily, freshness, new_files
from din_assets.runs import console, executor
from din_assets.runs.resources import StoreResource
from din_assets.starting import uncaught
from din_assets.starting.run_start import RunStore


def build_defs(*, resource_overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """Put the assets, jobs and resources together.

    Args:
        resource_overrides: Resources that take the place of the defaults, as a test wants them.

    Returns:
        The definitions. Steps run one after another in one process: the database has one writer,
        and torch is imported once.
    """
    console.use_by_default()
    uncaught.explain_uncaught()
    resources = {"store": RunStore(), **(resource_overrides or {})}
    store = resources["store"]
    assets = changed_source.with_conditions(ASSETS, interactions_csv)
    return dg.Definitions(
        assets=freshness.with_freshness(assets, freshness.fresh_within()),
        jobs=jobs.ALL,
        schedules=[daily.daily_full_run],
        sensors=[
            changed_source.sensor(assets),
            *([new_files.sensor(store)] if isinstance(store, StoreResource) else []),
        ],
        resources=resources,
        executor=executor.in_process,
        loggers={"console": console.console_logger},
    )


defs = build_defs()
