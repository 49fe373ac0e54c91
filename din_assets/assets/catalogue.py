"""All assets of the pipeline, and the names of the steps that make them."""

import dagster as dg

from din_assets.assets import (
    delivery,
    drift,
    evaluation,
    evidence,
    explanations,
    ingest,
    publication,
    sequences,
    source,
    training,
)
from din_assets.making.code_references import with_references
from din_assets.names import name_of
from din_core.tables.lineage import lineage

_MADE = dg.load_assets_from_modules(
    [
        ingest,
        drift,
        sequences,
        training,
        evaluation,
        explanations,
        delivery,
        publication,
    ]
)
_KEYS = [
    name_of(key) for asset in _MADE if isinstance(asset, dg.AssetsDefinition) for key in asset.keys
]

#: The log itself, which is observed: no step makes it, and no run configuration names it.
OBSERVED = [source.interactions_csv]

#: What takes hours and is made by name only, in a code location of its own.
EVIDENCE = [with_references(evidence.ablation)]

#: All other assets, the published copy of their tables among them. What evidence there is goes into
#: the copy, so that a new one makes the copy outdated. Here it is shown, and cannot be made. So
#: what it reads waits for nothing, and is drawn where it is made: drawn here, it came first in
#: Dagster's layout of the groups and bent it until their lines crossed.
ASSETS = [
    *OBSERVED,
    *map(with_references, _MADE),
    with_references(delivery.published_warehouse([*_KEYS, *(each.op.name for each in EVIDENCE)])),
    *(spec.replace_attributes(deps=[]) for each in EVIDENCE for spec in each.specs),
]

#: The steps of the job, each with what it makes: an asset, or assets that are made together.
MADE_BY = {
    asset.op.name: asset.keys
    for asset in [*ASSETS, *EVIDENCE]
    if isinstance(asset, dg.AssetsDefinition) and asset.is_materializable
}
STEPS = [*MADE_BY]

lineage().require_assets([*_KEYS, *(each.op.name for each in EVIDENCE), "warehouse"])
