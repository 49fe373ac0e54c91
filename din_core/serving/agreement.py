"""The proof that a bundle, asked as a server asks it, answers as the pipeline's tables say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from din_core.arrow_without_pandas import as_numpy
from din_core.errors import DinError
from din_core.serving.ranker import Ranker
from din_core.store import sql_files
from din_core.tables import recorded_choices

if TYPE_CHECKING:
    import duckdb

    from din_core.tables.template_context import TemplateContext

#: Difference of two probabilities of one row up to which a bundle and the table ``predictions``
#: agree: some hundred roundings of float32.
TOLERANCE = 1e-5
_MAX_ROWS = 10_000


class BundleDiffersError(DinError):
    """A bundle answers otherwise than the model did, so it must not be published."""


def rows_to_ask(
    con: duckdb.DuckDBPyConnection,
    context: TemplateContext,
    *,
    with_times: bool,
    max_rows: int,
    one_user_in: int = 1,
) -> Any:
    """Return test rows of ``samples`` with their labels, and what the latest model answered.

    Args:
        con: Connection to the pipeline's database.
        context: How the samples were made; its ``max_history`` cuts the histories.
        with_times: Whether the rows have the times that numbers of the log are counted by.
        max_rows: How many rows at most, in the order of users.
        one_user_in: Of how many users one is asked about.

    Returns:
        Arrow table with the columns that :meth:`Ranker.score` takes, and ``user_idx``, ``label``
        and ``score``.
    """
    query = sql_files.render(
        "served_test_samples",
        **context.variables(),
        with_times=with_times,
        max_rows=max_rows,
        one_user_in=one_user_in,
    )
    return con.sql(query).to_arrow_table()


def require_agreement(con: duckdb.DuckDBPyConnection, folder: Path) -> tuple[float, int]:
    """Score test rows of ``samples`` with a bundle, and compare with what the model answered.

    Args:
        con: Connection to the pipeline's database.
        folder: The bundle.

    Returns:
        The largest difference of two probabilities, and how many rows were compared: the first
        10,000.

    Raises:
        BundleDiffersError: They differ by more than :data:`TOLERANCE`.
    """
    context = recorded_choices.recorded_context(con)
    ranker = Ranker(folder)
    with_times = bool(ranker.bundle.log_numbers)
    rows = rows_to_ask(con, context, with_times=with_times, max_rows=_MAX_ROWS)
    scores = ranker.score(rows)
    difference = float(np.abs(scores - as_numpy(rows["score"])).max(initial=0.0))
    if not difference <= TOLERANCE:
        raise BundleDiffersError(
            f"the bundle's score of a test sample differs from the table predictions by "
            f"{difference:.2g}, and {TOLERANCE:g} is allowed: nothing is published. Was "
            "test_predictions made with this model (materialize it again)? Otherwise please report "
            "it with the versions of torch and onnxruntime"
        )
    return difference, len(rows)
