"""The table ``attention_weights``: explanations of test samples, event by event, in ids.

What is computed says :mod:`din_core.evaluation.explanations`; the columns are those of
``sql/evaluation/attention_weights.sql``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa

from din_core import store
from din_core.arrow_without_pandas import numbers
from din_core.evaluation import explanations
from din_core.evaluation.meaning_of_weights import meaning_of_weights
from din_core.inputs import times
from din_core.tables import recorded_choices
from din_core.tables.attributes import Attribute
from din_core.tables.sequences import template_context

if TYPE_CHECKING:
    from din_core.config import ExplanationConfig
    from din_core.evaluation.explanations import Explanation
    from din_core.inputs.training_data import Samples, TrainingData
    from din_core.network.models import ClickModel
    from din_core.tables.template_context import TemplateContext

TABLE = "attention_weights"


@dataclass(frozen=True)
class Written:
    """What became of it.

    Attributes:
        n_samples: Samples that are explained.
        n_users: Their users.
        context: What the SQL was rendered with; the checks take it, too.
        meaning: What the weights are and are not, in a sentence.
    """

    n_samples: int
    n_users: int
    context: TemplateContext
    meaning: str


def write(con: duckdb.DuckDBPyConnection, model: ClickModel, config: ExplanationConfig) -> Written:
    """Explain test samples and make the table of it, in the caller's transaction.

    Args:
        con: Connection to the pipeline's database, with the samples.
        model: The latest model.
        config: Which samples.
    """
    data = times.load_for(con, model.log_numbers)
    samples = explanations.samples_to_explain(data, config)
    explanation = explanations.explain_samples(model, data, samples)
    context = template_context(
        con,
        recorded_choices.source_config(con),
        recorded_choices.sequence_config(con, {}),
        for_table=TABLE,
    )
    rows = _rows(data, samples, explanation, context.item_attributes, model.weights_are_shares)
    con.register("event_explanations", rows)
    try:
        store.create_table(con, TABLE, **context.variables())
    finally:
        store.unregister(con, "event_explanations")
    return Written(
        n_samples=len(samples),
        n_users=len(np.unique(samples.user)),
        context=context,
        meaning=meaning_of_weights(bool(explanation.weights), model.weights_are_shares),
    )


def _rows(
    data: TrainingData,
    samples: Samples,
    explanation: Explanation,
    attributes: tuple[Attribute, ...],
    weights_are_shares: bool,
) -> Any:
    """The answers as an Arrow table, one row an event, in indices."""
    sample = explanation.sample
    # Positions of a user count from 1, in the rows of the log from the user's first one.
    begins = samples.start - data.user_offsets[samples.user - 1] + 1
    place = np.arange(len(sample)) - explanation.offsets[sample]
    weights = {
        f"attention_weight_{stem}": explanation.weights.get(f"hist_{index}")
        for stem, index in [("item", "item_idx"), *((a.stem, a.index_name) for a in attributes)]
    }
    columns = {
        "user_idx": (samples.user[sample], pa.int32()),
        "position": (samples.position[sample], pa.int32()),
        "k": (samples.k[sample], pa.int32()),
        "history_position": (begins[sample] + place, pa.int64()),
        "score": (explanation.score[sample], pa.float64()),
        "score_without": (explanation.score_without, pa.float64()),
        "log_odds": (explanation.log_odds[sample], pa.float64()),
        "log_odds_without": (explanation.log_odds_without, pa.float64()),
        "weights_are_shares": (np.full(len(sample), weights_are_shares), pa.bool_()),
        **{name: (values, pa.float64()) for name, values in weights.items()},
    }
    nothing: Any = pa.nulls(len(sample), pa.float64())
    return pa.table(
        {
            name: nothing if values is None else numbers(values, kind)
            for name, (values, kind) in columns.items()
        }
    )
