"""Tables that the analysts' views are made of, written by hand."""

from datetime import UTC, datetime

from din_core import store
from din_core.evaluation import metrics_table
from din_core.evaluation.comparisons import Comparison
from din_core.evaluation.intervals import Interval
from din_core.evaluation.judgement import Evaluation, Figure
from din_core.evaluation.score_meaning import ScoreMeaning
from din_core.tables import analytics, sequences

#: Seconds of the log as the views show them.
AT = [datetime.fromtimestamp(second, UTC).replace(tzinfo=None) for second in range(7)]


def create_interactions(con, columns, rows):
    values = ", ".join(
        "(" + ", ".join("null" if v is None else repr(v) for v in (*row, "x.csv", line)) + ")"
        for line, row in enumerate(rows, start=2)
    )
    con.execute(
        f"create or replace table interactions as select * from (values {values}) "
        f"as listed ({', '.join([*columns, 'file', 'line'])})"
    )


def create_figures(con, base_rate=None):
    """The tables of a model's figures, with one number each."""
    meaning = ScoreMeaning("click_probability", 0.5, base_rate)
    figures = (
        Figure("auc", Interval(0.75, 0.5, 1.0), 6),
        Figure("auc", Interval(0.25, 0.0, 0.5), 4, ("category_seen", "no")),
        Figure("gauc", Interval(0.5), 4, ("category_seen", "no")),
    )
    beside = (Comparison("popularity", "auc", Interval(0.1, -0.1, 0.3), 3),)
    result = Evaluation(figures, beside, n_samples=6, n_users=3, meaning=meaning)
    metrics_table.write_metrics(con, "m1", "test", result)


def create_scored_views(con, source, choices):
    """All tables and views of `interactions`, the model giving every sample the same score."""
    sequences.build(con, source, choices, in_ids=True)
    con.execute(
        "create table model_scores as select user_idx, position, k, 0.5 as score from sample_bounds"
    )
    store.create_table(con, "test_predictions")
    create_figures(con)
    analytics.create_views(con, sequences.template_context(con, source, choices))


def rows_of(con, query):
    return con.execute(query).fetchall()
