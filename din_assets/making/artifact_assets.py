"""How an asset of files is made: stage a folder, fill it, commit it under its version, record it.

:func:`artifact_asset` makes an asset of a function that fills the folder, so that all artifacts are
staged, versioned, recorded and shown alike.
"""

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb

from din_assets.making import versions
from din_assets.making.checks import markdown_table
from din_assets.making.materialization import OWNERS, as_dagster_failures, code_version, record
from din_assets.names import name_of
from din_assets.runs import choices
from din_assets.runs.resources import StoreResource
from din_core.escaping import markdown_text
from din_core.store import artifacts, ledger

#: What can be chosen about each artifact that has options.
CONFIG_CLASSES: dict[str, type[dg.Config]] = {}

#: The artifacts that other programs open: ``current`` beside their versions leads to the latest.
POINTED_TO: set[str] = set()


class _NoOptions(dg.Config):
    """Nothing can be chosen."""


@dataclass(frozen=True)
class Making:
    """What a function is given to make an artifact with.

    Attributes:
        context: The step's context.
        store: The pipeline's database and files.
        folder: The staged folder, empty.
        options: The step's options, as they were settled.
    """

    context: dg.AssetExecutionContext
    store: StoreResource
    folder: Path
    options: Mapping[str, Any]

    @property
    def code_version(self) -> str:
        """The code version of the asset."""
        return code_version(self.context, self.context.asset_key)

    def artifact(self, asset: str) -> Path:
        """Return the folder of another asset's latest artifact; see :func:`latest_artifact`."""
        with self.store.connection() as con:
            return latest_artifact(con, self.store, asset)


@dataclass(frozen=True, kw_only=True)
class Made:
    """What became of it.

    Attributes:
        version: Hash of the content: equal content has an equal version, wherever it was made.
        metadata: What the UI shows, beyond the path and the options.
        about: What the manifest says of the content beside its files; JSON types.
        inputs: Data versions of what it was made from and that is no input of the asset: another
            content of those does not make it outdated.
        after_commit: Called when the artifact is committed and recorded.
    """

    version: str
    metadata: Mapping[str, Any]
    about: Mapping[str, Any] = field(default_factory=dict[str, Any])
    inputs: Mapping[str, str] = field(default_factory=dict[str, str])
    after_commit: Callable[[], object] = lambda: None


def artifact_asset(
    *,
    group: str,
    deps: Iterable[str],
    kinds: set[str],
    description: str,
    config_class: type[dg.Config] | None = None,
    one_model: bool = False,
    pointed_to: bool = False,
) -> Callable[[Callable[[Making], Made]], dg.AssetsDefinition]:
    """Make an asset of a function that fills a folder; the asset has the function's name.

    Args:
        group: The asset's group.
        deps: The assets that it is made from.
        kinds: What the UI shows it as made with.
        description: What it is.
        config_class: What can be chosen about it; by default nothing.
        one_model: As of :func:`versions.of_asset`.
        pointed_to: Whether ``current`` beside its versions leads to the latest.
    """

    def define(make: Callable[[Making], Made]) -> dg.AssetsDefinition:
        name = make.__name__
        if config_class is not None:
            CONFIG_CLASSES[name] = config_class
        if pointed_to:
            POINTED_TO.add(name)

        def materialize(
            context: dg.AssetExecutionContext, store: StoreResource, config: dg.Config
        ) -> dg.MaterializeResult:
            options = choices.chosen(context, store.settled, config).model_dump()
            with (
                as_dagster_failures(),
                store.settled.unless_refused(name),
                artifacts.staging(store.artifacts_root, name) as folder,
            ):
                making = Making(context, store, folder, options)
                made = make(making)
                result = _commit(making, made)
                made.after_commit()
                return result

        materialize.__annotations__["config"] = config_class or _NoOptions
        return dg.asset(
            name=name,
            group_name=group,
            deps=sorted(deps),
            kinds=kinds,
            owners=OWNERS,
            code_version=versions.of_asset(name, make, one_model=one_model),
            description=description,
        )(materialize)

    return define


def _commit(making: Making, made: Made) -> dg.MaterializeResult:
    asset = name_of(making.context.asset_key)
    final = artifacts.commit(making.folder, made.version, made.about)
    if asset in POINTED_TO:
        # Before it is recorded: what the ledger holds is what `current` leads to.
        artifacts.point_to(final)
    with making.store.transaction() as con:
        record(
            making.context,
            con,
            asset,
            made.version,
            options=making.options,
            inputs=made.inputs,
            artifact=f"{asset}/{made.version}",
        )
    return dg.MaterializeResult(
        data_version=dg.DataVersion(made.version),
        metadata={
            "path": dg.MetadataValue.path(str(final)),
            "size_mb": sum(file.stat().st_size for file in final.rglob("*")) / 1e6,
            **made.metadata,
            **({"options": dg.MetadataValue.json(dict(making.options))} if making.options else {}),
        },
    )


def latest_artifact(con: duckdb.DuckDBPyConnection, resource: StoreResource, asset: str) -> Path:
    """Return the folder of an asset's latest artifact, every file of it as it was committed.

    Raises:
        NotMaterializedError: The asset has not been made yet.
        DamagedArtifactError: Something happened to its files since.
    """
    folder = resource.artifacts_root / (ledger.entry(con, asset).artifact or "")
    return artifacts.require_whole(folder)


def picture(png: bytes, alt: str) -> dg.MarkdownMetadataValue:
    """Return a small PNG as metadata that the UI shows."""
    encoded = base64.b64encode(png).decode("ascii")
    return dg.MetadataValue.md(f"![{markdown_text(alt)}](data:image/png;base64,{encoded})")


def shown_of_evaluation(evaluation: Any) -> dict[str, Any]:
    """Return what the page of the figures shows beside them. It is no part of the result."""
    from din_core.evaluation import pictures
    from din_core.evaluation.intervals import Interval

    nothing = Interval(None)
    beside = [
        {
            "rival": each.rival,
            "metric": each.metric,
            "difference": _digits(each.difference.value, "+"),
            "low": _digits(each.difference.low, "+"),
            "high": _digits(each.difference.high, "+"),
            "users": f"{each.n_users:,}",
        }
        for each in evaluation.comparisons
    ]
    every = [
        {
            "figure": name,
            "value": f"{value:,}" if isinstance(value, int) else _digits(value),
            "low": _digits(evaluation.whole.get(name, nothing).low),
            "high": _digits(evaluation.whole.get(name, nothing).high),
        }
        for name, value in evaluation.metrics().items()
    ]
    return {
        "verdict": evaluation.verdict.sentence,
        "score_is": evaluation.meaning.score_is,
        "what_a_score_means": evaluation.meaning.sentence(),
        "roc_and_reliability": picture(pictures.curves(evaluation), "ROC and reliability"),
        "auc_by_slice": picture(pictures.auc_by_slice(evaluation), "AUC by slice"),
        "comparisons": dg.MetadataValue.md(markdown_table(beside)),
        "all_figures": dg.MetadataValue.md(markdown_table(every)),
    }


def _digits(value: float | None, sign: str = "") -> str:
    return "" if value is None else f"{value:{sign}.4f}"


def training_curve(history: Any) -> dg.MarkdownMetadataValue:
    """Return the curve of a training as metadata. It is shown, and no part of the result."""
    from din_core.serving import pictures

    return picture(pictures.training_curve(history), "training curve")
