"""What a server is handed: the graphs, the vocabularies, and the example in docs."""

import re

import numpy as np
import pandas as pd
import pytest

from din_assets.runs import paths
from tests.assets.small_pipeline import failure_of, up_to


def folder_of(pipeline, asset):
    [folder] = (pipeline.home / "artifacts" / asset).iterdir()
    return folder


def example_for(pipeline):
    """The page's example with onnxruntime alone, run as it stands there."""
    page = (paths.project_root() / "docs" / "serving.md").read_text(encoding="utf-8")
    [code] = [
        block
        for block in re.findall(r"```python\n(.*?)```", page, flags=re.S)
        if "import onnxruntime" in block
    ]
    names = {"folder": pipeline.home / "artifacts" / "bundle" / "current"}
    exec(code, names)
    return names


def assert_scores_as_the_pipeline_does(pipeline):
    score = example_for(pipeline)["probabilities"]
    rows = pipeline.query(
        """
        select user_id, target_item_id, score, hist_item_id
        from predictions
        join samples using (user_id, target_item_id, position, label)
        where split = 'test'
        order by all limit 20
        """
    )
    assert len(rows) >= 10
    for user, item, expected, history in rows:
        assert score(user, history, [item])[0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("asset", ["din_model", "onnx_model"])
def test_vocabularies_beside_a_model_are_those_of_the_tables(finished, asset):
    folder = folder_of(finished, asset) / "vocabulary"
    # The default network has no embedding of the user, and nobody's ids need to leave for it.
    assert sorted(path.stem for path in folder.iterdir()) == ["attributes", "cates", "items"]
    for table in ("items", "cates", "attributes"):
        read = pd.read_parquet(folder / f"{table}.parquet")
        assert list(map(tuple, read.itertuples(index=False))) == finished.query(
            f"from {table} order by 1"
        )


def test_example_scores_as_the_pipeline_does(finished):
    assert_scores_as_the_pipeline_does(finished)


def test_example_takes_what_nobody_knows_for_unknown(finished):
    example = example_for(finished)
    vocabulary = pd.read_parquet(example["folder"] / "vocabularies" / "items.parquet")
    some = list(vocabulary["item_id"][:3])
    score = example["probabilities"]
    assert score(-7, [], [-5]).shape == (1,)
    unknown = score(-7, some, [some[0], -5])
    assert unknown[0] == pytest.approx(score(-8, [*some, -5], [some[0]])[0], abs=1e-6)
    assert np.isfinite(unknown).all()


@pytest.mark.usefixtures("without_pictures")
def test_same_weights_of_other_ids_are_another_version(finished, pipeline, tmp_path, monkeypatch):
    # Ids that sort alike: every index and so every weight is the same.
    rows = [
        (user, 10 + (3 * user + step) % 15, 10 * user + step, step % 2)
        for user in range(10, 18)
        for step in range(7)
    ]
    pipeline.config["ops"]["interactions"] = {"config": {}}
    pipeline.config["ops"]["din_model"]["config"]["use_user"] = True
    versions = []
    for prefix in ("a", "b"):
        log = tmp_path / f"{prefix}.csv"
        lines = [f"{prefix}{u},{prefix}{i},{t},{c}" for u, i, t, c in rows]
        log.write_text("\n".join(["user_id,item_id,time,cate_id", *lines]) + "\n")
        monkeypatch.setenv("DIN_CSV", str(log))
        assert pipeline.run(*up_to("onnx_model")).success
        versions.append(pipeline.versions())
    one, other = versions
    for asset in ("din_model", "onnx_model"):
        assert one[asset] != other[asset]
        folder = pipeline.home / "artifacts" / asset / other[asset] / "vocabulary"
        assert pd.read_parquet(folder / "items.parquet")["item_id"][0] == "b10"
        assert pd.read_parquet(folder / "users.parquet")["user_id"][0] == "b10"
    weights = [
        (pipeline.home / "artifacts" / "onnx_model" / each["onnx_model"] / "din.onnx").read_bytes()
        for each in versions
    ]
    assert weights[0] == weights[1]


def test_a_graph_that_predicts_otherwise_is_not_published(finished, pipeline, monkeypatch):
    import shutil

    shutil.copytree(finished.home, pipeline.home, symlinks=True)
    before = pipeline.versions()
    monkeypatch.setattr("din_core.serving.graphs.parity.parity", lambda *_: 0.73)
    message = failure_of(pipeline.run("onnx_model"))
    assert "din.onnx: a probability of the exported graph differs from PyTorch's by 0.73" in message
    assert pipeline.versions() == before
