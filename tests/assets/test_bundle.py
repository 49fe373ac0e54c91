"""The bundle that a run leaves: it answers as the tables say, by whatever way it is asked."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import duckdb
import numpy as np
import onnxruntime
import pyarrow as pa
import pytest
import yaml
from pyarrow import parquet

from din_assets.command import cli
from din_core import manifests, serving
from din_core.errors import WrongRequestError
from din_core.serving import score_files
from din_core.serving.bundle import contents
from din_core.serving.ranker import Ranker
from tests.assets.served_logs import current, rows_of
from tests.assets.small_pipeline import failure_of


def test_current_leads_to_the_version_of_the_ledger(made):
    assert Ranker(current(made)).version == made.versions()["bundle"]
    assert manifests.damage_of(current(made).resolve()) is None


def test_rows_of_samples_have_the_score_of_predictions(made):
    rows = rows_of(
        made,
        """
        select samples.*, predictions.score
        from samples
        inner join predictions using (user_id, target_item_id, position, label)
        where split = 'test'
        """,
    )
    assert len(rows) >= 50
    scores = Ranker(current(made)).score(rows)
    assert scores == pytest.approx(rows["score"].to_numpy(), abs=1e-5)


def test_ranking_of_a_user_has_the_scores_of_the_same_rows(made):
    ranker = Ranker(current(made))
    context = ranker.bundle.context
    rows = rows_of(
        made,
        f"""
        select user_id, target_item_id, hist_item_id, {", ".join([*context, "1 as one"])}
        from samples
        where split = 'val'
        order by all
        limit 20
        """,
    )
    scores = ranker.score(rows)
    for row, expected in zip(rows.to_pylist(), scores, strict=True):
        ranking = ranker.rank(
            user_id=row["user_id"],
            history=row["hist_item_id"],
            candidates=[row["target_item_id"]],
            exclude_history=False,
            context={name: row[name] for name in context},
        )
        assert ranking.probability == pytest.approx([expected], abs=1e-6)
        assert ranking.user_is_known


def test_default_history_is_the_users_latest_events(made):
    longest = Ranker(current(made)).bundle.max_history
    whole = dict(
        rows_of(made, "select user_id, items from behaviour_sequences order by user_id")
        .to_pandas()
        .itertuples(index=False)
    )
    histories = parquet.read_table(current(made) / "histories.parquet").to_pylist()
    assert any(len(each["hist_item_id"]) == longest for each in histories) or longest == 50
    assert len(histories) == made.query("select count(*) from users")[0][0]
    for each in histories:
        expected = list(whole.get(each["user_id"], []))[-longest:]
        assert each["hist_item_id"] == expected


def test_graphs_are_found_and_used_without_a_guess(made):
    """As a program in another language would: by the graph's own metadata, on raw ids."""
    session = onnxruntime.InferenceSession(current(made) / "score.onnx")
    said = session.get_modelmeta().custom_metadata_map
    about = manifests.read(current(made)).about
    assert said["history_order"] == "oldest first"
    assert said["max_history"] == str(about["max_history"])
    assert said["padding"] == str(about["padding"])
    assert said["data_version"] == made.versions()["din_model"]
    described = {each["name"] for each in about["graphs"]["score.onnx"]["inputs"]}
    assert {each.name for each in session.get_inputs()} == described


def test_example_runs_with_numpy_and_onnxruntime_alone(made, tmp_path):
    copy = shutil.copytree(current(made), tmp_path / "copy")
    program = (copy / "example.py").read_text()
    assert len(program.splitlines()) < 25
    imported = set(re.findall(r"^(?:import|from) (\w+)", program, flags=re.M))
    assert imported == {"pathlib", "numpy", "onnxruntime"}
    done = subprocess.run(
        [sys.executable, str(copy / "example.py")], capture_output=True, text=True, check=True
    )
    printed = [line.rsplit(" ", 1) for line in done.stdout.splitlines()]
    ranker = Ranker(copy)
    items = parquet.read_table(copy / "vocabularies" / "items.parquet")["item_id"][:3].to_pylist()
    [user] = parquet.read_table(copy / "histories.parquet")["user_id"][:1].to_pylist()
    expected = ranker.rank(user_id=user, history=items[:2], candidates=items, exclude_history=False)
    assert [item for item, _ in printed] == [str(item) for item in expected.item_id]
    assert [float(score) for _, score in printed] == pytest.approx(
        expected.probability.tolist(), abs=1e-6
    )


def test_sql_of_the_bundle_makes_the_same_samples_from_the_interactions(made, tmp_path):
    original = str(made.home / "pipeline.duckdb")
    with duckdb.connect(str(tmp_path / "again.duckdb")) as con:
        con.execute(f"attach '{original}' as original (read_only)")
        con.execute("create table interactions as from original.interactions")
        for file in sorted((current(made) / "sql").glob("*.sql")):
            con.execute(file.read_text())
        columns = "split, label, user_id, target_item_id, hist_item_id, position, time"
        again = con.sql(f"select {columns} from samples order by all").fetchall()
    assert again == made.query(f"select {columns} from samples order by all")


def test_model_card_says_what_the_score_is_and_has_the_figures(made):
    about = manifests.read(current(made)).about
    text = (current(made) / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    said = yaml.safe_load(front)
    figures = {
        each["type"]: each["value"] for each in said["model-index"][0]["results"][0]["metrics"]
    }
    [(auc,)] = made.query(
        "select value from metrics where metric = 'auc' and split = 'test' "
        + ("and slice = 'all'" if "slice" in about["metrics"][0] else "")
    )
    assert figures["auc"] == pytest.approx(auc, abs=1e-6)
    # What needs no model is told beside it, and is no figure of the model.
    assert "popularity_auc" not in figures
    assert "| `popularity_auc` |" in body
    assert all(f"| `{name}` |" in body for name in figures)
    assert "&#" not in body.partition("## Figures")[0]
    assert "| `history_item_id` | " in body
    is_labelled = ("label",) in made.query("select column_name from (describe interactions)")
    kind = "probability" if is_labelled else "relative"
    assert about["score"]["kind"] == kind
    assert ("An order, and no rate" in body) == (kind == "relative")
    assert "## Licence" in body
    assert str(made.home) not in json.dumps(about) + text


def test_nothing_in_a_bundle_is_pickled_or_names_this_machine(made):
    for path in current(made).rglob("*"):
        assert path.suffix in {"", ".onnx", ".parquet", ".json", ".md", ".py", ".sql"}
        if path.is_file():
            assert str(made.home).encode() not in path.read_bytes()


def test_command_ranks_as_the_ranker_does(made, capsys, monkeypatch):
    monkeypatch.setenv("DIN_HOME", str(made.home))
    ranker = Ranker(current(made))
    [user] = parquet.read_table(current(made) / "histories.parquet")["user_id"][:1].to_pylist()
    assert cli.main(["rank", "--user", str(user), "--top", "4", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    expected = ranker.rank(user_id=user, k=4)
    assert [each["item_id"] for each in answer["items"]] == expected.item_id.tolist()
    assert answer["version"] == ranker.version


def test_command_takes_a_history_and_a_file_of_candidates(labelled, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("DIN_HOME", str(labelled.home))
    file = tmp_path / "candidates.txt"
    file.write_text("ä1\nä2\n\nnew\n", encoding="utf-8")
    words = ["rank", "--user", "u,3", "--history", '"ä4",ä5', "--candidates", str(file)]
    assert cli.main([*words, "--context", "hour=3"]) == 0
    said = capsys.readouterr()
    expected = Ranker(current(labelled)).rank(
        user_id="u,3",
        history=["ä4", "ä5"],
        candidates=["ä1", "ä2", "new"],
        context={"hour": 3},
    )
    printed = [line.split() for line in said.out.splitlines()]
    assert [item for item, _ in printed] == expected.item_id.tolist()
    assert "an unknown item's score: new" in said.err


def test_command_explains_by_the_numbers_of_the_moment(labelled, capsys, monkeypatch):
    monkeypatch.setenv("DIN_HOME", str(labelled.home))
    words = ["explain", "--user", "u,3", "--item", "ä1", "--context", "hour=3", "--json"]
    assert cli.main(words) == 0
    explanation = json.loads(capsys.readouterr().out)
    ranker = Ranker(current(labelled))
    asked = {"user_id": "u,3", "candidates": ["ä1"], "exclude_history": False}
    [(_, expected)] = ranker.rank(**asked, context={"hour": 3})
    [(_, without)] = ranker.rank(**asked)
    assert explanation["probability"] == pytest.approx(expected, abs=1e-6)
    assert abs(expected - without) > 1e-5


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["rank", "--user", "x"], "--user is 'x', and ids are integers here"),
        (["rank", "--history", "1,b"], "--history is 'b', and ids are integers here"),
        (["rank", "--top", "0"], "k is 0; it is a whole number of at least 1"),
        (["rank", "--candidates", "nowhere.txt"], "nowhere.txt: No such file or directory"),
        (["rank", "--context", "hour"], "--context is 'hour'; write NAME=NUMBER"),
        (["rank", "--user", "3_0"], "--user is '3_0', and ids are integers here"),
        (["rank", "--user", "٣"], "--user is '٣', and ids are integers here"),
        (["rank", "--history", "1\n2"], "'1\\n2' is no list of ids separated by commas"),
        (["rank", "--history", '1,"2'], "'1,\"2' is no list of ids separated by commas"),
        (["rank", "--candidates", "none.txt"], "none.txt holds no ids; write one item id a line"),
        (["rank", "--candidates", "head.txt"], "head.txt line 2 is 'item_id', and ids are integer"),
        (["rank", "--context", "a=1", "--context", "a=2"], "--context gives 'a' twice"),
        (["rank", "--bundle", "log.csv"], "log.csv: no such folder"),
        (["explain", "--item", "1", "--context", "hour=3"], "context has 'hour', and the model"),
        (
            ["score", "floats.parquet", "--out", "o"],
            "floats.parquet: column 'user_id' holds double",
        ),
        (["score", "damaged.parquet", "--out", "o"], "damaged.parquet is damaged: "),
        (["score", "empty.parquet", "--out", "o"], "empty.parquet: the rows have no column"),
        (["rank", "--context", "hour=3"], "context has 'hour', and the model takes no such number"),
        (["rank", "--bundle", "nowhere"], "nowhere: no such folder"),
        (["score", "nowhere.parquet", "--out", "o"], "nowhere.parquet: no such file"),
        (["score", "log.csv", "--out", "o"], "log.csv: it is no Parquet file"),
        (
            ["score", "odd.parquet", "--out", "o"],
            "odd.parquet: the rows have no column 'user_id'",
        ),
        (["score", "scored.parquet", "--out", "o"], "scored.parquet has a column 'score' already"),
        (["score", "odd.parquet", "--out", "no/o"], "no/o: there is no folder no"),
    ],
)
def test_what_is_typed_wrong_ends_in_a_sentence_and_status_2(
    finished, capsys, monkeypatch, tmp_path, words, sentence
):
    monkeypatch.setenv("DIN_HOME", str(finished.home))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log.csv").write_text("user_id,item_id\n1,2\n")
    duckdb.sql("select 1 as item_id").write_parquet(str(tmp_path / "odd.parquet"))
    duckdb.sql("select 1 as score").write_parquet(str(tmp_path / "scored.parquet"))
    (tmp_path / "none.txt").write_text("\n\n")
    (tmp_path / "head.txt").write_text("1\nitem_id\n")
    floats = duckdb.sql("select 1.0::double as user_id, 2 as item_id")
    floats.write_parquet(str(tmp_path / "floats.parquet"))
    duckdb.sql("select 1 as a where false").write_parquet(str(tmp_path / "empty.parquet"))
    pairs = "select i as user_id, i as item_id from range(20_000) as t (i)"
    whole = tmp_path / "damaged.parquet"
    duckdb.sql(pairs).write_parquet(str(whole), compression="snappy")
    content = bytearray(whole.read_bytes())
    content[1_000:9_000] = bytes(8_000)
    whole.write_bytes(content)
    assert cli.main(words) == 2
    [said] = capsys.readouterr().err.splitlines()
    assert said.startswith(f"din: {sentence}")
    assert not (tmp_path / "o").exists()


def test_command_scores_pairs_and_rows_of_samples(made, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("DIN_HOME", str(made.home))
    monkeypatch.setattr("din_core.serving.score_files._ROWS_OF_A_BLOCK", 100)
    pairs, samples = tmp_path / "pairs.parquet", tmp_path / "samples.parquet"
    parquet.write_table(
        rows_of(made, "select user_id, item_id, 'kept' as more from users cross join items"), pairs
    )
    parquet.write_table(rows_of(made, "from samples limit 250"), samples)
    ranker = Ranker(current(made))
    for file in (pairs, samples):
        out = tmp_path / f"scored_{file.name}"
        assert cli.main(["score", str(file), "--out", str(out)]) == 0
        scored, rows = parquet.read_table(out), parquet.read_table(file)
        assert scored.drop_columns("score").equals(rows)
        expected = (
            ranker.score(rows)
            if file == samples
            else ranker.score_pairs(rows["user_id"], rows["item_id"])
        )
        assert scored["score"].to_numpy() == pytest.approx(expected, abs=1e-6)
        assert f"{len(rows):,} rows scored" in capsys.readouterr().out


def test_pair_without_a_user_or_an_item_has_no_score(made, tmp_path):
    """As NULL gives NULL in SQL, and never an unknown item's score."""
    kinds = made.query("select user_id, item_id from users cross join items order by all limit 1")
    [(user, item)] = kinds
    pairs, out = tmp_path / "pairs.parquet", tmp_path / "scores.parquet"
    parquet.write_table(
        pa.table({"user_id": [user, None, user], "item_id": [item, item, None]}), pairs
    )
    ranker = Ranker(current(made))
    score_files.score(ranker, pairs, out)
    [expected] = ranker.score_pairs([user], [item])
    assert parquet.read_table(out)["score"].to_pylist() == [pytest.approx(expected), None, None]


def test_real_graphs_take_no_candidates_and_no_history(made):
    ranker = Ranker(current(made))
    assert list(ranker.rank(candidates=[])) == []
    [item] = ranker.rank(k=1).item_id.tolist()
    assert ranker.explain(item_id=item).events == []
    assert (
        len(ranker.score({"user_id": [], "target_item_id": [], "hist_item_id": [], "hour": []}))
        == 0
    )


def test_score_of_a_pair_is_a_function_of_sql(made):
    con = serving.attach(current(made), made.home / "warehouse.duckdb")
    ranker = Ranker(current(made))
    with con:
        rows = con.sql(
            "select user_id, item_id, din_score(user_id, item_id) as score "
            "from users cross join items order by user_id, item_id limit 300"
        ).fetchall()
        user, item, _ = rows[0]
        nothing = con.execute("select din_score(null, ?), din_score(?, null)", [item, user])
        assert nothing.fetchall() == [(None, None)]
        assert con.sql("select count(*) from samples").fetchall()[0][0] > 0
    users, items, scores = zip(*rows, strict=True)
    assert scores == pytest.approx(ranker.score_pairs(users, items), abs=1e-6)
    with pytest.raises(WrongRequestError, match="no such file"):
        serving.attach(current(made), made.home / "nowhere.duckdb")


def test_large_vocabulary_is_served_by_indices_with_the_same_answers(
    labelled, pipeline, monkeypatch
):
    """Beyond the limit a graph holds no ids: the Ranker looks them up itself."""
    shutil.copytree(labelled.home, pipeline.home, symlinks=True)
    with monkeypatch.context() as patch:
        patch.setattr("din_core.serving.graphs.writing.MOST_IDS", 10)
        result = pipeline.run("bundle")
        assert result.success, failure_of(result)
    # Not `current`: which bundle is published, model_versions decides.
    made = pipeline.home / "artifacts" / "bundle" / pipeline.versions()["bundle"]
    by_index, by_id = Ranker(made), Ranker(current(labelled))
    assert contents.RANK not in by_index.bundle
    assert "ids" in by_index.bundle.about["left_out"][contents.RANK]
    asked = {"user_id": "u,3", "history": ["ä1", "new", "ä7"], "context": {"hour": 2}, "k": 99}
    one, other = by_index.rank(**asked), by_id.rank(**asked)
    assert dict(one) == pytest.approx(dict(other), abs=1e-6)
    rows = rows_of(labelled, "from samples limit 100")
    assert by_index.score(rows) == pytest.approx(by_id.score(rows), abs=1e-6)
    with pytest.raises(contents.BundleError, match=r"has no explain.onnx: \d+ ids, and a graph"):
        by_index.explain(item_id="ä1")
    subprocess.run([sys.executable, str(made / "example.py")], check=True, capture_output=True)


def test_bundle_that_answers_otherwise_is_not_published(finished, pipeline, monkeypatch):
    shutil.copytree(finished.home, pipeline.home, symlinks=True)
    before = pipeline.versions()
    leads_to = current(pipeline).resolve()
    monkeypatch.setattr(
        Ranker, "score", lambda self, table: np.full(len(table), np.nan, np.float32)
    )
    message = failure_of(pipeline.run("bundle"))
    assert "score of a test sample differs from the table predictions by nan" in message
    assert pipeline.versions() == before
    assert current(pipeline).resolve() == leads_to
