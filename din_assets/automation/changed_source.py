"""Declarative automation: the source is observed, and what lies below it made when it changed.

The one trigger is a new data version of the source. Everything below goes into the same run, so
that no result is published which was made half of the old log and half of the new one.

``AutomationCondition.eager()`` asks whether an input was updated, not whether its content changed:
a table that is made anew and comes out the same would train a model (dagster#25439). In Dagster
1.13.27 an observation of equal content is no update any more (dagster#22850).
"""

from collections.abc import Iterable
from typing import Any

import dagster as dg
from dagster import AutomationCondition as When

from din_assets.names import Names

#: How often the source is observed. Files that did not change are not read for it.
LOOK_AT = "*/15 * * * *"

_LOOK = (When.cron_tick_passed(LOOK_AT) & ~When.in_progress()).with_label("every 15 minutes")


def _source_changed(source: dg.AssetKey) -> dg.AutomationCondition:
    changed = When.any_deps_match(When.data_version_changed()).allow(
        dg.AssetSelection.assets(source)
    )
    # A run that is reading the source already comes to its end first: it may have read the change.
    return (
        changed.since_last_handled() & When.all_deps_blocking_checks_passed() & ~When.in_progress()
    ).with_label("the source has new content")


#: No trigger of their own, and no wait for one that is in progress: the run joins the queue, and
#: what is made until then is made of the log before.
_WITH_WHAT_IT_IS_MADE_FROM = (
    When.any_deps_match(When.will_be_requested()) & When.all_deps_blocking_checks_passed()
).with_label("what it is made from is made again")


def with_conditions(assets: Iterable[Any], source: dg.AssetKey) -> list[Any]:
    """Say of each asset when it is made by itself, once :func:`sensor` is switched on.

    Args:
        assets: The assets; what cannot be made here stays as it is.
        source: The key of the source among them.
    """

    def condition(spec: dg.AssetSpec) -> dg.AssetSpec:
        if spec.key == source:
            return spec.replace_attributes(automation_condition=_LOOK)
        reads_source = any(dep.asset_key == source for dep in spec.deps)
        return spec.replace_attributes(
            automation_condition=_source_changed(source)
            if reads_source
            else _WITH_WHAT_IT_IS_MADE_FROM
        )

    return [
        asset.map_asset_specs(condition) if isinstance(asset, dg.AssetsDefinition) else asset
        for asset in assets
    ]


def sensor(assets: Iterable[Any], names: Names) -> dg.AutomationConditionSensorDefinition:
    """Return what evaluates the conditions of assets, their source among them.

    Args:
        assets: The assets.
        names: What Dagster calls them.
    """
    return dg.AutomationConditionSensorDefinition(
        name=names.identifier("changed_source"),
        target=dg.AssetSelection.assets(
            *(asset for asset in assets if isinstance(asset, dg.AssetsDefinition))
        ),
        default_status=dg.DefaultSensorStatus.STOPPED,
        minimum_interval_seconds=60,
        run_tags={"din/started_by": "changed_source"},
        description="Observes the source every 15 minutes; when its content changed, makes "
        "everything again in one run, with the options of the last run. A source that did not "
        "change starts nothing.",
    )
