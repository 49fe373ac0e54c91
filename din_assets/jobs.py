"""Jobs: what is run together, from the UI, by a schedule or by the command line."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from din_assets.making import preset_files

FULL_RUN = "full_run"
_ORDER = "the source and the options are those of the last run where none are given"

#: The preset that a run was started with; the steps that it does not name keep their options.
PRESET_TAG = preset_files.TAG


def _job(
    name: str,
    selection: dg.AssetSelection,
    description: str,
    *,
    part: str,
    config: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
) -> Any:
    return dg.define_asset_job(
        name,
        selection=selection,
        description=description,
        config=config,
        tags={"din/part": part, **(tags or {})},
    )


_GROUPS = dg.AssetSelection.groups

#: The whole road, from the source to the published database.
full_run = _job(
    FULL_RUN,
    dg.AssetSelection.all(),
    "From the raw log to the trained model, its figures, the bundle and the database for analysts; "
    f"{_ORDER}. `din run` makes of it only what changed.",
    part="everything",
)
data_only = _job(
    "data_only",
    _GROUPS("ingest", "sequences"),
    "Read the log and make the tables up to the samples; no model is trained, nothing published.",
    part="data",
)
train_only = _job(
    "train_only",
    _GROUPS("training"),
    "Train the model on the samples that there are. Figures, bundle and published database stay "
    "those of the model before, until `evaluate` and `publish` have run.",
    part="training",
)
evaluate = _job(
    "evaluate",
    _GROUPS("evaluation"),
    "Ask the current model about the test split: figures with intervals, ranks, explanations.",
    part="evaluation",
)
publish = _job(
    "publish",
    _GROUPS("delivery"),
    "Export the current model, make its bundle and its pictures, and publish the database for "
    "analysts.",
    part="delivery",
)

#: A job for each preset: its launchpad opens with the preset's options filled in.
of_presets = [
    _job(
        f"{FULL_RUN}_{name}",
        dg.AssetSelection.all(),
        f"{FULL_RUN} with the preset `{name}`: {preset_files.says(name)} Steps that it does not "
        "name keep the options of the last run.",
        part="everything",
        config=preset_files.read(name),
        tags={PRESET_TAG: name},
    )
    for name in preset_files.names()
]

ALL = [full_run, data_only, train_only, evaluate, publish, *of_presets]
