"""How old published results may be: off unless somebody says it, since a log need not grow."""

import datetime
import os
from collections.abc import Iterable
from typing import Any

import dagster as dg

from din_assets.names import name_of
from din_core.errors import WrongRequestError

_VARIABLE = "DIN_FRESH_WITHIN_HOURS"
#: What leaves the pipeline; the asset names, whatever stands before them in a key.
_PUBLISHED = ("warehouse", "bundle")
_WARN_AFTER = 0.75


class FreshnessError(WrongRequestError):
    """The environment names no number of hours; the message says what it may be."""


def fresh_within() -> float | None:
    """Return the hours that ``DIN_FRESH_WITHIN_HOURS`` names, or None where it is unset or empty.

    Raises:
        FreshnessError: It is no number of hours above 0.
    """
    named = os.environ.get(_VARIABLE)
    if not named:
        return None
    try:
        hours = float(named)
        window = datetime.timedelta(hours=hours)
    except (ValueError, OverflowError):
        hours, window = 0.0, datetime.timedelta()
    if window < datetime.timedelta(minutes=5):
        raise FreshnessError(
            f"{_VARIABLE} is {named!r}: it takes hours as a number, at least 0.1, such as 26 for "
            "a run a day; unset it where results may be of any age"
        )
    return hours


def with_freshness(assets: Iterable[Any], hours: float | None) -> list[Any]:
    """Give the published results a freshness policy.

    Args:
        assets: The assets.
        hours: Age at which a result fails it; from three quarters of it on it warns. None gives no
            policy.
    """
    if hours is None:
        return list(assets)
    policy = dg.FreshnessPolicy.time_window(
        fail_window=datetime.timedelta(hours=hours),
        warn_window=datetime.timedelta(hours=hours * _WARN_AFTER),
    )

    def fresh(spec: dg.AssetSpec) -> dg.AssetSpec:
        is_published = name_of(spec.key) in _PUBLISHED
        return spec.replace_attributes(freshness_policy=policy) if is_published else spec

    return [
        asset.map_asset_specs(fresh) if isinstance(asset, dg.AssetsDefinition) else asset
        for asset in assets
    ]
