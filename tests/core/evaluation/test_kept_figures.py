"""What is kept: figures of every model, the answers of the one before, what a score means."""

import pyarrow as pa
import pytest

from din_core.evaluation import metrics_table, rival_models, score_meaning
from din_core.evaluation.comparisons import Comparison
from din_core.evaluation.intervals import Interval
from din_core.evaluation.judgement import Evaluation, Figure
from din_core.evaluation.score_meaning import ScoreMeaning
from din_core.store import ledger

AUC = Evaluation((Figure("auc", Interval(0.8, 0.7, 0.9), 10),), n_samples=10, n_users=5)


def rows_of(con, query):
    return con.execute(query).fetchall()


def record(con, asset, version, options=None, **inputs):
    entry = ledger.Entry(
        asset=asset, data_version=version, code_version="", options=options or {}, inputs=inputs
    )
    ledger.record(con, entry)


def test_figures_of_an_earlier_model_stay_and_those_of_the_same_are_replaced(con):
    metrics_table.write_metrics(con, "m1", "test", AUC)
    again = Evaluation((Figure("auc", Interval(0.6), 10),), n_samples=10)
    metrics_table.write_metrics(con, "m2", "test", again)
    metrics_table.write_metrics(con, "m2", "test", AUC)
    assert rows_of(con, "select model_version, value, low, high, n_samples from metrics") == [
        ("m1", 0.8, 0.7, 0.9, 10),
        ("m2", 0.8, 0.7, 0.9, 10),
    ]
    assert rows_of(con, "select model_version, n_users from evaluated_model") == [("m2", 5)]


def test_table_of_an_earlier_version_of_the_program_is_carried_over(con):
    con.execute(
        "create table metrics as select 'm0' as model_version, 'test' as split, 'auc' as metric, "
        "0.7::double as value"
    )
    metrics_table.write_metrics(con, "m1", "test", AUC, source="one.csv")
    assert rows_of(con, "select * exclude (evaluated_at) from metrics") == [
        ("m0", "test", "all", "", "auc", 0.7, None, None, None, None, False),
        ("m1", "test", "all", "", "auc", 0.8, 0.7, 0.9, 10, "one.csv", True),
    ]
    assert rows_of(con, "select evaluated_at is null from metrics") == [(True,), (False,)]


def test_figures_are_read_back_as_they_were_written(con):
    con.execute("create table test_predictions as select 1 as user_idx from range(10)")
    written = Evaluation(
        (*AUC.figures, Figure("auc", Interval(None), 3, ("category_seen", "no"))),
        (Comparison("base_model", "auc", Interval(0.1, 0.05, 0.2), 5, "b1"),),
        n_samples=10,
    )
    metrics_table.write_metrics(con, "m1", "test", written)
    found = metrics_table.read_test(con, "m1")
    assert sorted(found.figures, key=str) == sorted(written.figures, key=str)
    assert found.comparisons == written.comparisons
    assert found.summary() == "test, 10 samples: auc 0.8000 ± 0.1000"


def test_version_of_the_figures_does_not_hang_on_the_model_before():
    difference = Interval(0.1, 0.05, 0.2)
    beside = Evaluation(AUC.figures, (Comparison("previous_model", "auc", difference, 5, "m0"),))
    other = Evaluation(AUC.figures, (Comparison("popularity", "auc", difference, 5),))
    nothing = Evaluation(AUC.figures)
    assert beside.content_version() == nothing.content_version() != other.content_version()


def predictions_of(con, model, score, samples="s1"):
    """Make `test_predictions` as the asset does, by a model of the version ``model``."""
    record(con, "samples", samples)
    record(con, "din_model", model)
    rival_models.keep_previous(con)
    con.execute(
        "create or replace table test_predictions as "
        f"select 1::int as user_idx, 2::int as position, 0::int as k, {score}::double as score"
    )
    record(con, "test_predictions", f"{model} {samples}", samples=samples, din_model=model)
    return rows_of(con, "select model_version, score from previous_predictions")


def test_answers_of_the_model_before_are_kept_while_the_samples_are_the_same(con):
    assert predictions_of(con, "m1", 0.1) == []
    assert predictions_of(con, "m1", 0.1) == []
    assert predictions_of(con, "m2", 0.2) == [("m1", 0.1)]
    # Made again by the same model, the one before is still the one before.
    assert predictions_of(con, "m2", 0.2) == [("m1", 0.1)]
    assert predictions_of(con, "m3", 0.3) == [("m2", 0.2)]
    assert predictions_of(con, "m2", 0.2) == [("m3", 0.3)]
    # Other samples: nobody else was asked about these.
    assert predictions_of(con, "m4", 0.4, samples="s2") == []
    assert predictions_of(con, "m5", 0.5, samples="s2") == [("m4", 0.4)]


@pytest.fixture
def log_of(con):
    """Make what a score's meaning is read from: labels of training samples, recorded options."""

    def make(labels, *, labelled=False, per_positive=1, **training):
        column = ", 1 as label" if labelled else ""
        con.execute(f"create table interactions as select 1 as user_id{column}")
        record(con, "negatives", "n", {"negatives_per_positive": per_positive})
        record(con, "din_model", "m", training)
        rows = pa.table({"label": labels})
        con.register("labels", rows)
        con.execute("create table sample_bounds as select label, 'train' as split from labels")
        con.unregister("labels")

    return make


def test_score_against_sampled_negatives_is_relative(con, log_of):
    log_of([1, 0, 1, 0], negatives="auto", per_positive=4)
    found = score_meaning.of_latest_model(con)
    # Redrawn every epoch, four to one, whatever the table holds.
    assert found == ScoreMeaning("relative", 0.2)
    assert found.odds_factor is None
    assert "relative, no rate of clicks" in found.sentence()


@pytest.mark.parametrize(
    ("training", "rate"),
    [
        ({"negatives": "fixed"}, 0.25),
        ({"negatives": "redrawn"}, 1 / 3),
        ({"negatives": "redrawn", "redrawn_per_positive": 9}, 0.1),
    ],
)
def test_trained_rate_is_that_of_the_negatives_that_training_saw(con, log_of, training, rate):
    log_of([1, 0, 0, 0], per_positive=2, **training)
    assert score_meaning.of_latest_model(con).trained_rate == pytest.approx(rate)


def test_score_of_logged_impressions_is_a_probability(con, log_of):
    log_of([1, 0, 0, 0], labelled=True, negatives="auto")
    found = score_meaning.of_latest_model(con)
    assert (found.score_is, found.trained_rate, found.odds_factor) == ("click_probability", 0.25, 1)


def test_base_rate_makes_a_probability_of_a_relative_score(con, log_of):
    log_of([1, 0], negatives="fixed")
    found = score_meaning.of_latest_model(con, base_rate=0.2)
    assert (found.score_is, found.odds_factor) == ("relative", pytest.approx(0.25))


def test_base_rate_is_of_no_use_where_training_saw_one_label(con, log_of):
    log_of([1, 1], negatives="fixed", per_positive=0)
    found = score_meaning.of_latest_model(con, base_rate=0.2)
    assert (found.trained_rate, found.odds_factor) == (None, None)
    assert "base rate 0.2 has no effect" in found.sentence()
