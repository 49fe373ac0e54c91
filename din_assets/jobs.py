"""Jobs: what is run together, from the UI or by a schedule."""

import dagster as dg

#: The whole road, from the source to the published database.
all_assets = dg.define_asset_job(
    "all_assets",
    selection=dg.AssetSelection.all(),
    description="From the raw log to the trained model, its figures and the published database.",
)
