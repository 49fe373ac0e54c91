"""Re-materialize only what changed, layer by layer, and say what was done and why.

An asset is made again when it is missing, when its code, its options or its source changed, or when
the content of something it is made from changed. Because a data version is the hash of the content
alone, a result that comes out the same stops the change there: nothing below it is touched.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from din_assets import ingest, sequences, training
from din_assets.definitions import build_defs
from din_assets.resources import WarehouseResource
from din_core import ledger

RunConfig = Mapping[str, Any]


@dataclass(frozen=True)
class Decision:
    """What was decided about one step: an asset, or assets that are made together.

    Attributes:
        assets: The assets.
        reasons: Why they were made again; none where they were left alone.
        outcome: ``up to date``, ``made, same content``, ``made, new content`` or ``would be made``.
        seconds: Time it took.
    """

    assets: tuple[str, ...]
    reasons: tuple[str, ...]
    outcome: str
    seconds: float = 0.0


class RefreshFailedError(RuntimeError):
    """A step failed; what was made before it stays."""


def refresh(
    instance: dg.DagsterInstance, *, run_config: RunConfig, dry_run: bool = False
) -> Iterator[Decision]:
    """Make again what changed and yield each decision as soon as it is carried out.

    Args:
        instance: Where the runs are recorded.
        run_config: Run configuration as ``-c`` takes it.
        dry_run: Decide, but make nothing. What a change would do further down is then unknown, so
            everything below a step that would be made is listed as well.

    Raises:
        RefreshFailedError: A step failed.
    """
    definitions = build_defs()
    job = definitions.resolve_job_def("all_assets")
    resource = WarehouseResource(**_config_of(run_config, "resources", "warehouse"))
    dirty: set[str] = set()
    for assets in _steps(definitions):
        before = _ledger(resource)
        definition = definitions.resolve_assets_def(assets[0])
        reasons = tuple(
            dict.fromkeys(
                reason
                for asset in assets
                for reason in _reasons(definition, asset, before, run_config, resource, dirty)
            )
        )
        if not reasons:
            yield Decision(assets, (), "up to date")
            continue
        if dry_run:
            dirty.update(assets)
            yield Decision(assets, reasons, "would be made")
            continue
        started = time.monotonic()
        result = job.execute_in_process(
            asset_selection=[dg.AssetKey(asset) for asset in assets],
            run_config=_for_step(run_config, definition.op.name),
            instance=instance,
            tags={"din/refresh": "; ".join(reasons)[:250]},
            raise_on_error=False,
        )
        if not result.success:
            raise RefreshFailedError(
                f"{', '.join(assets)} failed in run {result.run_id}; the log above says why, and "
                "what was made before it stays"
            )
        after = _ledger(resource)
        same = all(
            asset in before and before[asset].data_version == after[asset].data_version
            for asset in assets
        )
        yield Decision(
            assets,
            reasons,
            "made, same content" if same else "made, new content",
            time.monotonic() - started,
        )


def _steps(definitions: dg.Definitions) -> list[tuple[str, ...]]:
    """Return the assets in an order that respects their dependencies; made together, together."""
    graph = definitions.resolve_asset_graph()
    steps: dict[str, tuple[str, ...]] = {}
    for key in graph.toposorted_asset_keys:
        if not graph.get(key).is_materializable:
            continue
        definition = definitions.resolve_assets_def(key)
        steps[definition.op.name] = tuple(sorted(k.to_user_string() for k in definition.keys))
    return list(steps.values())


def _reasons(
    definition: dg.AssetsDefinition,
    asset: str,
    made: Mapping[str, ledger.Entry],
    run_config: RunConfig,
    resource: WarehouseResource,
    dirty: set[str],
) -> Iterator[str]:
    entry = made.get(asset)
    if entry is None:
        yield "never made"
        return
    key = dg.AssetKey(asset)
    if entry.code_version != definition.code_versions_by_key[key]:
        yield "code changed"
    current = _options(definition.op.name, run_config)
    for name in sorted({*current, *entry.options}):
        was, now = entry.options.get(name), current.get(name)
        if was != now:
            yield f"{name}: {json.dumps(was)} → {json.dumps(now)}"
    if entry.artifact and not (resource.artifacts_root / entry.artifact).is_dir():
        yield f"artifact {entry.artifact} is gone"
    for dep in sorted(key.to_user_string() for key in definition.asset_deps[key]):
        if dep in dirty:
            yield f"{dep} would be made"
        elif dep in made and entry.inputs.get(dep) != made[dep].data_version:
            yield f"{dep} has new content"
    if definition.op.name == "interactions":
        config = _config_of(run_config, "ops", "interactions", "config")
        now = ingest.source_fingerprint(ingest.InteractionsConfig(**config), resource.folder)
        if now is not None and entry.inputs.get(ingest.SOURCE) != now:
            yield "the source has new content"
    if asset == "warehouse" and not resource.published_path.is_file():
        yield f"{resource.published_path.name} is gone"


def _options(op_name: str, run_config: RunConfig) -> dict[str, Any]:
    """Return a step's present options, in the form in which the ledger keeps them."""
    config = _config_of(run_config, "ops", op_name, "config")
    if op_name == "interactions":
        options = ingest.recorded_options(ingest.InteractionsConfig(**config))
    elif op_name == "din_model":
        options = training.DinModelConfig(**config).model_dump()
    elif op_name in sequences.CONFIG_CLASSES:
        options = sequences.CONFIG_CLASSES[op_name](**config).model_dump()
    else:
        options = {}
    return json.loads(json.dumps(options))


def _for_step(run_config: RunConfig, op_name: str) -> dict[str, Any]:
    """Return the part of a run configuration that one step takes."""
    ops = {name: config for name, config in run_config.get("ops", {}).items() if name == op_name}
    return {**run_config, "ops": ops}


def _config_of(run_config: RunConfig, *path: str) -> dict[str, Any]:
    found: Any = run_config
    for part in path:
        found = (found or {}).get(part, {})
    if path[0] == "resources":
        found = (found or {}).get("config", {})
    return dict(found or {})


def _ledger(resource: WarehouseResource) -> dict[str, ledger.Entry]:
    if not resource.pipeline_path.is_file():
        return {}
    with resource.connection() as con:
        return ledger.entries(con)
