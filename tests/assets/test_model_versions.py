"""Every model is kept; a worse one is not published, and one can go back."""

import json
import re
import shutil

import dagster as dg
import duckdb
import numpy as np
import pytest

from din_assets.command import cli
from din_assets.runs import paths
from din_core.serving import Ranker
from din_core.serving.bundle.contents import Bundle
from din_core.serving.publication import comparison, history, judgement
from din_core.serving.publication.decision import Case, decide
from tests.assets.small_pipeline import run_history, write_rows
from tests.assets.stand_ins import stand_in_for_the_graphs
from tests.assets.two_models import (
    GOOD,
    OTHER,
    ROWS,
    WORSE,
    House,
    entered,
    without_what_is_not_asked,
)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A good model, then one that has learnt nothing."""
    folder = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patch, run_history() as instance:
        without_what_is_not_asked(patch)
        house = House(folder / "data", instance, write_rows(folder / "log.csv", *ROWS))
        house.judge(GOOD)
        good = house.bundle()
        house.run(WORSE)
        yield folder, good, house


@pytest.fixture
def house(two, tmp_path, monkeypatch):
    """A copy of the house after both models."""
    return entered(two, tmp_path, monkeypatch, "data")


@pytest.fixture(scope="module")
def and_another(two):
    """The same, where a third model was made, better than the second, and kept back at first."""
    folder, _, before = two
    shutil.copytree(folder / "data", folder / "third", symlinks=True)
    third = House(folder / "third", before.instance, before.csv)
    third.options["din_model"]["config"].update(WORSE)
    with pytest.MonkeyPatch.context() as patch:
        without_what_is_not_asked(patch)
        stand_in_for_the_graphs(patch)
        third.judge(OTHER, publish="never")
    return third


@pytest.fixture
def house_of_three(two, and_another, tmp_path, monkeypatch):
    """A copy of the house after three models."""
    return entered(two, tmp_path, monkeypatch, "third")


def auc_by_pairs(label, score):
    """The share of pairs in which the positive stands above, a tie counting half."""
    positive, negative = score[label == 1], score[label == 0]
    above = positive[:, None] > negative[None, :]
    equal = positive[:, None] == negative[None, :]
    return (above + 0.5 * equal).mean()


def test_worse_model_is_refused_and_the_good_one_stays_served(two, house):
    _, good, _ = two
    versions, decided = house.tables()
    assert [each.action for each in decided] == ["published", "refused"]
    assert [each.decision for each in versions] == ["published", "refused"]
    assert decided[0].bundle_version == good == house.current()
    assert house.bundle() == decided[1].bundle_version != good
    assert versions[1].compared_with == good
    assert versions[1].auc_difference.high < 0
    assert "significantly worse" in decided[1].reason
    assert "`publish: always`" in decided[1].reason
    assert f"din rollback {decided[1].bundle_version[:12]}" in decided[1].reason


def test_figures_in_a_file_are_those_of_the_refused_model_and_the_help_says_so(
    house, tmp_path, capsys
):
    assert cli.main(["metrics", "--json", str(tmp_path / "now.json")]) == 0
    assert json.loads((tmp_path / "now.json").read_text())["model_version"] == house.model()
    assert f"Model `{house.model()}`." in capsys.readouterr().out
    assert cli.main(["metrics", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "the model that was made last, published or refused" in said


def test_difference_is_the_paired_one_of_both_on_the_same_rows(two, house):
    """Computed from the tables and the bundle alone: users drawn by hand, pairs counted."""
    _, good, _ = two
    with duckdb.connect(str(house.home / "warehouse.duckdb"), read_only=True) as con:
        rows = con.sql(
            """
            select user_idx, label, score, user_id, target_item_id, hist_item_id
            from samples
            inner join predictions using (user_id, target_item_id, position, label)
            inner join users using (user_id)
            where split = 'test'
            order by user_idx, position, label desc
            """
        ).to_arrow_table()
    label, user = rows["label"].to_numpy(), rows["user_idx"].to_numpy()
    ours = rows["score"].to_numpy()
    theirs = Ranker(house.home / "artifacts" / "bundle" / good).score(rows)
    assert len(label) == 80
    difference = auc_by_pairs(label, ours) - auc_by_pairs(label, theirs)
    rng, drawn = np.random.default_rng(2022), []
    rows_of = [np.flatnonzero(user == each) for each in np.unique(user)]
    for _ in range(300):
        chosen = np.concatenate([rows_of[each] for each in rng.integers(0, 40, 40)])
        drawn.append(
            auc_by_pairs(label[chosen], ours[chosen]) - auc_by_pairs(label[chosen], theirs[chosen])
        )
    low, high = np.percentile(np.asarray(drawn) - difference, [2.5, 97.5]) + difference
    found = house.tables()[0][1].auc_difference
    assert [found.value, found.low, found.high] == pytest.approx([difference, low, high], abs=1e-4)
    assert house.tables()[0][1].n_compared_samples == 80


def test_large_split_is_judged_by_some_of_all_users(two, house):
    _, good, _ = two
    with duckdb.connect(str(house.home / "pipeline.duckdb"), read_only=True) as con:
        found = comparison.with_latest(con, house.home / "artifacts" / "bundle" / good, max_rows=30)
    # Of 40 users those with the indices 3, 6 … 39, with two rows each.
    assert (found.n_samples, found.one_user_in) == (26, 3)
    assert found.sentence().endswith("on the same 26 test rows, of one user in 3")


def test_published_model_is_shown_histories_as_long_as_it_was_trained_on(house):
    house.options["samples"] = {"config": {"max_history": 1}}
    house.judge()
    good, _, shorter = house.tables()[0]
    assert shorter.compared_with == good.bundle_version
    # The test rows are the same, and so is what the good model answers to them.
    difference = shorter.metrics["auc"].value - good.metrics["auc"].value
    assert shorter.auc_difference.value == pytest.approx(difference, abs=1e-6)
    assert "mind that" not in house.tables()[1][-1].reason


def test_row_says_what_the_model_came_from(house):
    made, row = house.made(), house.tables()[0][1]
    assert row.model_version == house.model()
    assert row.source == "log.csv"
    assert row.data_versions["interactions"] == made["interactions"].data_version
    assert row.data_versions["samples"] == made["samples"].data_version
    assert row.options["din_model"]["learning_rate"] == 1e-9
    assert row.libraries.keys() >= {"torch", "duckdb", "python"}
    assert row.n_test_samples == 80
    assert row.n_test_users == 40
    assert row.metrics["auc"].low <= row.metrics["auc"].value <= row.metrics["auc"].high
    assert row.artifacts["din_model"] == made["din_model"].artifact
    with duckdb.connect(str(house.home / "warehouse.duckdb"), read_only=True) as con:
        auc, samples, said = con.execute(
            "select auc, samples_version, options from model_versions where model_version = ?",
            [house.model()],
        ).fetchone()
    assert auc == row.metrics["auc"].value
    # Those of the whole test split, as the table has them; slices have figures of the same names.
    with duckdb.connect(str(house.home / "warehouse.duckdb"), read_only=True) as con:
        figures = con.execute(
            "select metric, value, low, high from metrics "
            "where split = 'test' and slice = 'all' and model_version = ?",
            [house.model()],
        ).fetchall()
    of_row = {(name, each.value, each.low, each.high) for name, each in row.metrics.items()}
    assert of_row == set(figures)
    assert samples == made["samples"].data_version
    assert str(house.home) not in said


def test_run_with_nothing_changed_adds_nothing(house):
    before = house.tables()
    assert house.run() == {}
    # Nor does the same model where it is judged once more.
    with duckdb.connect(str(house.home / "pipeline.duckdb")) as con:
        con.execute("update ledger set code_version = 'other' where asset = 'model_versions'")
    assert house.run() == {"model_versions": ("code changed",)}
    assert house.tables() == before
    assert house.tables("warehouse") == before


def test_summary_of_a_run_says_that_the_model_is_not_served(house, capsys):
    from din_assets.command import outcome
    from din_assets.runs.resources import StoreResource
    from din_assets.runs.story import Story

    told, store = Story(), StoreResource(home=str(house.home))
    outcome.show(store, [], told, seconds=1)
    [mind] = [line for line in capsys.readouterr().out.splitlines() if "not published" in line]
    assert mind.startswith(f"Mind: model {house.model()[:12]} is not published")
    assert "significantly worse" in mind

    # Nor is it said a second time where the step has said it.
    told.tell(mind.removeprefix("Mind: ").removesuffix("."))
    outcome.show(store, [], told, seconds=1)
    assert "not published" not in capsys.readouterr().out


def test_model_that_is_not_served_fails_a_check_that_says_what_to_do(two, house):
    _, good, _ = two
    house.judge(publish="never")
    found = latest_check(house)
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.WARN
    assert found.description.startswith(f"model {house.model()[:12]} is not published")
    advice = found.metadata["what_to_do"].value
    assert f"`din models {house.bundle()[:12]} {good[:12]}`" in advice
    assert f"`din rollback {house.bundle()[:12]}`" in advice
    # Word for word what the summary of a run looks for, so that it is not said twice.
    reason = history.not_served(house.tables()[1], house.bundle())
    assert found.description.startswith(f"{reason}. ")


def latest_check(house):
    key = dg.AssetCheckKey(dg.AssetKey("model_versions"), "model_versions_published")
    [record] = house.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    return record.event.dagster_event.asset_check_evaluation_data


def test_better_model_takes_the_place_where_it_is_let_and_one_can_go_back(
    two, house_of_three, capsys
):
    house, good = house_of_three, two[1]
    other, bundle = house.model(), house.bundle()
    assert house.current() == good != bundle
    assert "`publish: never`" in house.tables()[1][-1].reason
    kept_back = house.made()["model_versions"].data_version
    house.judge(publish="auto")
    assert house.current() == bundle
    assert house.decisions()[3:] == [(other, "published")]
    # The version is that of what was judged, whatever came of it.
    assert house.made()["model_versions"].data_version == kept_back
    assert len(house.tables()[0]) == 3

    assert cli.main(["rollback", good[:10]]) == 0
    assert house.current() == good
    assert house.decisions()[4:] == [(house.tables()[0][0].model_version, "rolled back")]
    assert cli.main(["rollback", good[:10]]) == 0
    assert "already" in capsys.readouterr().out
    assert len(house.decisions()) == 5

    # Another judgement of the model does not bring it back.
    house.judge(base_rate=0.1)
    assert house.model() == other
    # The report of this judgement is made after it.
    [row] = [each for each in house.tables()[0] if each.bundle_version == house.bundle()]
    assert row.artifacts["bundle"] == f"bundle/{house.bundle()}"
    assert "report" not in row.artifacts
    assert house.bundle() != bundle  # the same model, in a bundle that knows the base rate
    assert house.current() == good
    assert "somebody went back" in house.tables()[1][-1].reason


def page(house):
    return (house.home / "artifacts" / "report" / "current" / "report.html").read_text("utf-8")


def test_option_publishes_what_is_worse_and_no_later_run_brings_back_what_was_left(house, capsys):
    good, worse = house.current(), house.bundle()
    assert "This model was <strong>refused</strong>" in page(house)
    assert "another model was served" in page(house)
    made = house.run(publish="always")
    assert set(made) == {"model_versions", "report", "warehouse"}
    assert house.current() == worse != good
    assert house.tables()[1][-1].reason.startswith("`publish: always`")
    assert latest_check(house).passed
    assert "This model was <strong>published</strong>: `publish: always`" in page(house)
    assert "another model was served" not in page(house)

    assert cli.main(["rollback", good]) == 0
    assert house.tables("warehouse") == house.tables()
    assert house.run() == {
        "report": ("what was decided about models changed",),
        "warehouse": ("report has new content", "the record of what was made changed"),
    }
    assert house.current() == good
    assert "another model was served" in page(house)
    assert house.run() == {}
    capsys.readouterr()
    assert cli.main(["models"]) == 0
    later, first = capsys.readouterr().out.splitlines()[1:]
    assert later.startswith(house.model()[:12])
    assert ("published" in later, "published" in first) == (False, True)


def test_prune_keeps_what_is_published_pinned_or_current_whole(two, house_of_three, capsys):
    house, good = house_of_three, two[1]
    worse = house.tables()[0][1]
    assert house.current() == good
    kept = dict(house.tables()[0][0].artifacts)
    assert cli.main(["prune", "--dry-run"]) == 0
    assert f"would remove artifacts/bundle/{worse.bundle_version}" in capsys.readouterr().out
    assert (house.home / "artifacts" / worse.artifacts["bundle"]).is_dir()

    assert cli.main(["models", "--pin", worse.model_version[:9]]) == 0
    assert cli.main(["prune"]) == 0
    for of in (kept, worse.artifacts):
        for artifact in of.values():
            assert (house.home / "artifacts" / artifact).is_dir()

    assert cli.main(["models", "--unpin", worse.model_version[:9]]) == 0
    assert cli.main(["prune", "--keep", "2"]) == 0  # it is one of the latest two
    assert (house.home / "artifacts" / worse.artifacts["bundle"]).is_dir()
    assert cli.main(["prune"]) == 0
    assert not (house.home / "artifacts" / worse.artifacts["bundle"]).is_dir()
    assert not (house.home / "artifacts" / worse.artifacts["din_model"]).is_dir()
    for artifact in kept.values():
        assert (house.home / "artifacts" / artifact).is_dir()
    assert house.judge(publish="never") == {}

    capsys.readouterr()
    assert cli.main(["rollback", worse.model_version[:9]]) == 2
    said = capsys.readouterr().err
    assert "is gone" in said
    assert "din prune" in said
    assert house.current() == good


def test_damaged_bundle_is_not_gone_back_to(house, capsys):
    worse = house.bundle()
    graph = house.home / "artifacts" / "bundle" / worse / "score.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])
    before = house.current()
    assert cli.main(["rollback", worse]) == 2
    assert "score.onnx has" in capsys.readouterr().err
    assert house.current() == before
    assert len(house.decisions()) == 2


def test_kill_between_decision_and_pointer_is_put_right(house, monkeypatch):
    good = house.current()
    with monkeypatch.context() as patch:
        patch.setattr(judgement, "point_to_served", killed)
        with pytest.raises(KeyboardInterrupt):
            house.judge(publish="always")
    assert house.current() == good
    assert [action for _, action in house.decisions()] == ["published", "refused", "published"]
    made = house.judge()
    assert made["model_versions"] == ("bundle/current does not lead to the published version",)
    assert house.current() == house.bundle() != good
    assert len(house.decisions()) == 3
    assert house.judge() == {}


def killed(*_):
    raise KeyboardInterrupt


def test_lost_published_bundle_is_replaced_by_the_current_one(house):
    good, worse = house.current(), house.bundle()
    shutil.rmtree(house.home / "artifacts" / "bundle" / good)
    assert house.judge() == {"model_versions": (f"bundle/{good} is gone",)}
    assert house.current() == worse
    last = house.tables()[1][-1]
    assert last.action == "published"
    assert "is gone" in last.reason
    assert house.judge() == {}


def test_model_of_a_log_that_the_published_one_cannot_be_asked_about_is_published(house):
    root, good, model = house.home / "artifacts", house.current(), house.model()
    bundle = Bundle.open(root / "bundle" / house.bundle())
    decided = house.tables()[1]
    with duckdb.connect(str(house.home / "pipeline.duckdb")) as con:
        # Ids of items are text in this log.
        con.execute("alter table items alter item_id type varchar")
        found = decide(con, Case(root, bundle, model, "auto", decided, good))
    assert found.publish
    assert "cannot be asked about this log's test rows" in found.reason


# Logs that are judged after another one: above, and in tests/core/serving/test_decision.py.
@pytest.mark.thorough
def test_model_of_another_log_is_published_and_it_is_said(house):
    # Ids of items are text in this log.
    rows = (row.replace(",", ",i", 1) for row in ROWS)
    house.csv = write_rows(house.home / "other.csv", *rows)
    house.judge()
    assert house.current() == house.bundle()
    last = house.tables()[1][-1]
    assert last.action == "published"
    assert "cannot be asked about this log's test rows" in last.reason
    assert house.tables()[0][-1].source == "other.csv"


@pytest.mark.thorough
def test_shorter_log_is_named_where_the_published_model_may_have_seen_its_test_rows(house):
    good = house.current()
    house.csv = write_rows(
        house.home / "cut.csv", *(row for place, row in enumerate(ROWS) if place % 6 != 5)
    )
    house.judge()
    last = house.tables()[1][-1]
    assert last.action == "refused"
    assert "the log was longer when it was trained (240 events, now 200)" in last.reason
    assert house.current() == good


def test_two_models_are_compared_in_json(two, house, capsys):
    _, good, _ = two
    assert cli.main(["models", good, house.bundle(), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["options"] == {
        "din_model.learning_rate": [0.05, 1e-9],
        "din_model.n_epoch": [8, 1],
    }
    assert answer["data"].keys() >= {"din_model", "test_auc"}
    assert "samples" not in answer["data"]
    found = house.tables()[0][1].auc_difference
    assert answer["paired_auc_difference"]["value"] == pytest.approx(-found.value, abs=1e-6)
    assert [state for each in answer["models"] for state in each["state"]] == [
        "published",
        "refused",
    ]


def test_document_says_what_can_be_run(house, capsys):
    text = (paths.project_root() / "docs" / "models.md").read_text(encoding="utf-8")
    [query] = re.findall(r"```sql\n(.*?)```", text, flags=re.S)
    with duckdb.connect(str(house.home / "warehouse.duckdb"), read_only=True) as con:
        rows = con.execute(query).fetchall()
    assert [row[1] for row in rows] == ["published", "refused"]
    commands = re.findall(r"^\$ \.venv/bin/din (.*?) +#", text, flags=re.M)
    assert len(commands) == 6
    for command in commands:
        words = command.replace("3f2a", house.model()[:6]).replace("91c0", house.current()[:6])
        assert cli.main(words.split()) == 0, command
        assert capsys.readouterr().out
    assert house.current() == house.tables()[1][0].bundle_version


def test_training_starts_from_the_published_model_though_a_refused_one_is_later(two, house):
    _, good, _ = two
    [published] = [each for each in house.tables()[0] if each.bundle_version == good]
    assert house.model() != published.model_version
    # What is left of it is enough.
    assert cli.main(["prune"]) == 0
    house.run({**OTHER, "warm_start": "published", "warm_start_epochs": 1}, until="din_model")
    assert house.made()["din_model"].inputs["warm_started_from"] == published.model_version


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["models", "nothing"], "no model version begins with 'nothing'"),
        (["models", ""], "no model version begins with ''"),
        (["rollback", "nothing"], "`din models` lists the 2"),
        (["models", "a", "b", "c"], "one or two versions"),
        (["models", "a", "--pin", "b"], "one or two versions"),
    ],
)
def test_wrong_question_is_told(house, capsys, words, said):
    assert cli.main(words) == 2
    assert said in capsys.readouterr().err


def test_commands_without_a_result_name_the_way(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DIN_HOME", str(tmp_path / "nowhere"))
    for words in (["models"], ["rollback", "a"], ["models", "--pin", "a"]):
        assert cli.main(words) == 2
        assert "`din run` makes the first one" in capsys.readouterr().err
    assert not (tmp_path / "nowhere").exists()
