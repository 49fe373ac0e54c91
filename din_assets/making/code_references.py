"""Where each asset is written: its SQL files and its Python function, as links on its page.

Open-source Dagster shows them. They are paths of the machine that the code location runs on, in a
checkout as in an installed wheel; no version takes part of them.
"""

import inspect
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar, cast

import dagster as dg

from din_assets.making import versions
from din_assets.names import name_of
from din_core.tables.lineage import lineage

_Asset = TypeVar("_Asset")


def with_references(asset: _Asset) -> _Asset:
    """Return an asset with links to what makes it; what is made elsewhere stays as it is."""
    if not isinstance(asset, dg.AssetsDefinition):
        return asset
    return cast("_Asset", asset.map_asset_specs(_referenced))


def _referenced(spec: dg.AssetSpec) -> dg.AssetSpec:
    name = name_of(spec.key)
    with warnings.catch_warnings():
        # What it warns of, that these may change with a release, is ours to follow.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return spec.merge_attributes(
            metadata={
                "dagster/code_references": dg.CodeReferencesMetadataValue(
                    code_references=[
                        dg.LocalFileCodeReference(
                            file_path=str(path), line_number=line, label=label
                        )
                        for label, path, line in _places(name)
                    ]
                )
            }
        )


def _places(asset: str) -> Iterator[tuple[str, Path, int]]:
    """Yield label, file and line of an asset's SQL, its own table's first, and of its function."""
    files = [file for file in lineage().files_of(asset) if file.head.kind != "check"]
    for file in sorted(files, key=lambda file: file.head.name != asset):
        for path in file.paths:
            yield f"sql/{path.parent.name}/{path.name}", path, 1
    function = versions.function_of(asset)
    if source := inspect.getsourcefile(function):
        path = Path(source)
        yield f"{path.parent.name}/{path.name}", path, function.__code__.co_firstlineno
