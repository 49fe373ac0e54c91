"""The asset ``interactions_csv``: the source itself, which is made elsewhere and observed here."""

import warnings
from collections.abc import Iterator

import dagster as dg

from din_assets.assets import ingest
from din_assets.making import source_observations
from din_assets.making.materialization import OWNERS, as_dagster_failures
from din_assets.runs.resources import StoreResource


def _observe(context: dg.AssetExecutionContext, store: StoreResource) -> Iterator[dg.ObserveResult]:
    """See which version of the source there is. Nothing is read from it into a table."""
    (key,) = context.assets_def.keys
    with as_dagster_failures():
        source, log = ingest.chosen_source(context, store)
        before = source_observations.latest(context.instance, key)
        seen = source_observations.observe(source, log, store.folder, before)
    yield dg.ObserveResult(
        asset_key=key, data_version=dg.DataVersion(seen.version), metadata=seen.metadata
    )


_DESCRIPTION = """\
The raw log of interactions: the file that the run configuration, --csv or DIN_CSV names. By default
that of the last run; the synthetic log where there was none, or by its name. Observing it says
which file a run would read, how large it is, and whether its content changed: the data version is
the content's hash. A run that reads it observes it, too.
"""

with warnings.catch_warnings():
    # Beta in Dagster 1.13; what is used of it is tested.
    warnings.filterwarnings("ignore", ".*`multi_observable_source_asset`", dg.BetaWarning)
    interactions_csv = dg.multi_observable_source_asset(
        name=ingest.SOURCE,
        specs=[
            dg.AssetSpec(
                ingest.SOURCE,
                group_name="ingest",
                kinds={"csv"},
                owners=OWNERS,
                description=_DESCRIPTION,
            )
        ],
    )(_observe)
