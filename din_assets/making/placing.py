"""How an asset is placed below a prefix, beside the assets of others.

An asset is written once, in names. Here Dagster gets it under its key, its step and its resource
under identifiers (:mod:`din_assets.names`). What a step yields speaks of assets by name; on its way
out it gets their keys. Without a prefix everything stays as it is written.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import dagster as dg
from dagster_shared.record import replace

from din_assets.names import PLAIN, Names, name_of

Placed = dg.AssetsDefinition | dg.AssetSpec


def placed(assets: Iterable[Any], names: Names) -> list[Any]:
    """Return assets as Dagster is to see them.

    Args:
        assets: All of the assets of one log, definitions and specs of what is made elsewhere; each
            depends on no others.
        names: What Dagster calls them.
    """
    return [_placed(asset, names) for asset in assets] if names != PLAIN else list(assets)


def _placed(asset: Placed, names: Names) -> Placed:
    if isinstance(asset, dg.AssetSpec):
        return _respecified(asset, names)
    ours = {*asset.keys, *(dep for deps in asset.asset_deps.values() for dep in deps)}
    moved = asset.with_attributes(
        asset_key_replacements={key: names.key(name_of(key)) for key in ours}
    ).map_asset_specs(lambda spec: _regrouped(spec, names))
    if not names.prefix or not asset.is_executable:
        return moved
    step = asset.op
    decorated: Any = step.compute_fn
    resources = {arg.name: names.identifier(arg.name) for arg in decorated.get_resource_args()}
    common: dict[str, Any] = {
        "name": names.identifier(step.name),
        "description": step.description,
        "specs": list(moved.specs),
        "check_specs": list(moved.check_specs),
        "can_subset": moved.can_subset,
        "required_resource_keys": set(resources.values()),
    }
    define = (
        dg.multi_asset(
            **common,
            backfill_policy=moved.backfill_policy,
            op_tags=dict(step.tags),
            retry_policy=step.retry_policy,
            pool=step.pool,
        )
        if asset.is_materializable
        else _observed(common)
    )
    return define(_in_keys(decorated, resources, names))


def _observed(common: dict[str, Any]) -> Any:
    with warnings.catch_warnings():
        # Beta in Dagster 1.13, like what it makes anew here.
        warnings.filterwarnings("ignore", ".*`multi_observable_source_asset`", dg.BetaWarning)
        return dg.multi_observable_source_asset(**common)


def _respecified(spec: dg.AssetSpec, names: Names) -> dg.AssetSpec:
    moved = spec.replace_attributes(
        key=names.key(name_of(spec.key)),
        deps=[
            dg.AssetDep(names.key(name_of(dep.asset_key)), partition_mapping=dep.partition_mapping)
            for dep in spec.deps
        ],
    )
    return _regrouped(moved, names)


def _regrouped(spec: dg.AssetSpec, names: Names) -> dg.AssetSpec:
    if not names.group_prefix or spec.group_name is None:
        return spec
    return spec.replace_attributes(group_name=names.group(spec.group_name))


def _in_keys(decorated: Any, resources: dict[str, str], names: Names) -> Callable[..., Any]:
    """Return a step that does what another does, and speaks of its assets by their keys.

    Args:
        decorated: The other step, as Dagster keeps it.
        resources: Its arguments that are resources, each with what that is called here.
        names: What Dagster calls the assets.
    """
    make = decorated.decorated_fn

    def step(context: dg.AssetExecutionContext, config: dg.Config) -> Iterator[Any]:
        given = {arg: getattr(context.resources, key) for arg, key in resources.items()}
        if decorated.has_config_arg():
            given["config"] = config
        result = make(context, **given)
        for each in result if isinstance(result, Iterator) else [result]:
            yield _in_key(each, names)

    if decorated.has_config_arg():
        step.__annotations__["config"] = decorated.get_config_arg().annotation
        return step

    def step_without_options(context: dg.AssetExecutionContext) -> Iterator[Any]:
        yield from step(context, dg.Config())

    return step_without_options


def _in_key(result: Any, names: Names) -> Any:
    """Give a result the keys of the assets that it names."""
    if isinstance(result, dg.MaterializeResult | dg.ObserveResult):
        checks = [_in_key(check, names) for check in result.check_results or ()]
        key = result.asset_key and names.key(name_of(result.asset_key))
        return replace(result, asset_key=key, check_results=checks)
    if isinstance(result, dg.AssetCheckResult) and result.asset_key is not None:
        return dg.AssetCheckResult(
            passed=result.passed,
            asset_key=names.key(name_of(result.asset_key)),
            check_name=result.check_name,
            metadata=result.metadata,
            severity=result.severity,
            description=result.description,
        )
    return result
