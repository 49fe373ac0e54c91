"""Re-materialize only what changed, layer by layer, and say what was done and why.

An asset is made again when it is missing, when its code, its options or its source changed, or when
the content of something it is made from changed. Because a data version is the hash of the content
alone, a result that comes out the same stops the change there: nothing below it is touched.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import dagster as dg
import duckdb

from din_assets import ingest, refresh_config
from din_assets.definitions import build_defs
from din_assets.refresh_config import RunConfig
from din_assets.resources import HeldWarehouse, WarehouseResource
from din_core import artifacts, ledger, warehouse
from din_core.warehouse import WarehouseError


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
    instance: dg.DagsterInstance,
    *,
    run_config: RunConfig,
    dry_run: bool = False,
    on_wait: Callable[[str], object] = lambda _: None,
) -> Iterator[Decision]:
    """Make again what changed and yield each decision as soon as it is carried out.

    It holds the run's lock from its first step to its last, so that of several the second finds
    done what the first did, and no run changes what was decided on.

    Args:
        instance: Where the runs are recorded.
        run_config: Run configuration as ``-c`` takes it.
        dry_run: Decide, but make nothing. What a change would do further down is then unknown, so
            everything below a step that would be made is listed as well.
        on_wait: Told for whom one waits where a run is under way.

    Raises:
        refresh_config.RunConfigError: The configuration is wrong.
        RefreshFailedError: A step failed.
    """
    definitions = build_defs(resource_overrides={"warehouse": HeldWarehouse()})
    job = definitions.resolve_job_def("all_assets")
    steps = _steps(definitions)
    op_names = [definitions.resolve_assets_def(assets[0]).op.name for assets in steps]
    refresh_config.check(run_config, job, op_names)
    resource = WarehouseResource(**refresh_config.config_of(run_config, "resources", "warehouse"))
    if dry_run and not resource.pipeline_path.is_file():
        for assets in steps:
            yield Decision(assets, ("never made",), "would be made")
        return
    with resource.locked("din refresh", on_wait=on_wait):
        made = _ledger(resource)
        dirty: set[str] = set()
        for assets in steps:
            definition = definitions.resolve_assets_def(assets[0])
            reasons = tuple(
                dict.fromkeys(
                    reason
                    for asset in assets
                    for reason in _reasons(definition, asset, made, run_config, resource, dirty)
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
                run_config=refresh_config.for_step(run_config, definition.op.name),
                instance=instance,
                tags={"din/refresh": "; ".join(reasons)[:250]},
                raise_on_error=False,
            )
            if not result.success:
                raise RefreshFailedError(
                    f"{', '.join(assets)} failed in run {result.run_id}; the log above says why, "
                    "and what was made before it stays"
                )
            before, made = made, _ledger(resource)
            same = all(
                asset in before and before[asset].data_version == made[asset].data_version
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
    current = refresh_config.options(definition.op.name, run_config)
    for name in sorted({*current, *entry.options}):
        was, now = entry.options.get(name), current.get(name)
        if was != now:
            yield f"{name}: {json.dumps(was)} → {json.dumps(now)}"
    if entry.artifact and (damage := artifacts.damage_of(resource.artifacts_root / entry.artifact)):
        yield damage
    for dep in sorted(key.to_user_string() for key in definition.asset_deps[key]):
        if dep in dirty:
            yield f"{dep} would be made"
        elif dep in made and entry.inputs.get(dep) != made[dep].data_version:
            yield f"{dep} has new content"
    if definition.op.name == "interactions":
        config = refresh_config.config_of(run_config, "ops", "interactions")
        now = ingest.source_fingerprint(ingest.InteractionsConfig(**config), resource.folder)
        if now is not None and entry.inputs.get(ingest.SOURCE) != now:
            yield "the source has new content"
    if asset == "warehouse":
        if damage := warehouse.damage_of_published(resource.published_path):
            yield damage
        elif _published(resource) != entry:
            yield f"{resource.published_path.name} is not the latest"


def _published(resource: WarehouseResource) -> ledger.Entry | None:
    """What the published file says of itself: a run can end before it is swapped in."""
    try:
        with warehouse.connect(resource.published_path, read_only=True) as con:
            return ledger.entry(con, "warehouse")
    except (WarehouseError, ledger.NotMaterializedError, duckdb.Error):
        return None


def _ledger(resource: WarehouseResource) -> dict[str, ledger.Entry]:
    if not resource.pipeline_path.is_file():
        return {}
    with resource.connection(read_only=True) as con:
        return ledger.entries(con)
