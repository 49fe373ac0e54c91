"""Why a step has to be made again: what it was made with, held against what there is now."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import dagster as dg
import duckdb

from din_assets.assets import ingest, publication
from din_assets.making import facts, versions
from din_assets.making.artifact_assets import POINTED_TO
from din_assets.making.materialization import inputs_of, model_of
from din_assets.names import step_of
from din_assets.runs import engines
from din_assets.runs.resources import StoreResource
from din_assets.starting import refresh_config
from din_assets.starting.refresh_config import RunConfig
from din_core import manifests, store
from din_core.datasets.named_logs import NotFetchedError
from din_core.serving.publication import history
from din_core.serving.publication.history import Publication
from din_core.store import StoreError, artifacts, ledger

T = TypeVar("T")


@dataclass(frozen=True)
class State:
    """What was made so far.

    Attributes:
        made: The ledger.
        facts: What assets take of it beside their inputs' content (see :mod:`facts`), by asset.
        decided: Every decision about a model.
        shown: Those that the published file has.
        damaged: What is wrong with tables that lie in Parquet, by table.
    """

    made: Mapping[str, ledger.Entry] = field(default_factory=dict)
    facts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    decided: tuple[Publication, ...] = ()
    shown: tuple[Publication, ...] = ()
    damaged: Mapping[str, str] = field(default_factory=dict[str, str])


def read_state(resource: StoreResource) -> State:
    """Read what was made so far.

    Raises:
        StoreError: The pipeline's database is damaged, or held by another process.
    """
    if not resource.pipeline_path.is_file():
        return State()
    with resource.connection(read_only=True) as con:
        made = ledger.entries(con)
        of_assets = {asset: facts.of(con, asset) for asset in made}
        decided = history.publications(con)
        damaged = engines.damaged_tables(con, resource.tables_root)
    shown = _read_published(resource, history.publications) or ()
    return State(made, of_assets, decided, shown, damaged)


def read_again(resource: StoreResource, assets: Collection[str], before: State) -> State:
    """Read, within a run, what the decision on some of its assets looks at.

    Args:
        resource: The store.
        assets: The assets; no other's facts are read.
        before: What there was before the run. What the published file has is still the same: the
            run's last step is the one that replaces it.

    Raises:
        StoreError: The pipeline's database is damaged, or held by another process.
    """
    with resource.connection(read_only=True) as con:
        made = ledger.entries(con)
        of_assets = {asset: facts.of(con, asset) for asset in assets if asset in made}
        return State(made, of_assets, history.publications(con), before.shown, before.damaged)


def own_reasons(
    definition: dg.AssetsDefinition,
    asset: str,
    state: State,
    run_config: RunConfig,
    resource: StoreResource,
) -> Iterator[str]:
    """Give the reasons that lie in an asset itself, whatever becomes of its inputs.

    Args:
        definition: Its definition.
        asset: The asset.
        state: What was made so far.
        run_config: Run configuration, with the source and all options spelled out.
        resource: The store.

    Raises:
        DinError: The source is not there, or cannot be read.
    """
    entry = state.made.get(asset)
    if entry is None:
        yield "never made"
        return
    step = step_of(definition.op.name)
    current = refresh_config.options(step, run_config)
    if entry.code_version != versions.with_model(asset, model_of(asset, current, state.made)):
        yield "code changed"
    for name in sorted({*current, *entry.options} - refresh_config.idle_options_of(step)):
        was, now = entry.options.get(name), current.get(name)
        if was != now:
            yield f"{name}: {json.dumps(was)} → {json.dumps(now)}"
    if asset in state.damaged:
        yield state.damaged[asset]
    folder = entry.artifact and resource.artifacts_root / entry.artifact
    if folder and (damage := manifests.damage_of(folder)):
        yield damage
    elif (
        asset in POINTED_TO
        and artifacts.pointed_to(resource.artifacts_root, asset) != entry.data_version
    ):
        yield f"{asset}/{artifacts.CURRENT} does not lead to the latest version"
    if asset == publication.NAME:
        yield from _of_what_is_served(state, current, resource)
    if step == "interactions":
        yield from _of_source(entry, run_config, resource)
    if asset == "warehouse":
        if damage := store.damage_of_published(resource.published_path):
            yield damage
        elif _read_published(resource, lambda con: ledger.entry(con, "warehouse")) != entry:
            yield f"{resource.published_path.name} is not the latest"


def reasons_of_inputs(
    definition: dg.AssetsDefinition, asset: str, state: State, dirty: Collection[str]
) -> Iterator[str]:
    """Give the reasons that lie in what an asset is made from.

    Args:
        definition: Its definition.
        asset: The asset.
        state: What was made so far.
        dirty: Assets that would be made before it.
    """
    entry = state.made.get(asset)
    if entry is None:
        return
    for dep in sorted({*dirty} & inputs_of(definition, asset)):
        yield f"{dep} would be made"
    for dep in sorted(inputs_of(definition, asset) - {*dirty}):
        if dep in state.made and entry.inputs.get(dep) != state.made[dep].data_version:
            yield f"{dep} has new content"
    if asset == "warehouse" and state.decided != state.shown:
        yield "publications has new rows"
    for fact, now in state.facts.get(asset, {}).items():
        if entry.inputs.get(fact) != now:
            yield f"{fact} changed"


def _of_source(
    entry: ledger.Entry, run_config: RunConfig, resource: StoreResource
) -> Iterator[str]:
    config = ingest.InteractionsConfig(
        **refresh_config.config_of(run_config, "ops", "interactions")
    )
    try:
        now = ingest.source_fingerprint(config, resource.folder)
    except NotFetchedError as error:
        yield f"the source, {error}, is not fetched yet"
    else:
        if now is not None and entry.inputs.get(ingest.SOURCE) != now:
            yield "the source has new content"


def _of_what_is_served(
    state: State, options: Mapping[str, Any], resource: StoreResource
) -> Iterator[str]:
    """Give what keeps the bundle that is to be served, by the decisions, from being served."""
    if (served := history.served(state.decided)) is None:
        return
    version, root = served.bundle_version, resource.artifacts_root
    if artifacts.pointed_to(root, "bundle") != version:
        yield f"bundle/{artifacts.CURRENT} does not lead to the published version"
    # The latest bundle is looked at, and made again, by the asset of that name.
    is_latest = "bundle" in state.made and state.made["bundle"].data_version == version
    replaceable = options.get("publish") != "never"
    if not is_latest and replaceable and (damage := manifests.damage_of(root / "bundle" / version)):
        yield damage


def _read_published(
    resource: StoreResource, read: Callable[[duckdb.DuckDBPyConnection], T]
) -> T | None:
    """What the published file says of itself: a run can end before it is swapped in."""
    try:
        with resource.published() as con:
            return read(con)
    except (StoreError, ledger.NotMaterializedError, duckdb.Error):
        return None
