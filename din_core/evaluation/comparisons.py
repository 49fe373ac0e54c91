"""The model beside its rivals, sample for sample: popularity, co-occurrence, other models.

Every difference is one of pairs: the same test samples, and in each draw the same users. A rival
that was not asked about exactly these samples is not compared, and it is said why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from din_core.arrow_without_pandas import as_numpy
from din_core.evaluation import intervals
from din_core.evaluation.intervals import Interval
from din_core.evaluation.scored_rows import ScoredRows
from din_core.metrics import ScoredSamples, UserDraws, draw_users, ranking
from din_core.metrics.registry import OF_A_MODEL, OF_AN_ORDER, OF_TWO_MODELS
from din_core.store import sql_files

#: Ranks that the model is compared with popularity by.
_OF_RANKS = ("hr_at_10", "ndcg_at_10", "mrr")


@dataclass(frozen=True)
class Comparison:
    """A figure of the model minus that of a rival.

    Attributes:
        rival: ``popularity``, ``item_cooccurrence``, ``base_model`` or ``previous_model``.
        metric: Name of the figure.
        difference: The model's figure minus the rival's, with its interval.
        n_users: Users whose samples they were compared on.
        rival_version: Data version of a rival that is a model.
    """

    rival: str
    metric: str
    difference: Interval
    n_users: int
    rival_version: str | None = None


@dataclass(frozen=True)
class Scores:
    """The answers of another model on some test samples.

    Attributes:
        version: Its data version.
        score: Probabilities, ``[N]``, in the order of the samples; None where it was asked about
            others.
    """

    version: str
    score: npt.NDArray[Any] | None


def with_orders(
    rows: ScoredRows, cooccurrence: tuple[npt.NDArray[np.bool_], Any], draws: UserDraws
) -> Iterator[Comparison]:
    """Compare with orders that take no training: popularity and item co-occurrence.

    Args:
        rows: The test samples.
        cooccurrence: From :func:`din_core.evaluation.scored_rows.cooccurrence`.
        draws: Draws of their users.
    """
    yield from _pairs(
        "popularity", OF_AN_ORDER, rows.samples, rows.scored_by(rows.popularity), draws
    )
    asked, place = cooccurrence
    part, of_draws = rows.samples, draws
    rival = rows.scored_by(place)
    if not asked.all():
        part, rival = part.take(asked), rival.take(asked)
        of_draws = draw_users(part.user_idx)
    yield from _pairs("item_cooccurrence", OF_AN_ORDER, part, rival, of_draws)


def with_models(
    rows: ScoredRows, rivals: Mapping[str, Scores], draws: UserDraws
) -> Iterator[Comparison]:
    """Compare with other models that were asked about the same samples.

    Args:
        rows: The test samples.
        rivals: Their answers, by rival.
        draws: Draws of the samples' users.
    """
    for name, scores in rivals.items():
        if scores.score is not None:
            rival = rows.scored_by(scores.score)
            yield from _pairs(name, OF_TWO_MODELS, rows.samples, rival, draws, scores.version)


def of_ranks(
    user_idx: npt.NDArray[Any], candidates: str, rank: Any, popularity_rank: Any, draws: UserDraws
) -> Iterator[Comparison]:
    """Compare the ranks of test positives with those that popularity gives them.

    Args:
        user_idx: Whose each positive is, ``[M]``.
        candidates: What they were ranked among, ``sampled`` or ``all``.
        rank: By the model, ``[M]``.
        popularity_rank: By popularity, ``[M]``.
        draws: Draws of their users.
    """
    nothing = np.zeros(len(user_idx))
    samples = ScoredSamples(nothing, nothing, user_idx)
    ours, theirs = ranking.by_name(rank), ranking.by_name(popularity_rank)
    for name in _OF_RANKS:
        difference = intervals.of_mean(ours[name] - theirs[name], samples, draws)
        yield Comparison("popularity", f"{name}_{candidates}", difference, _n_users(user_idx))


def read_rivals(con: duckdb.DuckDBPyConnection, rows: ScoredRows) -> dict[str, Scores]:
    """Read the answers of the BaseModel and of the model before, where there are any.

    Args:
        con: Connection to the pipeline's database.
        rows: The test samples.
    """
    table = con.sql(sql_files.render("rival_predictions")).to_arrow_table()
    columns = {name: as_numpy(table[name]) for name in table.column_names}
    found: dict[str, Scores] = {}
    ours = (rows.samples.user_idx, rows.position, rows.k)
    for rival in dict.fromkeys(columns["rival"].tolist()):
        of_rival = columns["rival"] == rival
        theirs = (columns[name][of_rival] for name in ("user_idx", "position", "k"))
        same = all(np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))
        version = str(columns["model_version"][of_rival][0])
        found[rival] = Scores(version, columns["score"][of_rival] if same else None)
    return found


def _pairs(
    rival: str,
    metrics: Sequence[str],
    samples: ScoredSamples,
    of_rival: ScoredSamples,
    draws: UserDraws,
    version: str | None = None,
) -> Iterator[Comparison]:
    for name in metrics:
        difference = intervals.of_difference(OF_A_MODEL[name], samples, of_rival, draws)
        yield Comparison(rival, name, difference, _n_users(samples.user_idx), version)


def _n_users(user_idx: npt.NDArray[Any]) -> int:
    return len(np.unique(user_idx))
