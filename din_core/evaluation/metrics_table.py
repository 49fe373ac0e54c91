"""The tables of a model's figures: ``metrics``, ``comparisons``, ``evaluated_model``.

The figures of every model version stay, so that two models can be compared in SQL. What is computed
says :mod:`din_core.evaluation.judgement`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa

from din_core import store
from din_core.arrow_without_pandas import no_rows, table_of
from din_core.evaluation.comparisons import Comparison
from din_core.evaluation.intervals import Interval
from din_core.evaluation.judgement import Evaluation, Figure

# Whose figures a row has beside its model: what was judged, and when (UTC).
_JUDGED = {"source": pa.string(), "evaluated_at": pa.timestamp("us")}
_METRICS = pa.schema(
    {
        "model_version": pa.string(),
        "split": pa.string(),
        "slice": pa.string(),
        "slice_value": pa.string(),
        "metric": pa.string(),
        "value": pa.float64(),
        "low": pa.float64(),
        "high": pa.float64(),
        "n_samples": pa.int64(),
        **_JUDGED,
    }
)
_COMPARISONS = pa.schema(
    {
        "model_version": pa.string(),
        "rival": pa.string(),
        "rival_version": pa.string(),
        "metric": pa.string(),
        "difference": pa.float64(),
        "low": pa.float64(),
        "high": pa.float64(),
        "n_users": pa.int64(),
        **_JUDGED,
    }
)
_EVALUATED_MODEL = pa.schema(
    {
        "model_version": pa.string(),
        "score_is": pa.string(),
        "trained_rate": pa.float64(),
        "base_rate": pa.float64(),
        "odds_factor": pa.float64(),
        "n_samples": pa.int64(),
        "n_users": pa.int64(),
    }
)
# What an earlier version of this program left out of a row.
_WAS = {"slice": "all", "slice_value": ""}


def write_test_predictions(con: duckdb.DuckDBPyConnection, scores: Any) -> int:
    """Make the table ``test_predictions`` from a model's answers, in the caller's transaction.

    Args:
        con: Connection to the pipeline's database.
        scores: Arrow table of one row a test sample: ``user_idx``, ``position``, ``k`` and
            ``score`` in [0, 1].

    Returns:
        Rows of the table.
    """
    return _create(con, "test_predictions", model_scores=scores)


def write_test_rankings(con: duckdb.DuckDBPyConnection, ranks: Any) -> int:
    """Make the table ``test_rankings``, in the caller's transaction.

    Args:
        con: Connection to the pipeline's database.
        ranks: From :func:`din_core.evaluation.rankings.rank_test_positives`.

    Returns:
        Rows of the table.
    """
    return _create(con, "test_rankings", model_ranks=ranks)


def write_metrics(
    con: duckdb.DuckDBPyConnection,
    model_version: str,
    split: str,
    evaluation: Evaluation,
    *,
    source: str | None = None,
) -> None:
    """Add a model's figures to ``metrics`` and ``comparisons``; those of other models stay.

    Args:
        con: Connection to the pipeline's database, in a transaction.
        model_version: Data version of the model.
        split: The split the figures were computed on.
        evaluation: The figures.
        source: Name of the log that the samples are of, without its place on this machine.
    """
    judged = {"source": source, "evaluated_at": datetime.now(UTC).replace(tzinfo=None)}
    figures = [
        {
            "model_version": model_version,
            "split": split,
            "slice": each.part[0],
            "slice_value": each.part[1],
            "metric": each.metric,
            **vars(each.interval),
            "n_samples": each.n_samples,
            **judged,
        }
        for each in evaluation.figures
    ]
    beside = [
        {
            "model_version": model_version,
            "rival": each.rival,
            "rival_version": each.rival_version,
            "metric": each.metric,
            "difference": each.difference.value,
            "low": each.difference.low,
            "high": each.difference.high,
            "n_users": each.n_users,
            **judged,
        }
        for each in evaluation.comparisons
    ]
    kept_metrics, kept_comparisons = (
        _kept(con, name, columns)
        for name, columns in (("metrics", _METRICS), ("comparisons", _COMPARISONS))
    )
    _create(
        con,
        "metrics",
        kept_metrics=kept_metrics,
        new_metrics=table_of(figures, _METRICS),
    )
    _create(
        con,
        "comparisons",
        kept_comparisons=kept_comparisons,
        new_comparisons=table_of(beside, _COMPARISONS),
    )
    meaning = evaluation.meaning
    row = {
        "model_version": model_version,
        "score_is": None if meaning is None else meaning.score_is,
        "trained_rate": None if meaning is None else meaning.trained_rate,
        "base_rate": None if meaning is None else meaning.base_rate,
        "odds_factor": None if meaning is None else meaning.odds_factor,
        "n_samples": evaluation.n_samples,
        "n_users": evaluation.n_users,
    }
    _create(
        con,
        "evaluated_model",
        new_evaluated_model=table_of([row], _EVALUATED_MODEL),
    )


def read_test(con: duckdb.DuckDBPyConnection, model_version: str) -> Evaluation:
    """Return the figures on the test split that were written for a model.

    Args:
        con: Connection to the pipeline's database.
        model_version: Data version of the model.
    """
    rows = con.execute(
        "select metric, value, low, high, n_samples, slice, slice_value from metrics "
        "where model_version = ? and split = 'test'",
        [model_version],
    ).fetchall()
    beside = con.execute(
        "select rival, metric, difference, low, high, n_users, rival_version from comparisons "
        "where model_version = ?",
        [model_version],
    ).fetchall()
    return Evaluation(
        figures=tuple(
            Figure(metric, Interval(value, low, high), n_samples, (name, part))
            for metric, value, low, high, n_samples, name, part in rows
        ),
        comparisons=tuple(
            Comparison(rival, metric, Interval(difference, low, high), n_users, version)
            for rival, metric, difference, low, high, n_users, version in beside
        ),
        n_samples=store.row_count(con, "test_predictions"),
    )


def _kept(con: duckdb.DuckDBPyConnection, name: str, columns: Any) -> Any:
    """Read a table as it was, also one that an earlier version of this program made.

    What that one did not know is NULL, and a figure without a slice is one of the whole split.
    """
    if name not in store.relations(con):
        return no_rows(columns)
    table = con.table(name).to_arrow_table()
    n_rows = table.num_rows
    found = [
        table[column.name].cast(column.type)
        if column.name in table.column_names
        else pa.array([_WAS.get(column.name)] * n_rows, column.type)
        for column in columns
    ]
    return pa.table(found, schema=columns)


def _create(con: duckdb.DuckDBPyConnection, name: str, **given: Any) -> int:
    for relation, rows in given.items():
        con.register(relation, rows)
    try:
        return store.create_table(con, name)
    finally:
        for relation in given:
            store.unregister(con, relation)
