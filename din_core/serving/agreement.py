"""The proof that a bundle, asked as a server asks it, answers as the pipeline's tables say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from din_core.errors import DinError
from din_core.serving.ranker import Ranker
from din_core.store import sql_files
from din_core.tables import recorded_choices

if TYPE_CHECKING:
    import duckdb

#: Difference of two probabilities of one row up to which a bundle and the table ``predictions``
#: agree: some hundred roundings of float32.
TOLERANCE = 1e-5


class BundleDiffersError(DinError):
    """A bundle answers otherwise than the model did, so it must not be published."""


def require_agreement(con: duckdb.DuckDBPyConnection, folder: Path) -> tuple[float, int]:
    """Score test rows of ``samples`` with a bundle, and compare with what the model answered.

    Args:
        con: Connection to the pipeline's database.
        folder: The bundle.

    Returns:
        The largest difference of two probabilities, and how many rows were compared: at most those
        that ``served_test_samples.sql`` gives.

    Raises:
        BundleDiffersError: They differ by more than :data:`TOLERANCE`.
    """
    context = recorded_choices.recorded_context(con)
    ranker = Ranker(folder)
    with_times = bool(ranker.bundle.log_numbers)
    query = sql_files.render("served_test_samples", **context.variables(), with_times=with_times)
    rows = con.sql(query).to_arrow_table()
    scores = ranker.score(rows)
    difference = float(np.abs(scores - rows["score"].to_numpy()).max(initial=0.0))
    if not difference <= TOLERANCE:
        raise BundleDiffersError(
            f"the bundle's score of a test sample differs from the table predictions by "
            f"{difference:.2g}, and {TOLERANCE:g} is allowed: nothing is published. Was "
            "test_predictions made with this model (materialize it again)? Otherwise please report "
            "it with the versions of torch and onnxruntime"
        )
    return difference, len(rows)
