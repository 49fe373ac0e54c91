"""Re-materialize only what changed, layer by layer, and say what was done and why.

An asset is made again when it is missing, when its code, its options or its source changed, or when
the content of something it is made from changed. Because a data version is the hash of the content
alone, a result that comes out the same stops the change there: nothing below it is touched.
"""

import difflib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pydantic

from din_assets import ingest, sequences, training
from din_assets.definitions import build_defs
from din_assets.resources import WarehouseResource
from din_core import ledger, warehouse
from din_core.errors import DinError
from din_core.warehouse import WarehouseError

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


class RunConfigError(DinError, ValueError):
    """The run configuration names what there is not, or a value out of its range."""


def refresh(
    instance: dg.DagsterInstance,
    *,
    run_config: RunConfig,
    dry_run: bool = False,
    on_wait: Callable[[str], object] = lambda _: None,
) -> Iterator[Decision]:
    """Make again what changed and yield each decision as soon as it is carried out.

    Args:
        instance: Where the runs are recorded.
        run_config: Run configuration as ``-c`` takes it.
        dry_run: Decide, but make nothing. What a change would do further down is then unknown, so
            everything below a step that would be made is listed as well.
        on_wait: Told for whom one waits where a run is under way.

    Raises:
        RunConfigError: The configuration is wrong.
        RefreshFailedError: A step failed.
    """
    definitions = build_defs()
    job = definitions.resolve_job_def("all_assets")
    steps = _steps(definitions)
    _check(run_config, [definitions.resolve_assets_def(each[0]).op.name for each in steps])
    resource = WarehouseResource(**_config_of(run_config, "resources", "warehouse"))
    dirty: set[str] = set()
    for assets in steps:
        before = _ledger(resource, on_wait)
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
        after = _ledger(resource, on_wait)
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
    if asset == "warehouse" and _published_version(resource) != entry.data_version:
        name = resource.published_path.name
        is_there = resource.published_path.is_file()
        yield f"{name} is not the latest" if is_there else f"{name} is gone"


def _published_version(resource: WarehouseResource) -> str | None:
    """Data version that the published file says it has: a run can end before it is swapped in."""
    try:
        with warehouse.connect(resource.published_path, read_only=True) as con:
            return ledger.entry(con, "warehouse").data_version
    except (WarehouseError, ledger.NotMaterializedError):
        return None


def _options(op_name: str, run_config: RunConfig) -> dict[str, Any]:
    """Return a step's present options, in the form in which the ledger keeps them."""
    config_class = _config_class(op_name)
    if config_class is None:
        return {}
    config = config_class(**_config_of(run_config, "ops", op_name, "config"))
    if isinstance(config, ingest.InteractionsConfig):
        options = ingest.recorded_options(config)
    else:
        options = config.model_dump()
    return json.loads(json.dumps(options))


def _config_class(op_name: str) -> type[dg.Config] | None:
    """The class of a step's options, None for a step without any."""
    known = {"interactions": ingest.InteractionsConfig, "din_model": training.DinModelConfig}
    return known.get(op_name) or sequences.CONFIG_CLASSES.get(op_name)


def _check(run_config: RunConfig, op_names: list[str]) -> None:
    """Refuse steps and options that there are not: a typo must not pass for "up to date"."""
    for op_name, given in _config_of(run_config, "ops").items():
        if op_name not in op_names:
            raise RunConfigError(f"ops: there is no step '{op_name}'{_meant(op_name, op_names)}")
        if not isinstance(given, Mapping) or set(given) - {"config"}:
            raise RunConfigError(f"ops: {op_name}: its options belong below 'config:'")
        options = _config_of(run_config, "ops", op_name, "config")
        config_class = _config_class(op_name)
        names = [] if config_class is None else list(config_class.model_fields)
        for name in options:
            if name not in names:
                raise RunConfigError(
                    f"ops: {op_name}: there is no option '{name}'{_meant(name, names)}"
                )
        try:
            _options(op_name, run_config)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise RunConfigError(
                f"ops: {op_name}: {where} is {first['input']!r}: {first['msg']}"
            ) from error


def _meant(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; is '{close[0]}' meant?" if close else f" (there are {', '.join(known) or 'none'})"


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


def _ledger(
    resource: WarehouseResource, on_wait: Callable[[str], object]
) -> dict[str, ledger.Entry]:
    """Read the ledger, after whoever is writing: DuckDB lets nobody read beside a writer."""
    if not resource.pipeline_path.is_file():
        return {}
    with resource.locked("din refresh", on_wait=on_wait), resource.connection() as con:
        return ledger.entries(con)
