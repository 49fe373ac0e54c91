"""From scores to metrics: a model beside what popularity and, where known, the oracle reach.

What a model is measured by is named in :mod:`din_core.metrics.registry`. Everything is computed
from the table ``test_predictions``, so that an analyst who queries it gets the same numbers. The
figures of every model version stay in the table ``metrics``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from din_core import metrics, store
from din_core.metrics.registry import OF_A_MODEL
from din_core.store import sql_files
from din_core.tables import recorded_choices

#: In the order in which they are told.
_METRICS = (*OF_A_MODEL, "popularity_auc", "oracle_auc")


@dataclass(frozen=True)
class Evaluation:
    """The figures of one model on one split.

    Attributes:
        values: Metric by name: the model's own, ``popularity_auc`` (the AUC of ordering by an
            item's training interactions) and, on the synthetic log, ``oracle_auc`` (of ordering by
            the true propensity). None where one is undefined, such as the AUC of one label only.
        n_samples: Samples they were computed on.
    """

    values: Mapping[str, float | None]
    n_samples: int

    @property
    def share_of_reachable(self) -> float | None:
        """How far the model got from popularity's AUC (0) to the oracle's (1)."""
        model, floor = self.values.get("auc"), self.values.get("popularity_auc")
        ceiling = self.values.get("oracle_auc")
        if model is None or floor is None or ceiling is None or ceiling == floor:
            return None
        return (model - floor) / (ceiling - floor)

    @property
    def rela_impr(self) -> float | None:
        """RelaImpr of the paper over popularity's order, in percent (equation 8 there)."""
        model, base = self.values.get("auc"), self.values.get("popularity_auc")
        if model is None or base is None or base == 0.5:
            return None
        return metrics.rela_impr(model, base)

    def metrics(self) -> dict[str, float]:
        """Return every figure that is defined, the number of samples included."""
        everything = {
            **self.values,
            "rela_impr_over_popularity": self.rela_impr,
            "share_of_reachable": self.share_of_reachable,
            "n_samples": self.n_samples,
        }
        return {name: value for name, value in everything.items() if value is not None}

    def summary(self) -> str:
        """Return the figures on one line, for a terminal."""
        parts = [f"{name} {value:.4f}" for name, value in self.values.items() if value is not None]
        if (share := self.share_of_reachable) is not None:
            parts.append(f"{share:.0%} of the way from popularity to the oracle")
        return f"test, {self.n_samples:,} samples: " + (", ".join(parts) or "nothing to measure")

    def warnings(self) -> list[str]:
        """Return what a reader of the figures should know about them."""
        if self.n_samples == 0:
            return [
                "the log has no test sample: no user has two events (two times, in a labelled log)"
            ]
        if self.values.get("auc") is None:
            return ["the test samples have one label only, so their AUC is undefined"]
        if self.n_samples < 1_000:
            return [f"{self.n_samples} test samples are too few for an AUC to mean much"]
        return []

    def content_version(self) -> str:
        """Return a hash of the figures alone."""
        content = json.dumps([dict(self.values), self.n_samples], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:32]


def write_test_predictions(con: duckdb.DuckDBPyConnection, scores: Any) -> int:
    """Make the table ``test_predictions`` from a model's answers, in the caller's transaction.

    Args:
        con: Connection to the pipeline's database.
        scores: Arrow table of one row a test sample: ``user_idx``, ``position``, ``k`` and
            ``score`` in [0, 1].

    Returns:
        Rows of the table.
    """
    con.register("model_scores", scores)
    try:
        return store.create_table(con, "test_predictions")
    finally:
        con.unregister("model_scores")


def evaluate_test(con: duckdb.DuckDBPyConnection) -> Evaluation:
    """Compute the figures of the predictions in ``test_predictions``.

    Where the source was the synthetic log, its true propensities give the oracle's AUC.
    """
    rows = con.sql(sql_files.render("scored_test_samples")).to_arrow_table()
    label = rows["label"].to_numpy()
    scored = metrics.ScoredSamples(label, rows["score"].to_numpy(), rows["user_idx"].to_numpy())
    values = {name: metric(scored) for name, metric in OF_A_MODEL.items()}
    values["popularity_auc"] = metrics.auc(label, rows["item_popularity"].to_numpy())
    synthetic = recorded_choices.synthetic_config(con)
    if synthetic is not None and len(label) > 0:
        from din_core.datasets.synthetic import generate

        propensity = generate(synthetic).propensity(
            rows["user_id"].to_numpy(), rows["item_id"].to_numpy()
        )
        values["oracle_auc"] = metrics.auc(label, propensity)
    return Evaluation(values=values, n_samples=len(label))


def read_test(con: duckdb.DuckDBPyConnection, model_version: str) -> Evaluation:
    """Return the figures on the test split that were written for a model.

    Args:
        con: Connection to the pipeline's database.
        model_version: Data version of the model.
    """
    rows = con.execute(
        "select metric, value from metrics where model_version = ? and split = 'test'",
        [model_version],
    ).fetchall()
    found = dict(rows)
    # In the order of the sentence, whatever that of the table.
    values = {name: found.pop(name) for name in _METRICS if name in found}
    return Evaluation(values | found, store.row_count(con, "test_predictions"))


def write_metrics(
    con: duckdb.DuckDBPyConnection, model_version: str, split: str, evaluation: Evaluation
) -> None:
    """Add a model's figures to the table ``metrics``; those of other models stay.

    Args:
        con: Connection to the pipeline's database, in a transaction.
        model_version: Data version of the model.
        split: The split the figures were computed on.
        evaluation: The figures.
    """
    new = pa.table(
        {
            "model_version": [model_version] * len(evaluation.values),
            "split": [split] * len(evaluation.values),
            "metric": list(evaluation.values),
            "value": pa.array(evaluation.values.values(), pa.float64()),
        }
    )
    con.register("new_metrics", new)
    try:
        con.execute("create table if not exists metrics as from new_metrics where false")
        store.create_table(con, "metrics")
    finally:
        con.unregister("new_metrics")
