"""The page on serving does what it says, in Python and in JavaScript."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest
from pyarrow import parquet

from din_assets.runs.folders import project_root
from din_core.serving.ranker import Ranker
from tests.assets.served_logs import current, rows_of


def blocks_of_the_page(language):
    page = (project_root() / "docs" / "serving.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", page, flags=re.S)


def test_page_on_serving_ranks_scores_and_explains_as_it_says(finished, capsys):
    names = {
        "folder": current(finished),
        "bundle": current(finished),
        "warehouse": finished.home / "warehouse.duckdb",
        "user": 3,
        "items": [1, 2, 3],
        "rows": rows_of(finished, "from samples limit 5"),
    }
    for code in blocks_of_the_page("python"):
        exec(code, names)
    assert len(names["ranking"]) == len(capsys.readouterr().out.splitlines()) - 1 == 3
    assert sorted(names["new"].item_id) == [1, 2, 3]
    assert len(names["why"].events) == len(names["ranking"].history)
    assert names["scores"].shape == (5,)
    best = names["con"].sql("select max(din_score(42, item_id)) from items").fetchall()
    assert 0 < best[0][0] < 1
    expected = names["ranker"].rank(user_id=3, history=[5, 6], candidates=[1, 2]).probability
    scores = names["probabilities"](3, [5, 6], [1, 2])
    assert sorted(scores, reverse=True) == pytest.approx(expected.tolist(), abs=1e-7)


def has_onnxruntime_for_node():
    node = shutil.which("node")
    return (
        node
        and subprocess.run(
            [node, "-e", "require('onnxruntime-node')"], capture_output=True, check=False
        ).returncode
        == 0
    )


@pytest.mark.skipif(
    not has_onnxruntime_for_node(), reason="needs node and onnxruntime-node on its NODE_PATH"
)
def test_javascript_of_the_page_ranks_as_the_ranker_does(made, tmp_path):
    [code] = blocks_of_the_page("javascript")
    (tmp_path / "rank.js").write_text(code, encoding="utf-8")
    ranker = Ranker(current(made))
    ids = parquet.read_table(current(made) / "vocabularies" / "items.parquet")["item_id"]
    items = [*ids[:8].to_pylist(), *([-7] if ranker.bundle.item_ids == "int64" else ["nö, new"])]
    [user] = parquet.read_table(current(made) / "histories.parquet")["user_id"][:1].to_pylist()
    asked = json.dumps([str(current(made)), user, items[:3], items])
    call = f"rank(...{asked}).then((ranked) => console.log(JSON.stringify(ranked)))"
    (tmp_path / "main.js").write_text(f"const {{ rank }} = require('./rank');\n{call}", "utf-8")
    done = subprocess.run(
        ["node", str(tmp_path / "main.js")], capture_output=True, text=True, check=True
    )
    ranked = dict(map(tuple, json.loads(done.stdout)))
    expected = ranker.rank(user_id=user, history=items[:3], candidates=items, exclude_history=False)
    assert ranked == pytest.approx(dict(expected), abs=1e-6)


@pytest.mark.skipif(
    not has_onnxruntime_for_node(), reason="needs node and onnxruntime-node on its NODE_PATH"
)
def test_javascript_of_the_page_takes_an_empty_history(made, tmp_path):
    """Of no ids it cannot be seen whether they are text: the graph says so."""
    [code] = blocks_of_the_page("javascript")
    (tmp_path / "rank.js").write_text(code, encoding="utf-8")
    ranker = Ranker(current(made))
    items = ranker.rank(k=3).item_id.tolist()
    asked = json.dumps([str(current(made)), ranker.bundle.user_padding, [], items])
    call = f"rank(...{asked}).then((ranked) => console.log(JSON.stringify(ranked)))"
    (tmp_path / "main.js").write_text(f"const {{ rank }} = require('./rank');\n{call}", "utf-8")
    done = subprocess.run(
        ["node", str(tmp_path / "main.js")], capture_output=True, text=True, check=True
    )
    expected = dict(ranker.rank(candidates=items))
    assert dict(map(tuple, json.loads(done.stdout))) == pytest.approx(expected, abs=1e-6)
