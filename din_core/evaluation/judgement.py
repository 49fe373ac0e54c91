"""From the answers on the test split to figures: with intervals, by slice, beside rivals.

What a model is measured by is named in :mod:`din_core.metrics.registry`. Everything is computed
from ``test_predictions`` and ``test_rankings``, so that an analyst who queries them gets the same
numbers. :mod:`din_core.evaluation.metrics_table` keeps them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np

from din_core import metrics
from din_core.arrow_without_pandas import as_numpy
from din_core.config import EvaluationConfig
from din_core.evaluation import comparisons, intervals, scored_rows, slices, verdict
from din_core.evaluation.comparisons import Comparison
from din_core.evaluation.intervals import Interval
from din_core.evaluation.score_meaning import ScoreMeaning, of_latest_model
from din_core.evaluation.scored_rows import ScoredRows
from din_core.metrics import ScoredSamples, UserDraws, area_under_curve, ranking
from din_core.metrics.registry import OF_A_MODEL, OF_A_SLICE
from din_core.store import ledger, sql_files
from din_core.tables import recorded_choices

#: Figures that the line for a terminal tells, in its order.
_TOLD = (*OF_A_MODEL, "popularity_auc", "item_cooccurrence_auc", "oracle_auc")
#: Figures that are followed from run to run, the main ones first. All others are in the table.
_FOLLOWED = (
    *_TOLD, "share_of_reachable", "mrr_all", "hr_at_10_all", "ndcg_at_10_all", "mrr_sampled",
    "hr_at_10_sampled", "ndcg_at_10_sampled", "n_samples",
)  # fmt: skip
WHOLE = ("all", "")


@dataclass(frozen=True)
class Figure:
    """One number of one model.

    Attributes:
        metric: Its name.
        interval: The number with its interval.
        n_samples: What it was computed on: samples, or ranked positives.
        part: Slice and its part; ``("all", "")`` for the whole split.
    """

    metric: str
    interval: Interval
    n_samples: int
    part: tuple[str, str] = WHOLE


@dataclass(frozen=True)
class Evaluation:
    """The figures of one model on one split.

    Attributes:
        figures: The model's own, those of rivals under their names (``popularity_auc``,
            ``item_cooccurrence_auc`` and, on the synthetic log, ``oracle_auc``, of ordering by the
            true propensity), ranks, and slices.
        comparisons: The model beside its rivals.
        n_samples: Samples of the split.
        n_users: Their users.
        meaning: What a score means; None where the figures were read back.
        notes: What could not be compared, and why.
        rows: The samples, for pictures; None where the figures were read back.
    """

    figures: tuple[Figure, ...]
    comparisons: tuple[Comparison, ...] = ()
    n_samples: int = 0
    n_users: int = 0
    meaning: ScoreMeaning | None = None
    notes: tuple[str, ...] = ()
    rows: ScoredRows | None = None

    @property
    def whole(self) -> Mapping[str, Interval]:
        """The figures of the whole split, by name."""
        return {each.metric: each.interval for each in self.figures if each.part == WHOLE}

    @property
    def values(self) -> Mapping[str, float | None]:
        """Their values."""
        return {name: interval.value for name, interval in self.whole.items()}

    @property
    def verdict(self) -> verdict.Verdict:
        """Whether the model beats popularity."""
        return verdict.over_popularity(self.comparisons)

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
        """Return every figure of the whole split that is defined, and the number of samples."""
        everything = {
            **self.values,
            "rela_impr_over_popularity": self.rela_impr,
            "share_of_reachable": self.share_of_reachable,
            "n_samples": self.n_samples,
        }
        return {name: value for name, value in everything.items() if value is not None}

    def followed(self) -> dict[str, float]:
        """Return the figures that are worth following from run to run, the main ones first."""
        known = self.metrics()
        return {name: known[name] for name in _FOLLOWED if name in known}

    def summary(self) -> str:
        """Return the figures on one line, for a terminal."""
        parts: list[str] = []
        for name in _TOLD:
            found = self.whole.get(name, Interval(None))
            if found.value is None:
                continue
            margin = "" if found.half_width is None else f" ± {found.half_width:.4f}"
            parts.append(f"{name} {found.value:.4f}{margin}")
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
        told = list(self.notes)
        if self.n_samples < 1_000:
            told.append(f"{self.n_samples} test samples are too few for an AUC to mean much")
        if self.verdict.outcome != "better":
            told.append(self.verdict.sentence)
        return told

    def content_version(self) -> str:
        """Return a hash of the figures alone.

        What the model before reached is left out: the same log, code and options have one version,
        whatever was published before.
        """
        content = json.dumps(
            [
                [(each.metric, vars(each.interval), each.part) for each in self.figures],
                [
                    (each.rival, each.metric, vars(each.difference), each.n_users)
                    for each in self.comparisons
                    if each.rival != "previous_model"
                ],
                None if self.meaning is None else vars(self.meaning),
                self.n_samples,
            ],
            sort_keys=True,
        )
        return hashlib.sha256(content.encode()).hexdigest()[:32]


def evaluate_test(
    con: duckdb.DuckDBPyConnection, config: EvaluationConfig | None = None
) -> Evaluation:
    """Compute the figures of the predictions in ``test_predictions``.

    Where the source was the synthetic log, its true propensities give the oracle's AUC.

    Args:
        con: Connection to the pipeline's database.
        config: What the figures are held against.
    """
    config = config or EvaluationConfig()
    rows = scored_rows.read(con)
    draws = metrics.draw_users(rows.samples.user_idx)
    cooccurrence = scored_rows.cooccurrence(con, rows)
    rivals = comparisons.read_rivals(con, rows)
    of_ranks = list(_of_ranks(con))
    notes = [
        f"the {name.replace('_', ' ')} is not compared: it was asked about other test samples"
        for name, scores in rivals.items()
        if scores.score is None
    ]
    made = ledger.entries(con)
    if rivals.keys() & {"base_model"} and ledger.changed_inputs(made, "base_model_predictions"):
        del rivals["base_model"]
        notes.append(_outdated("base_model_predictions", made))
    if of_ranks and ledger.changed_inputs(made, "test_rankings"):
        of_ranks = []
        notes.append(_outdated("test_rankings", made))
    return Evaluation(
        figures=(
            *_of_model(rows, draws),
            *_of_rivals(con, rows, cooccurrence, draws),
            *(each for each in of_ranks if isinstance(each, Figure)),
            *_of_slices(rows, draws),
        ),
        comparisons=(
            *comparisons.with_orders(rows, cooccurrence, draws),
            *comparisons.with_models(rows, rivals, draws),
            *(each for each in of_ranks if isinstance(each, Comparison)),
        ),
        n_samples=len(rows),
        n_users=draws.n_users,
        meaning=of_latest_model(con, config.base_rate),
        notes=tuple(notes),
        rows=rows,
    )


def _outdated(asset: str, made: Mapping[str, ledger.Entry]) -> str:
    """Say that a result is left out, since it belongs to another state of what it is made from."""
    inputs = ", ".join(ledger.changed_inputs(made, asset))
    return (
        f"{asset} is left out: it was made of another state of {inputs}; materialize it again, or "
        "run `din run`"
    )


def _of_model(rows: ScoredRows, draws: UserDraws) -> Iterator[Figure]:
    for name, metric in OF_A_MODEL.items():
        yield Figure(name, intervals.of_metric(metric, rows.samples, draws), len(rows))
    left_out = area_under_curve.users_left_out(rows.samples)
    yield Figure("gauc_users_left_out", Interval(float(left_out)), len(rows))


def _of_rivals(
    con: duckdb.DuckDBPyConnection, rows: ScoredRows, cooccurrence: Any, draws: UserDraws
) -> Iterator[Figure]:
    auc = OF_A_MODEL["auc"]

    def figure(name: str, of: ScoredSamples, drawn: UserDraws) -> Figure:
        return Figure(name, intervals.of_metric(auc, of, drawn), len(of))

    yield figure("popularity_auc", rows.scored_by(rows.popularity), draws)
    asked, place = cooccurrence
    of_cooccurrence = rows.scored_by(place).take(asked)
    yield figure(
        "item_cooccurrence_auc",
        of_cooccurrence,
        draws if asked.all() else metrics.draw_users(of_cooccurrence.user_idx),
    )
    synthetic = recorded_choices.synthetic_config(con)
    if synthetic is not None and len(rows) > 0:
        from din_core.datasets.synthetic import generate

        propensity = generate(synthetic).propensity(rows.user_id, rows.item_id)
        yield figure("oracle_auc", rows.scored_by(propensity), draws)


def _of_slices(rows: ScoredRows, draws: UserDraws) -> Iterator[Figure]:
    for name, part, chosen in slices.parts_of(rows):
        samples = rows.samples.take(chosen)
        for metric in OF_A_SLICE:
            interval = intervals.of_metric(OF_A_MODEL[metric], samples, draws)
            yield Figure(metric, interval, len(samples), (name, part))


def _of_ranks(con: duckdb.DuckDBPyConnection) -> Iterator[Figure | Comparison]:
    table = con.sql(sql_files.render("ranked_test_positives")).to_arrow_table()
    columns: dict[str, Any] = {name: as_numpy(table[name]) for name in table.column_names}
    for candidates in dict.fromkeys(columns["candidates"].tolist()):
        chosen = columns["candidates"] == candidates
        user_idx, rank = columns["user_idx"][chosen], columns["rank"][chosen]
        draws = metrics.draw_users(user_idx)
        nothing = np.zeros(len(user_idx))
        samples = ScoredSamples(nothing, nothing, user_idx)
        for name, values in ranking.by_name(rank).items():
            interval = intervals.of_mean(values, samples, draws)
            yield Figure(f"{name}_{candidates}", interval, len(user_idx))
        yield from comparisons.of_ranks(
            user_idx, str(candidates), rank, columns["popularity_rank"][chosen], draws
        )
