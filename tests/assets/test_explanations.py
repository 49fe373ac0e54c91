"""The table `attention_weights`: test answers explained event by event, in ids."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from din_core.evaluation.meaning_of_weights import meaning_of_weights
from din_core.store import database
from tests.assets.small_pipeline import failure_of
from tests.assets.stand_ins import stand_in_for_the_index_graph
from tests.assets.test_pipeline import materializations


def test_every_event_of_the_explained_samples_has_a_row_in_ids(finished):
    rows = finished.query(
        """
        select
            weights.hist_item_id = samples.hist_item_id[weights.place],
            weights.hist_cate_id = samples.hist_cate_id[weights.place],
            weights.target_cate_id = samples.target_cate_id,
            weights.n_events = samples.history_length,
        from (
            select *,
                row_number() over (partition by user_id, k order by history_position) as place,
                count(*) over (partition by user_id, k) as n_events
            from attention_weights
        ) as weights
        inner join samples using (user_id, position, label, target_item_id)
        where samples.split = 'test'
        """
    )
    assert len(rows) == finished.query("select count(*) from attention_weights")[0][0] > 0
    assert set(rows) == {(True, True, True, True)}


def test_scores_are_the_predictions_and_changes_are_differences(finished):
    rows = finished.query(
        """
        select weights.score, predictions.score, score_without, score_change, log_odds_change
        from attention_weights as weights
        inner join users using (user_id)
        inner join test_predictions as predictions using (user_idx, position, k)
        """
    )
    score, predicted, without, change, log_odds = np.array(rows).T
    np.testing.assert_allclose(score, predicted, rtol=0, atol=1e-6)
    np.testing.assert_allclose(change, score - without, rtol=0, atol=1e-12)
    expected = np.log(score / (1 - score)) - np.log(without / (1 - without))
    np.testing.assert_allclose(log_odds, expected, rtol=0, atol=1e-6)
    assert np.any(change)


def test_page_says_what_weights_are(finished):
    metadata = materializations(finished.result)["attention_weights"].metadata
    assert metadata["explained_users"].value == 60
    assert "no shares" in metadata["meaning_of_weights"].text


def test_published_table_says_it_too(finished):
    with database.connect(finished.home / "warehouse.duckdb", read_only=True) as con:
        [(comment,)] = con.execute(
            "select comment from duckdb_tables() where table_name = 'attention_weights'"
        ).fetchall()
    assert "Weights are shares of 1 only where weights_are_shares is true" in comment


def test_pictures_are_kept_and_shown(finished):
    metadata = materializations(finished.result)["attention_pictures"].metadata
    [folder] = (finished.home / "artifacts" / "attention_pictures").iterdir()
    for name in ("changes", "weights", "categories"):
        assert (folder / f"{name}.png").stat().st_size > 0
        assert (folder / f"{name}.svg").stat().st_size > 0
        assert "data:image/png;base64," in metadata[name].md_str


# Such a log ends green in test_pipeline.py, too: "one item" of TOO_SMALL, whose users have an event
# each.
@pytest.mark.thorough
@pytest.mark.usefixtures("without_drawn_network")
def test_log_without_test_samples_ends_green_without_explanations(pipeline, write_csv, monkeypatch):
    stand_in_for_the_index_graph(monkeypatch)
    log = write_csv("u,i,1,c", "v,j,2,c")
    pipeline.config["ops"]["interactions"] = {"config": {"path": str(log)}}
    pipeline.config["ops"]["din_model"]["config"]["allow_untrained"] = True
    result = pipeline.run()
    assert result.success, failure_of(result)
    assert pipeline.query("select count(*) from attention_weights") == [(0,)]


@pytest.mark.usefixtures("without_delivery")
def test_options_change_what_is_explained(finished, pipeline):
    shutil.copytree(finished.home, pipeline.home)
    pipeline.config["ops"]["din_model"]["config"] |= {"use_softmax": True, "n_epoch": 1}
    pipeline.config["ops"]["attention_weights"] = {"config": {"n_users": 3}}
    assert pipeline.run("din_model", "attention_weights").success
    sums = pipeline.query(
        "select user_id, sum(attention_weight_item), sum(attention_weight_cate), "
        "bool_and(weights_are_shares) from attention_weights group by user_id, k"
    )
    assert len({user for user, *_ in sums}) == 3
    np.testing.assert_allclose([row[1:3] for row in sums], 1.0, rtol=0, atol=1e-6)
    assert all(are_shares for *_, are_shares in sums)


def test_history_that_is_not_whole_is_not_committed(finished, pipeline, monkeypatch):
    from din_core.evaluation import attention_table

    shutil.copytree(finished.home, pipeline.home)
    before = pipeline.versions()["attention_weights"]
    rows = attention_table._rows
    monkeypatch.setattr(attention_table, "_rows", lambda *arguments: rows(*arguments).slice(1))
    failure = failure_of(pipeline.run("attention_weights"))
    assert "attention_weights_complete" in failure
    assert pipeline.versions()["attention_weights"] == before


def test_meaning_of_weights_follows_the_model():
    assert "no attention" in meaning_of_weights(False, False)
    assert "add up to 1" in meaning_of_weights(True, True)
    assert "no shares" in meaning_of_weights(True, False)
