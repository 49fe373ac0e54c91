"""The code location: everything put together, nothing else."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from din_assets import delivery, evaluation, ingest, jobs, sequences, training
from din_assets.console import console_logger
from din_assets.resources import WarehouseResource

_MADE = dg.load_assets_from_modules([ingest, sequences, training, evaluation, delivery])
_KEYS = [
    key.to_user_string()
    for asset in _MADE
    if isinstance(asset, dg.AssetsDefinition)
    for key in asset.keys
]
_ASSETS = [*_MADE, delivery.published_warehouse(_KEYS)]

#: The steps of the job: each an asset, or assets that are made together.
STEPS = [asset.op.name for asset in _ASSETS if isinstance(asset, dg.AssetsDefinition)]


def build_defs(*, resource_overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """Put the assets, jobs and resources together.

    Args:
        resource_overrides: Resources that take the place of the defaults, as a test wants them.

    Returns:
        The definitions. Steps run one after another in one process: the database has one writer,
        and torch is imported once.
    """
    return dg.Definitions(
        assets=_ASSETS,
        jobs=[jobs.all_assets],
        resources={"warehouse": WarehouseResource(), **(resource_overrides or {})},
        executor=dg.in_process_executor,
        loggers={"console": console_logger},
    )


defs = build_defs()
