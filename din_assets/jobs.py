"""Jobs: what is run together, from the UI, by a schedule or by the command line."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import dagster as dg

from din_assets.assets.catalogue import ASSETS
from din_assets.making import preset_files
from din_assets.names import Names, name_of
from din_assets.runs import executor

FULL_RUN = "full_run"
_ORDER = "the source and the options are those of the last run where none are given"

#: The preset that a run was started with; the steps that it does not name keep their options.
PRESET_TAG = preset_files.TAG


class _Part(NamedTuple):
    tag: str
    groups: tuple[str, ...]
    description: str


#: The part of the road that each of the smaller jobs makes, its groups, and what it is for.
_PARTS: Mapping[str, _Part] = {
    "data_only": _Part(
        "data",
        ("ingest", "sequences"),
        "Read the log and make the tables up to the samples; no model is trained, nothing "
        "published.",
    ),
    "train_only": _Part(
        "training",
        ("training",),
        "Train the model on the samples that there are. Figures, bundle and published database "
        "stay those of the model before, until `evaluate` and `publish` have run.",
    ),
    "evaluate": _Part(
        "evaluation",
        ("evaluation",),
        "Ask the latest model about the test split: figures with intervals, ranks, explanations.",
    ),
    "publish": _Part(
        "delivery",
        ("delivery",),
        "Export the latest model, make its bundle and its pictures, and publish the "
        "database for analysts.",
    ),
}


@functools.cache
def full_run(names: Names) -> Any:
    """Return the whole road, from the source to the published database.

    It is one object for each log: Dagster takes a second one of that name for another job.

    Args:
        names: What Dagster calls the assets.
    """
    return _job(
        FULL_RUN,
        names,
        _ours(names),
        "From the raw log to the trained model, its figures, the bundle and the database for "
        f"analysts; {_ORDER}. `din run` makes of it only what changed.",
    )


def jobs(names: Names) -> list[Any]:
    """Return all jobs of a log; those of a preset open with its options filled in.

    Args:
        names: What Dagster calls the assets.
    """
    ours = _ours(names)
    parts = [
        _job(name, names, ours & _groups(names, part.groups), part.description, part=part.tag)
        for name, part in _PARTS.items()
    ]
    of_presets = [
        _job(
            f"{FULL_RUN}_{preset}",
            names,
            ours,
            f"{FULL_RUN} with the preset `{preset}`: {preset_files.says(preset)} Steps that it "
            "does not name keep the options of the last run.",
            config=names.in_dagster(preset_files.read(preset)),
            tags={PRESET_TAG: preset},
        )
        for preset in preset_files.names()
    ]
    return [full_run(names), *parts, *of_presets]


def _ours(names: Names) -> dg.AssetSelection:
    """What can be made, by key: beside it there may be assets of others."""
    made = [
        names.key(name_of(key))
        for asset in ASSETS
        if isinstance(asset, dg.AssetsDefinition) and asset.is_materializable
        for key in asset.keys
    ]
    return dg.AssetSelection.assets(*made)


def _groups(names: Names, groups: tuple[str, ...]) -> dg.AssetSelection:
    return dg.AssetSelection.groups(*map(names.group, groups))


def _job(
    name: str,
    names: Names,
    selection: dg.AssetSelection,
    description: str,
    *,
    part: str = "everything",
    config: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
) -> Any:
    return dg.define_asset_job(
        names.identifier(name),
        selection=selection,
        description=description,
        config=config,
        tags={"din/part": part, **(tags or {})},
        executor_def=executor.in_process,
    )
