"""The kept models as MLflow runs, for those who compare models there: a run a model.

MLflow holds a copy that can be made again. The tables :mod:`.history` reads decide what is served,
and nothing here changes them. MLflow is imported where it is asked for, and not before.
"""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from din_core.errors import DinError
from din_core.evaluation.intervals import Interval
from din_core.serving.publication.history import SHORT, ModelVersion, Publication
from din_core.training import history as epochs

# What the tags begin with that are written here; others are somebody else's.
_OWN = "din."
#: The tag by which the run of a model is found again.
MODEL_TAG = f"{_OWN}model_version"

#: What of a bundle is small, and says what the rest is. The rest stays where `din prune` looks.
_FILES = ("README.md", "manifest.json")
_OF_EPOCHS = ("train_loss", "val_auc", "val_logloss")
_DECIDING = ("published", "refused", "rolled back")
# What MLflow's stores take of one text, and in one request.
_LONGEST = 5_000
_PARAMS_AT_ONCE = 100


class MLflowError(DinError):
    """MLflow is not installed, cannot be reached, or refuses."""


@dataclass(frozen=True)
class Tracking:
    """Where runs are recorded.

    Attributes:
        uri: MLflow's tracking URI.
        experiment: Name of the experiment; it is created where it is missing.
        files: Where the files of a new experiment go; None where the server decides.
    """

    uri: str
    experiment: str
    files: str | None = None

    def shown(self) -> str:
        """Return the URI without a user's name and password."""
        host = urlsplit(self.uri).netloc
        return self.uri.replace(host, host.rpartition("@")[2]) if "@" in host else self.uri


@dataclass(frozen=True)
class _Wanted:
    """What the run of a model says."""

    row: ModelVersion
    tags: Mapping[str, str]

    @property
    def at(self) -> int:
        """When it was judged, in milliseconds."""
        return round(self.row.judged_at.replace(tzinfo=datetime.UTC).timestamp() * 1000)


def record(
    versions: Sequence[ModelVersion],
    decided: Sequence[Publication],
    root: Path,
    tracking: Tracking,
) -> dict[str, str]:
    """Make the experiment say what the tables say: a run for each model, complete and up to date.

    A run that is complete is left as it is, so that a second call does nothing; one that somebody
    deleted in MLflow stays deleted. Of the bundles of one model the latest counts.

    Args:
        versions: From :func:`history.model_versions`.
        decided: From :func:`history.publications`.
        root: The artifacts' root. Of a model that was pruned the curve and the files are missing.
        tracking: Where.

    Returns:
        The id of each model's run, by model version.

    Raises:
        MLflowError: MLflow is not installed, cannot be reached, or refuses.
    """
    try:
        from mlflow.tracking import MlflowClient
    except ImportError as error:
        raise MLflowError(
            f"`mlflow: true` needs MLflow ({error}): pip install mlflow-skinny"
        ) from error
    latest = {each.model_version: each for each in versions}
    try:
        client = MlflowClient(tracking_uri=tracking.uri)
        experiment = _experiment(client, tracking)
        known = _runs(client, experiment)
        found: dict[str, str] = {}
        for version, row in latest.items():
            wanted = _Wanted(row, _tags(row, decided, root))
            run = known.get(version) or _new_run(client, experiment, wanted)
            found[version] = run.info.run_id
            if not _is_complete(run, wanted):
                _write(client, run, wanted, root)
    except Exception as error:  # its stores, drivers and plugins raise whatever they like
        # Nor may a password be shown that an address contains.
        reason = str(error).replace(tracking.uri, tracking.shown()).partition("\n")[0]
        raise MLflowError(
            f"MLflow at {tracking.shown()} cannot be written to: {reason or type(error).__name__}"
        ) from error
    return found


def _experiment(client: Any, tracking: Tracking) -> str:
    if (known := client.get_experiment_by_name(tracking.experiment)) is not None:
        return known.experiment_id
    return client.create_experiment(tracking.experiment, artifact_location=tracking.files)


def _runs(client: Any, experiment: str) -> dict[str, Any]:
    """Return the run of each model that has one, by model version, deleted ones included."""
    from mlflow.entities import ViewType

    found: dict[str, Any] = {}
    token: str | None = None
    while token != "":
        page = client.search_runs(
            [experiment], run_view_type=ViewType.ALL, max_results=1000, page_token=token
        )
        found.update((run.data.tags[MODEL_TAG], run) for run in page if MODEL_TAG in run.data.tags)
        token = page.token or ""
    return found


def _new_run(client: Any, experiment: str, wanted: _Wanted) -> Any:
    row = wanted.row
    return client.create_run(
        experiment,
        start_time=wanted.at,
        tags={MODEL_TAG: row.model_version},
        run_name=row.model_version[:SHORT],
    )


def _is_complete(run: Any, wanted: _Wanted) -> bool:
    if run.info.lifecycle_stage == "deleted":
        return True
    return run.info.status == "FINISHED" and _own_tags(run) == wanted.tags


def _own_tags(run: Any) -> dict[str, str]:
    return {name: text for name, text in run.data.tags.items() if name.startswith(_OWN)}


def _write(client: Any, run: Any, wanted: _Wanted, root: Path) -> None:
    """Write a run's content; what is there already is written once more, to the same effect."""
    from mlflow.entities import Metric, Param, RunTag

    run_id, row = run.info.run_id, wanted.row
    # MLflow lets no parameter change: those of another bundle of the model stay the first one's.
    params = [
        Param(name, value)
        for name, value in _params(row.options).items()
        if name not in run.data.params
    ]
    for start in range(0, len(params), _PARAMS_AT_ONCE):
        client.log_batch(run_id, params=params[start : start + _PARAMS_AT_ONCE])
    trained = root / row.artifacts["din_model"] if "din_model" in row.artifacts else None
    curve = [
        # At the time of the first bundle: the same values at the same time are one value.
        Metric(name, float(epoch[name]), run.info.start_time, int(epoch["epoch"]))
        for epoch in (epochs.read(trained) if trained else [])
        for name in _OF_EPOCHS
        if epoch.get(name) is not None
    ]
    figures = [Metric(name, value, wanted.at, 0) for name, value in _figures(row)]
    for start in range(0, len(curve) + len(figures), 1000):
        client.log_batch(run_id, metrics=(curve + figures)[start : start + 1000])
    for name in _FILES:
        if (file := root / "bundle" / row.bundle_version / name).is_file():
            client.log_artifact(run_id, str(file), "bundle")
    for name in _own_tags(run).keys() - wanted.tags.keys():
        client.delete_tag(run_id, name)  # of an earlier bundle, and no longer so
    # Last: who has them all is complete.
    client.log_batch(run_id, tags=[RunTag(name, value) for name, value in wanted.tags.items()])
    client.set_terminated(run_id, "FINISHED", wanted.at)


def _tags(row: ModelVersion, decided: Sequence[Publication], root: Path) -> dict[str, str]:
    last = next(
        (
            each
            for each in reversed(decided)
            if each.bundle_version == row.bundle_version and each.action in _DECIDING
        ),
        None,
    )
    versions = {"data": row.data_versions, "code": row.code_versions, "library": row.libraries}
    said = {
        MODEL_TAG: row.model_version,
        "din.bundle_version": row.bundle_version,
        "din.bundle": str(root / "bundle" / row.bundle_version),
        "din.decision": last.action if last else row.decision,
        "din.reason": last.reason if last else row.reason,
        "din.source": row.source,
        "din.compared_with": row.compared_with,
        **{
            f"din.{kind}.{name}": version
            for kind, of_kind in versions.items()
            for name, version in of_kind.items()
        },
    }
    return {name: text[:_LONGEST] for name, text in said.items() if text is not None}


def _params(options: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the options: those of `din_model` by name, the others with their step before it."""
    return {
        name if step == "din_model" else f"{step}.{name}": _text(value)
        for step, chosen in options.items()
        for name, value in chosen.items()
    }


def _text(value: Any) -> str:
    return (value if isinstance(value, str) else json.dumps(value, sort_keys=True))[:_LONGEST]


def _figures(row: ModelVersion) -> Iterator[tuple[str, float]]:
    """Yield the figures of the test split, each with the ends of its interval where it has some."""
    intervals: dict[str, Interval] = {f"test_{name}": each for name, each in row.metrics.items()}
    intervals["auc_difference"] = row.auc_difference
    ends: dict[str, float | None] = {
        f"{name}{end}": value
        for name, each in intervals.items()
        for end, value in (("", each.value), ("_low", each.low), ("_high", each.high))
    }
    counts = {"n_test_samples": row.n_test_samples, "n_test_users": row.n_test_users}
    for name, value in {**ends, **counts}.items():
        if value is not None and math.isfinite(value):
            yield name, float(value)
