"""A model that takes every number of the log: one run of everything, and its bundle at work."""

from __future__ import annotations

import json
import random
from typing import get_args

import duckdb
import numpy as np
import pytest

from din_assets.command import cli
from din_core.config import LogNumber
from din_core.serving import attach
from din_core.serving.ranker import Ranker
from tests.assets.small_pipeline import Pipeline, failure_of, run_history, up_to, write_rows
from tests.assets.stand_ins import stand_in_for_pictures

DAY = 86_400
NAMES = list(get_args(LogNumber))


def rows(n_users=20, n_events=9):
    """180 rows over three years, some of a user's at one moment."""
    chance = random.Random(3)
    for user in range(n_users):
        moments = sorted(chance.randrange(0, 1000, 10) for _ in range(n_events - 1))
        for day in [*moments, moments[-1]]:
            item = min(chance.randrange(25), chance.randrange(25))
            yield f"{user},{item},{day * DAY},{item % 4}"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The pipeline after a run of everything, a BaseModel beside the model included."""
    folder = tmp_path_factory.mktemp("log_numbers")
    log = write_rows(folder / "log.csv", *rows())
    with pytest.MonkeyPatch.context() as patch, run_history() as instance:
        stand_in_for_pictures(patch)
        pipeline = Pipeline(folder / "data", instance)
        pipeline.config["ops"]["interactions"] = {"config": {"path": str(log)}}
        pipeline.config["ops"]["samples"] = {"config": {"max_history": 4}}
        pipeline.config["ops"]["din_model"]["config"] |= {"log_numbers": NAMES, "n_epoch": 3}
        pipeline.config["ops"]["base_model_predictions"] = {"config": {"train": True}}
        result = pipeline.run()
        assert result.success, failure_of(result)
        yield pipeline


@pytest.fixture(scope="module")
def ranker(made):
    return Ranker(made.home / "artifacts" / "bundle" / "current")


def test_every_asset_is_made_of_a_model_with_numbers_of_the_log(made, ranker):
    every = {"test_rankings", "attention_weights", "base_model_predictions", "bundle", "warehouse"}
    assert every <= made.versions().keys()
    assert made.query("select count(*) > 0 from base_model_predictions") == [(True,)]
    assert ranker.bundle.context == ranker.bundle.log_numbers == NAMES


def asked_of_the_model(made):
    """Test samples as the model saw them: moment, history with its times, and the answer."""
    return made.query(
        """
        select
            users.user_id,
            items.item_id,
            cast(test_predictions.score as double),
            any_value(cast(asked.time as double)),
            list(history_items.item_id order by past.position),
            list(cast(past.time as double) order by past.position)
        from test_predictions
        inner join users using (user_idx)
        inner join items on test_predictions.target_item_idx = items.item_idx
        inner join events as asked using (user_idx, position)
        inner join events as past
            on
                past.user_idx = test_predictions.user_idx
                and past.position <= test_predictions.history_end
        inner join items as history_items on past.item_idx = history_items.item_idx
        group by all
        order by all
        limit 30
        """
    )


def test_a_request_with_its_moment_has_the_answer_of_the_model(made, ranker):
    for user, item, expected, at, history, times in asked_of_the_model(made):
        asked = {"user_id": user, "history": history, "at": at, "history_times": times}
        ranking = ranker.rank(**asked, candidates=[item], exclude_history=False)
        assert ranking.probability == pytest.approx([expected], abs=1e-5)
        explanation = ranker.explain(**asked, item_id=item)
        assert explanation.probability == pytest.approx(expected, abs=1e-5)


def test_pairs_and_sql_go_by_the_end_of_the_log(made, ranker):
    bundle = made.home / "artifacts" / "bundle" / "current"
    candidates = list(range(25))
    at_the_end = ranker.rank(user_id=3, candidates=candidates, exclude_history=False, k=25)
    by_item = dict(at_the_end)
    with duckdb.connect(str(made.home / "pipeline.duckdb"), read_only=True) as con:
        [(end,)] = con.execute("select cast(max(time) as double) from events").fetchall()
    said = ranker.rank(user_id=3, candidates=candidates, exclude_history=False, k=25, at=end)
    assert dict(said) == pytest.approx(by_item, abs=1e-6)
    few = ranker.score_pairs([3, 4, 3], [7, 7, 8])  # scored as rows, more of them user by user
    assert few[[0, 2]] == pytest.approx([by_item[7], by_item[8]], abs=1e-6)
    with attach(bundle) as con:
        scores = con.sql("select din_score(3, range) from range(25) order by range").fetchnumpy()
    [column] = scores.values()
    assert np.asarray(column) == pytest.approx([by_item[item] for item in candidates], abs=1e-6)
    later = ranker.rank(user_id=3, candidates=candidates, exclude_history=False, k=25, at=2 * end)
    assert dict(later) != pytest.approx(by_item, abs=1e-6)


def test_commands_say_the_moment(made, ranker, capsys):
    bundle = str(made.home / "artifacts" / "bundle" / "current")
    asked = ["--user", "3", "--bundle", bundle, "--json"]
    expected = ranker.rank(user_id=3, k=1, at=900 * DAY)
    for moment in (str(900 * DAY), "1972-06-19"):
        assert cli.main(["rank", *asked, "--top", "1", "--at", moment]) == 0
        [item] = json.loads(capsys.readouterr().out)["items"]
        assert item["probability"] == pytest.approx(float(expected.probability[0]), abs=1e-6)
        best = str(expected.item_id[0])
        assert cli.main(["explain", *asked, "--item", best, "--at", moment]) == 0
        explained = json.loads(capsys.readouterr().out)
        assert explained["probability"] == pytest.approx(item["probability"], abs=1e-6)
    assert cli.main(["rank", *asked, "--at", "noon"]) == 2
    assert "'noon' is neither a number of seconds nor a time as" in capsys.readouterr().err


@pytest.mark.usefixtures("without_pictures")
def test_a_logged_negative_is_counted_for_its_own_moment(tmp_path, monkeypatch):
    """The bundle is compared with the model's answers, so the run succeeds only where it is."""
    # Graphs in ids, which take most of the time, are those of the tests above.
    monkeypatch.setattr("din_core.serving.graphs.writing.MOST_IDS", 10)
    chance = random.Random(5)
    shown = [
        # Every other user is shown one of the items a week after the one that is taken.
        f"{user},{item},{(moment * 40 + 7 * (place == 2) * (user % 2)) * DAY},{int(place == 0)},"
        f"{item % 4},b{item % 3}"
        for user in range(20)
        for moment in range(6)
        for place, item in enumerate(chance.sample(range(25), 3))
    ]
    log = write_rows(
        tmp_path / "log.csv", *shown, header="user_id,item_id,time,label,cate_id,brand"
    )
    with run_history() as instance:
        pipeline = Pipeline(tmp_path / "data", instance)
        # The first attribute, by which categories are compared, is not the first by its name.
        attributes = {"path": str(log), "item_attribute_cols": ["cate_id", "brand"]}
        pipeline.config["ops"]["interactions"] = {"config": attributes}
        pipeline.config["ops"]["din_model"]["config"]["log_numbers"] = NAMES
        result = pipeline.run(*up_to("bundle"))
        assert result.success, failure_of(result)
        [made] = result.asset_materializations_for_node("bundle")
        # Of a user's last moment: three, or the item that is shown after the last one taken.
        assert made.metadata["compared_samples"].value == 10 * 3 + 10 * 1
