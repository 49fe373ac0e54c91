"""The figures of a run: what stops it, what is compared with what, and what the page shows."""

import base64
import copy
import io
import shutil

import dagster as dg
import duckdb
import numpy as np
import pytest
from PIL import Image

from tests.assets.small_pipeline import failure_of, up_to, write_rows


def check_of(result):
    [found] = [
        each
        for each in result.get_asset_check_evaluations()
        if each.check_name == "test_auc_beats_popularity"
    ]
    return found


def lists_with_shuffled_labels(path, n_users=2_200, n_lists=4, seed=3):
    """Lists of two impressions each, one of which is clicked: which one, chance decides."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(n_users):
        for moment in range(n_lists):
            items = rng.choice(40, 2, replace=False)
            clicked = rng.integers(2)
            rows += [
                f"{user},{item},{moment},{item % 5},{int(place == clicked)}"
                for place, item in enumerate(items)
            ]
    return write_rows(path, *rows, header="user_id,item_id,time,cate_id,label")


@pytest.mark.usefixtures("without_delivery")
def test_model_of_shuffled_labels_stops_a_run_that_can_tell_unless_allowed(pipeline, tmp_path):
    log = lists_with_shuffled_labels(tmp_path / "log.csv")
    pipeline.config["ops"]["interactions"] = {"config": {"path": str(log)}}
    result = pipeline.run(*up_to("test_auc"), "warehouse")
    message = failure_of(result)
    assert message.startswith("Nothing was committed. test_auc_beats_popularity: 1 finding, ")
    assert "The model does not beat popularity: its AUC" in message
    assert "2,200 users" in message
    assert "allow_no_better_than_popularity (ops: test_auc: config)" in message
    found = check_of(result)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "Train longer" in found.metadata["what_to_do"].value
    assert found.metadata["offending_rows"].value == 1
    assert "| popularity | auc | " in found.metadata["examples"].value
    assert "test_auc" not in pipeline.versions()
    assert not (pipeline.home / "warehouse.duckdb").exists()

    pipeline.config["ops"]["test_auc"] = {"config": {"allow_no_better_than_popularity": True}}
    result = pipeline.run("test_auc", "warehouse")
    assert result.success
    found = check_of(result)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    [(value, low, high)] = pipeline.query(
        "select value, low, high from current_metrics where metric = 'auc'"
    )
    assert low < 0.5 < high
    assert value == pytest.approx(0.5, abs=0.04)
    # The log has impressions, so a score is a probability of a click.
    assert pipeline.query("select score_is, odds_factor from evaluated_model") == [
        ("click_probability", 1.0)
    ]
    assert pipeline.query("from predictions where click_probability is distinct from score") == []


def test_small_log_is_told_that_it_is_too_small_and_goes_on(finished):
    found = check_of(finished.result)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "The log is too small to tell" in found.description
    assert "Read a longer log" in found.metadata["what_to_do"].value


def test_score_against_sampled_negatives_is_no_rate_of_clicks(finished):
    made = {
        event.asset_key.to_user_string(): event.materialization.metadata
        for event in finished.result.get_asset_materialization_events()
    }
    shown = made["test_auc"]
    assert shown["score_is"].value == made["din_model"]["score_is"].value == "relative"
    assert "no rate of clicks" in shown["what_a_score_means"].value
    assert finished.query("select count(click_probability) from predictions") == [(0,)]


def test_page_of_the_figures_shows_pictures_and_rivals(finished):
    [shown] = [
        event.materialization.metadata
        for event in finished.result.get_asset_materialization_events()
        if event.asset_key.to_user_string() == "test_auc"
    ]
    for name in ("roc_and_reliability", "auc_by_slice"):
        _, _, encoded = shown[name].md_str.rpartition("base64,")
        png = base64.b64decode(encoded.removesuffix(")"))
        assert len(png) < 40_000
        with Image.open(io.BytesIO(png)) as picture:
            assert picture.width == 720
    assert "| auc | -0.0497 | -0.0932 | -0.0050 | 60 |" in shown["comparisons"].md_str


def test_figures_are_those_of_an_independent_computation(finished):
    rows = finished.query("select label, score from predictions order by score desc")
    label, score = (np.asarray(column) for column in zip(*rows, strict=True))
    figures = dict(finished.query("select metric, value from current_metrics"))
    above = score[label == 1][:, None] - score[label == 0]
    assert figures["auc"] == pytest.approx((above > 0).mean() + 0.5 * (above == 0).mean())
    assert figures["logloss"] == pytest.approx(-np.log(np.where(label, score, 1 - score)).mean())
    # The precision at the score of each positive, with all that have the same score.
    precisions = [label[score >= each].mean() for each in score[label == 1]]
    assert figures["pr_auc"] == pytest.approx(np.mean(precisions))
    by_slice = finished.query(
        "select slice, sum(samples) from metrics_by_slice group by slice order by slice"
    )
    assert by_slice == [
        (name, len(label))
        for name in ("category_seen", "history_length", "item_popularity", "time_since_last")
    ]


@pytest.mark.usefixtures("without_pictures")
def test_another_model_is_compared_with_the_one_before_whose_results_are_not_mistaken_for_its_own(
    finished, pipeline
):
    shutil.copytree(finished.home, pipeline.home)
    before = pipeline.versions()["din_model"]
    previous = (
        "select rival_version, metric, difference from comparisons "
        "join evaluated_model using (model_version) where rival = 'previous_model' order by metric"
    )
    ranks = "from current_metrics where metric like 'hr_at%'"
    figures = "select metric, value from current_metrics"
    assert pipeline.query(previous) == []
    assert pipeline.query(ranks) != []
    old = dict(pipeline.query(figures))
    pipeline.config["ops"]["din_model"]["config"] |= {"seed": 1, "n_epoch": 1}
    assert pipeline.run("din_model", "test_predictions", "test_auc").success
    assert pipeline.query(ranks) == []  # those there are belong to the model before
    # The two are compared on the same samples.
    new = dict(pipeline.query(figures))
    assert pipeline.query(previous) == [
        (before, name, pytest.approx(new[name] - old[name], abs=1e-12))
        for name in ("auc", "gauc", "logloss")
    ]
    # Figures belong to the model that answered, also where another one was trained since.
    answered = pipeline.versions()["din_model"]
    pipeline.config["ops"]["din_model"]["config"]["seed"] = 2
    assert pipeline.run("din_model", "test_auc").success
    assert pipeline.query("select model_version from evaluated_model") == [(answered,)]


def test_figures_before_their_inputs_say_what_to_make_first(finished, pipeline):
    shutil.copytree(finished.home, pipeline.home)
    with duckdb.connect(str(pipeline.home / "pipeline.duckdb")) as con:
        con.execute("drop table test_rankings")
        con.execute("delete from ledger where asset = 'test_rankings'")
    message = failure_of(pipeline.run("test_auc"))
    assert message.startswith("'test_auc' is made from test_rankings, not materialized yet")


@pytest.mark.usefixtures("without_pictures")
def test_model_is_compared_with_the_base_model_where_asked(finished, pipeline):
    shutil.copytree(finished.home, pipeline.home)
    rivals = "select distinct rival from comparisons order by 1"
    assert pipeline.query(rivals) == [("item_cooccurrence",), ("popularity",)]
    assert pipeline.query("from base_model_predictions") == []
    pipeline.config["ops"]["base_model_predictions"] = {"config": {"train": True}}
    assert pipeline.run("base_model_predictions", "test_auc").success
    assert pipeline.query(rivals) == [("base_model",), ("item_cooccurrence",), ("popularity",)]
    [(difference,)] = pipeline.query(
        "select difference from comparisons where rival = 'base_model' and metric = 'auc'"
    )
    assert difference != 0
    counts = "select count(*) from "
    assert pipeline.query(counts + "base_model_predictions") == pipeline.query(
        counts + "test_predictions"
    )
    assert not list((pipeline.home / "checkpoints").glob("base_model/*"))

    # A model that is a BaseModel itself has none beside it; the next run does without.
    options = copy.deepcopy(pipeline.config)
    options["ops"]["din_model"]["config"] = {
        "model": "base_model", "embed_dim": 4, "mlp_dims": [8], "n_epoch": 1, "batch_size": 256,
        "num_threads": 1,
    }  # fmt: skip
    message = failure_of(pipeline.run("din_model", "base_model_predictions", config=options))
    assert "din_model is a BaseModel" in message
    assert "ops: base_model_predictions: config" in message
