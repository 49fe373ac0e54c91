"""All assets of the pipeline, and the names of the steps that make them."""

import dagster as dg

from din_assets.assets import delivery, evaluation, explanations, ingest, sequences, training
from din_core.tables.lineage import lineage

_MADE = dg.load_assets_from_modules(
    [ingest, sequences, training, evaluation, explanations, delivery]
)
_KEYS = [
    key.to_user_string()
    for asset in _MADE
    if isinstance(asset, dg.AssetsDefinition)
    for key in asset.keys
]

#: All assets, the published copy of their tables among them.
ASSETS = [*_MADE, delivery.published_warehouse(_KEYS)]

#: The steps of the job: each an asset, or assets that are made together.
STEPS = [asset.op.name for asset in ASSETS if isinstance(asset, dg.AssetsDefinition)]

lineage().require_assets([*_KEYS, "warehouse"])
