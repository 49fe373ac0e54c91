"""Two models on the same test rows: the difference of their AUCs, drawn in pairs over users.

A bundle is asked as a server asks it, by the ids of the log and its own vocabularies, so that
models of other vocabularies, histories and options can be compared. Shapes: N rows.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from din_core import metrics, store
from din_core.arrow_without_pandas import as_numpy
from din_core.evaluation import intervals
from din_core.evaluation.intervals import Interval
from din_core.metrics import ScoredSamples
from din_core.metrics.registry import OF_A_MODEL
from din_core.serving.agreement import rows_to_ask
from din_core.serving.ranker import Ranker
from din_core.store import ledger, sql_files
from din_core.tables import recorded_choices

if TYPE_CHECKING:
    import duckdb

    from din_core.serving.bundle.contents import Bundle

#: Test rows that a bundle is asked about, at most; of a larger split some users stand for all.
MAX_ROWS = 200_000

#: Options that decide which rows are test rows, by asset, but for the length of histories.
_SPLITTING = ("known_ids", "samples")
_OF_HISTORY = "max_history"


@dataclass(frozen=True)
class Paired:
    """One model beside another one on the same test rows.

    Attributes:
        difference: The first one's AUC minus the second one's.
        n_samples: Rows.
        one_user_in: Of how many users one was asked about.
    """

    difference: Interval
    n_samples: int
    one_user_in: int = 1

    def sentence(self) -> str:
        """Say the difference with its interval, and what it was computed on."""
        found = self.difference
        told = "cannot be told" if found.value is None else f"{found.value:+.4f}"
        if found.low is not None and found.high is not None:
            told += f" (95% interval {found.low:+.4f} to {found.high:+.4f})"
        part = "" if self.one_user_in == 1 else f", of one user in {self.one_user_in}"
        return f"difference of AUC {told} on the same {self.n_samples:,} test rows{part}"


def with_latest(
    con: duckdb.DuckDBPyConnection, folder: Path, *, max_rows: int = MAX_ROWS
) -> Paired:
    """Compare the model whose answers are in ``test_predictions`` with a bundle.

    Args:
        con: Connection to the pipeline's database.
        folder: The bundle of the other model.
        max_rows: Rows that it is asked about, at most.

    Raises:
        BundleError: It cannot be used.
        WrongRequestError: It cannot score these rows: ids of another type, or a column is missing.
    """
    rows, scores, one_user_in = _asked(con, folder, max_rows)
    return _paired(rows, as_numpy(rows["score"]), scores, one_user_in)


def of_two(
    con: duckdb.DuckDBPyConnection, one: Path, other: Path, *, max_rows: int = MAX_ROWS
) -> Paired:
    """Compare two bundles.

    Args:
        con: Connection to the pipeline's database, or to the published copy.
        one: The bundle whose AUC the other one's is taken from.
        other: The other one.
        max_rows: As of :func:`with_latest`.

    Raises:
        BundleError: One of them cannot be used.
        WrongRequestError: One of them cannot score these rows.
    """
    rows, ours, one_user_in = _asked(con, one, max_rows)
    _, theirs, _ = _asked(con, other, max_rows)
    return _paired(rows, ours, theirs, one_user_in)


def doubt(con: duckdb.DuckDBPyConnection, bundle: Bundle) -> str | None:
    """Say why a bundle's model may have been trained on rows that are test rows now.

    A log that only grew cannot do that: a row that was trained on stays before the test rows.

    Args:
        con: Connection to the pipeline's database.
        bundle: The bundle.
    """
    made = ledger.entries(con)
    was: dict[str, dict[str, Any]] = bundle.about.get("options", {})
    for asset in _SPLITTING:
        now = dict(made[asset].options) if asset in made else {}
        then = was.get(asset, {})
        for name in sorted({*now, *then} - {_OF_HISTORY}):
            if now.get(name) != then.get(name):
                return (
                    f"{asset}.{name} was {then.get(name)} when it was trained, now {now.get(name)}"
                )
    versions = bundle.about.get("data_versions", {})
    if "interactions" in made and versions.get("interactions") == made["interactions"].data_version:
        return None
    [(_, _, events, _, last)] = con.execute(sql_files.render("log_summary")).fetchall()
    before = bundle.about.get("log", {})
    events_then, last_then = before.get("events") or 0, before.get("last_time")
    if events < events_then:
        return f"the log was longer when it was trained ({events_then:,} events, now {events:,})"
    if last_then is not None and (last is None or last < last_then):
        times = f"to the time {last_then:.0f}, now to {'none' if last is None else f'{last:.0f}'}"
        return f"the log went on longer when it was trained ({times})"
    if events == events_then:
        return "the log was corrected since it was trained"
    return None


def _asked(con: duckdb.DuckDBPyConnection, folder: Path, max_rows: int) -> tuple[Any, Any, int]:
    """Ask a bundle about test rows: the rows, its scores ``[N]``, of how many users one was."""
    ranker = Ranker(folder)
    bundle = ranker.bundle
    # The model is shown histories as long as it was trained on, whatever the present one takes.
    context = dataclasses.replace(
        recorded_choices.recorded_context(con), max_history=bundle.max_history
    )
    one_user_in = max(1, -(-store.row_count(con, "test_predictions") // max_rows))
    rows = rows_to_ask(
        con,
        context,
        with_times=bool(bundle.log_numbers),
        max_rows=max_rows,
        one_user_in=one_user_in,
    )
    return rows, ranker.score(rows), one_user_in


def _paired(rows: Any, ours: Any, theirs: Any, one_user_in: int) -> Paired:
    label, user_idx = as_numpy(rows["label"]), as_numpy(rows["user_idx"])
    difference = intervals.of_difference(
        OF_A_MODEL["auc"],
        ScoredSamples(label, ours, user_idx),
        ScoredSamples(label, theirs, user_idx),
        metrics.draw_users(user_idx),
    )
    return Paired(difference, len(label), one_user_in)
