"""The test samples with the model's answers, and what they are judged by: one column each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from din_core.arrow_without_pandas import as_numpy
from din_core.metrics import ScoredSamples
from din_core.metrics.scored_samples import Floats
from din_core.store import sql_files
from din_core.tables import recorded_choices, sequences

# Test users whom item co-occurrence is asked for. Who it is compared on is told beside the figure.
_MAX_USERS = 50_000


@dataclass(frozen=True)
class ScoredRows:
    """The test samples, ordered by user, position and k.

    Attributes:
        samples: Labels, the model's scores, and whose they are, ``[N]``.
        user_id: Id of the user, as in the source, ``[N]``.
        item_id: Id of the candidate, as in the source, ``[N]``.
        item_idx: Index of the candidate, ``[N]``.
        position: With ``k`` and the user what names a sample, ``[N]``.
        k: 0 for the positive, 1 … n for its negatives, ``[N]``.
        popularity: Training interactions with the candidate, ``[N]``.
        history_length: Events that the model saw, ``[N]``.
        category_seen: 1.0 where the history holds the candidate's first attribute, 0.0 where it
            does not, NaN where the attribute is unknown or there is none, ``[N]``.
        seconds_since_last: From the last event of the history to the sample, NaN where there is no
            history, ``[N]``.
    """

    samples: ScoredSamples
    user_id: npt.NDArray[Any]
    item_id: npt.NDArray[Any]
    item_idx: npt.NDArray[Any]
    position: npt.NDArray[Any]
    k: npt.NDArray[Any]
    popularity: npt.NDArray[Any]
    history_length: npt.NDArray[Any]
    category_seen: Floats
    seconds_since_last: Floats

    def __len__(self) -> int:
        """N."""
        return len(self.samples)

    def scored_by(self, score: npt.NDArray[Any]) -> ScoredSamples:
        """Return the same samples with the answers of somebody else, ``[N]``."""
        return ScoredSamples(self.samples.label, score, self.samples.user_idx)


def read(con: duckdb.DuckDBPyConnection) -> ScoredRows:
    """Read the test samples with the answers in ``test_predictions``.

    Args:
        con: Connection to the pipeline's database.
    """
    context = sequences.template_context(
        con,
        recorded_choices.source_config(con),
        recorded_choices.sequence_config(con),
        for_table="test_predictions",
    )
    query = sql_files.render("scored_test_samples", **context.variables())
    rows: dict[str, Any] = {name: as_numpy(column) for name, column in _columns(con, query).items()}
    return ScoredRows(
        samples=ScoredSamples(rows["label"], rows["score"], rows["user_idx"]),
        user_id=rows["user_id"],
        item_id=rows["item_id"],
        item_idx=rows["target_item_idx"],
        position=rows["position"],
        k=rows["k"],
        popularity=rows["item_popularity"],
        history_length=rows["history_length"],
        category_seen=rows["category_seen"].astype(np.float64),
        seconds_since_last=rows["seconds_since_last"].astype(np.float64),
    )


def cooccurrence(
    con: duckdb.DuckDBPyConnection, of: ScoredRows
) -> tuple[npt.NDArray[np.bool_], Floats]:
    """Score the test samples by item co-occurrence, ties by popularity.

    Args:
        con: Connection to the pipeline's database.
        of: The samples.

    Returns:
        Which samples were asked about (all, or on a large log those of some users), ``[N]``, and
        the place of each in the order that co-occurrence gives, NaN of those that were not,
        ``[N]``.
    """
    users = of.samples.user_idx
    one_user_in = max(1, len(np.unique(users)) // _MAX_USERS)
    asked = users % one_user_in == 0
    query = sql_files.render("item_cooccurrence", one_user_in=one_user_in)
    rows = {name: as_numpy(column) for name, column in _columns(con, query).items()}
    place = np.full(len(of), np.nan)
    strength = np.asarray(rows["strength"], dtype=np.int64)
    both = np.stack([strength, np.asarray(of.popularity, dtype=np.int64)[asked]], axis=1)
    _, order = np.unique(both, axis=0, return_inverse=True)
    place[asked] = order.ravel()
    return asked, place


def _columns(con: duckdb.DuckDBPyConnection, query: str) -> dict[str, Any]:
    table = con.sql(query).to_arrow_table()
    return dict(zip(table.column_names, table.columns, strict=True))
