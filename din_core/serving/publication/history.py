"""The tables ``model_versions`` and ``publications``: rows of theirs are read and added here.

A row is never changed. What is served and what is pinned follows from the rows of ``publications``,
so that nothing else has to be kept in step with them.
"""

from __future__ import annotations

import contextlib
import datetime
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import duckdb
import pyarrow as pa

from din_core import store
from din_core.arrow_without_pandas import no_rows, table_of
from din_core.evaluation.intervals import Interval

Action = Literal["published", "refused", "rolled back", "pinned", "unpinned"]

#: Digits of a version that a sentence names.
SHORT = 12

#: Figures that have columns of their own; the others are in ``metrics``.
FIGURES = ("auc", "gauc", "logloss")

_JSON = ("metrics", "data_versions", "code_versions", "options", "libraries", "artifacts")
_VERSIONS = pa.schema(
    {
        "model_version": pa.string(),
        "bundle_version": pa.string(),
        "judged_at": pa.timestamp("us"),
        "decision": pa.string(),
        "reason": pa.string(),
        "source": pa.string(),
        "interactions_version": pa.string(),
        "samples_version": pa.string(),
        "n_test_samples": pa.int64(),
        "n_test_users": pa.int64(),
        **{f"{name}{end}": pa.float64() for name in FIGURES for end in ("", "_low", "_high")},
        "compared_with": pa.string(),
        "auc_difference": pa.float64(),
        "auc_difference_low": pa.float64(),
        "auc_difference_high": pa.float64(),
        "n_compared_samples": pa.int64(),
        **dict.fromkeys(_JSON, pa.string()),
    }
)
_PUBLICATIONS = pa.schema(
    {
        "decided_at": pa.timestamp("us"),
        "model_version": pa.string(),
        "bundle_version": pa.string(),
        "action": pa.string(),
        "reason": pa.string(),
    }
)
_SERVING: tuple[Action, ...] = ("published", "rolled back")
_TICK = datetime.timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True)
class Publication:
    """One decision about a bundle.

    Attributes:
        decided_at: When, UTC without a time zone; it grows from row to row.
        model_version: Data version of the model.
        bundle_version: Version of its bundle.
        action: What was decided.
        reason: Why, in a sentence.
    """

    decided_at: datetime.datetime
    model_version: str
    bundle_version: str
    action: Action
    reason: str


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """One model that was judged, in a bundle of its own.

    Attributes:
        model_version: Data version of the model.
        bundle_version: Version of its bundle.
        judged_at: When, UTC without a time zone.
        decision: ``published`` or ``refused``, when it was first judged.
        reason: Why, in a sentence.
        source: Name of the log, without its folder.
        n_test_samples: Test samples of the figures.
        n_test_users: Their users.
        metrics: Every figure of the whole test split.
        compared_with: Version of the bundle that was published then, None where none was compared.
        auc_difference: Its AUC minus that one's.
        n_compared_samples: Test rows that both were asked about.
        data_versions: Of each result that it was made from, itself included, by asset.
        code_versions: Likewise.
        options: Likewise, of those that have some.
        libraries: Versions of the libraries that made it, by name.
        artifacts: Its folders below the artifacts' root, by asset.
    """

    model_version: str
    bundle_version: str
    judged_at: datetime.datetime
    decision: str
    reason: str
    source: str
    n_test_samples: int
    n_test_users: int
    metrics: Mapping[str, Interval]
    compared_with: str | None
    auc_difference: Interval
    n_compared_samples: int | None
    data_versions: Mapping[str, str]
    code_versions: Mapping[str, str]
    options: Mapping[str, Mapping[str, Any]]
    libraries: Mapping[str, str]
    artifacts: Mapping[str, str]


def now() -> datetime.datetime:
    """Return the time as the tables keep it: UTC without a time zone."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


def publications(con: duckdb.DuckDBPyConnection) -> tuple[Publication, ...]:
    """Return every decision, the first one first; none where there is no such table yet.

    Args:
        con: Connection to the pipeline's database, or to the published copy.
    """
    rows = cast("list[Any]", _kept(con, "publications", _PUBLICATIONS).to_pylist())
    return tuple(Publication(**row) for row in sorted(rows, key=lambda row: row["decided_at"]))


def model_versions(con: duckdb.DuckDBPyConnection) -> tuple[ModelVersion, ...]:
    """Return every model that was judged, the first one first; none where there is no such table.

    Args:
        con: Connection to the pipeline's database, or to the published copy.
    """
    rows = cast("list[Any]", _kept(con, "model_versions", _VERSIONS).to_pylist())
    return tuple(
        _version(row)
        for row in sorted(rows, key=lambda row: (row["judged_at"], row["bundle_version"]))
    )


def served(decided: Sequence[Publication]) -> Publication | None:
    """Return the decision that names the bundle that is served; None before the first.

    Args:
        decided: From :func:`publications`.
    """
    return next((each for each in reversed(decided) if each.action in _SERVING), None)


def not_served(decided: Sequence[Publication], bundle_version: str) -> str | None:
    """Say that a bundle is not the one that is served, and why; None where it is.

    Args:
        decided: From :func:`publications`.
        bundle_version: Version of the bundle.
    """
    at_work = served(decided)
    if at_work is not None and at_work.bundle_version == bundle_version:
        return None
    of_bundle = [each for each in decided if each.bundle_version == bundle_version]
    if not of_bundle:
        return None
    name = f"model {of_bundle[-1].model_version[:SHORT]} is not published"
    stays = (
        "nothing is served" if at_work is None else f"bundle {at_work.bundle_version[:SHORT]} stays"
    )
    refused = [each for each in of_bundle if each.action == "refused"]
    if refused and (at_work is None or at_work.decided_at < refused[-1].decided_at):
        return f"{name}, {stays}: {refused[-1].reason}"
    if at_work is None:
        return f"{name}, {stays}"
    went_back = "somebody went back to it, " if at_work.action == "rolled back" else ""
    return f"{name}, {stays}: {went_back}{at_work.reason}"


def pinned(decided: Sequence[Publication]) -> frozenset[str]:
    """Return the versions of the bundles that are pinned.

    Args:
        decided: From :func:`publications`.
    """
    last = {
        each.bundle_version: each.action
        for each in decided
        if each.action in ("pinned", "unpinned")
    }
    return frozenset(version for version, action in last.items() if action == "pinned")


def add(
    con: duckdb.DuckDBPyConnection,
    *,
    judged: Iterable[ModelVersion] = (),
    decided: Iterable[Publication] = (),
) -> None:
    """Add rows to both tables, in the caller's transaction.

    Args:
        con: Connection to the pipeline's database.
        judged: Models; one whose bundle stands there already adds nothing.
        decided: Decisions, in their order. Their times are moved on where they would not be later
            than the one before, as after a clock was set back.
    """
    before = publications(con)
    at = before[-1].decided_at if before else None
    rows: list[dict[str, Any]] = []
    for each in decided:
        at = each.decided_at if at is None else max(each.decided_at, at + _TICK)
        rows.append({**vars(each), "decided_at": at})
    _create(con, "model_versions", _VERSIONS, [_row(each) for each in judged])
    _create(con, "publications", _PUBLICATIONS, rows)


def take_over(con: duckdb.DuckDBPyConnection, published: Path) -> None:
    """Take both tables from the published copy where the pipeline's database has none.

    So the history outlives a database that was damaged or moved away.

    Args:
        con: Connection to the pipeline's database, in a transaction.
        published: The analysts' file; where there is none, nothing is taken.
    """
    if "publications" in store.relations(con) or not published.is_file():
        return
    with contextlib.suppress(store.StoreError, duckdb.Error):
        with store.connect(published, read_only=True) as copy:
            judged, decided = model_versions(copy), publications(copy)
        add(con, judged=judged, decided=decided)


def _row(of: ModelVersion) -> dict[str, Any]:
    nothing = Interval(None)
    figures = {
        f"{name}{end}": value
        for name in FIGURES
        for end, value in _ends(of.metrics.get(name, nothing)).items()
    }
    said: dict[str, Any] = {
        **vars(of),
        "metrics": {name: vars(each) for name, each in of.metrics.items()},
    }
    difference = _ends(of.auc_difference)
    return {
        **{name: value for name, value in said.items() if name not in (*_JSON, "auc_difference")},
        "interactions_version": of.data_versions.get("interactions"),
        "samples_version": of.data_versions.get("samples"),
        **figures,
        **{f"auc_difference{end}": value for end, value in difference.items()},
        **{name: json.dumps(said[name], sort_keys=True, default=dict) for name in _JSON},
    }


def _ends(interval: Interval) -> dict[str, float | None]:
    return {"": interval.value, "_low": interval.low, "_high": interval.high}


def _version(row: Mapping[str, Any]) -> ModelVersion:
    said: dict[str, Any] = {name: json.loads(row[name] or "{}") for name in _JSON}
    said["metrics"] = {name: Interval(**each) for name, each in said["metrics"].items()}
    difference = (row[f"auc_difference{end}"] for end in ("", "_low", "_high"))
    plain = {name: row[name] for name in _PLAIN}
    return ModelVersion(**plain, **said, auc_difference=Interval(*difference))


_PLAIN = frozenset(ModelVersion.__dataclass_fields__) - {*_JSON, "auc_difference"}


def _kept(con: duckdb.DuckDBPyConnection, name: str, columns: Any) -> Any:
    """Read a table as it is, also one that an earlier version of this program made.

    A column that it lacks is NULL.
    """
    if name not in store.relations(con):
        return no_rows(columns)
    table = con.table(name).to_arrow_table()
    found = [
        table[column.name].cast(column.type)
        if column.name in table.column_names
        else pa.nulls(table.num_rows, column.type)
        for column in columns
    ]
    return pa.table(found, schema=columns)


def _create(
    con: duckdb.DuckDBPyConnection, name: str, columns: Any, rows: list[dict[str, Any]]
) -> None:
    given = {
        f"kept_{name}": _kept(con, name, columns),
        f"new_{name}": table_of(rows, columns),
    }
    for relation, content in given.items():
        con.register(relation, content)
    try:
        store.create_table(con, name)
    finally:
        for relation in given:
            store.unregister(con, relation)
