"""Another model than DIN goes through the assets, and its options are its own."""

from __future__ import annotations

import json
import shutil

import pytest

from din_core import store
from din_core.config import DINConfig, TrainingConfig
from din_core.serving import fitting, saved_models
from tests.assets.small_pipeline import failure_of

BELOW = (
    "din_model",
    "test_predictions",
    "test_auc",
    "attention_weights",
    "architecture_graph",
    "onnx_model",
)


def test_another_model_is_trained_judged_explained_drawn_and_exported(finished, pipeline):
    shutil.copytree(finished.home, pipeline.home, symlinks=True)
    pipeline.config["ops"]["din_model"]["config"].update(model="pnn", product_layer="elementwise")

    # The options of the run before name the activation unit, which this model does not have.
    refused = pipeline.run(*BELOW)
    assert (
        "ops: din_model: attention_dims is [8], and the model pnn has no such option (din has): "
        "leave it out, or choose model: din"
    ) in failure_of(refused)
    assert pipeline.versions() == finished.versions()
    del pipeline.config["ops"]["din_model"]["config"]["attention_dims"]

    assert pipeline.run(*BELOW).success
    folder = pipeline.home / "artifacts" / "din_model" / pipeline.versions()["din_model"]
    described = json.loads((folder / saved_models.DESCRIPTION_FILE).read_text())["config"]
    assert (described["model"], described["product_layer"]) == ("pnn", "elementwise")
    assert described["embed_dim"] == 4
    assert "attention_dims" not in described
    before, after = finished.versions(), pipeline.versions()
    assert {asset for asset in before if before[asset] != after[asset]} == set(BELOW)
    # It has no attention, and each event's share in the score all the same.
    assert pipeline.query(
        "select count(attention_weight_item), count(attention_weight_cate), "
        "count(score_change) > 0 from attention_weights"
    ) == [(0, 0, True)]


@pytest.mark.parametrize("n_biases", [3, 4])
def test_biases_of_positions_that_no_event_has_are_told(labelled, tmp_path, n_biases):
    said = []
    folder = tmp_path / "model"
    folder.mkdir()
    task = fitting.Task(
        model=DINConfig(mlp_dims=(4,), attention_dims=(4,), position_bias=n_biases),
        training=TrainingConfig(n_epoch=1, device="cpu"),
        folder=folder,
        artifacts_root=tmp_path,
        checkpoints=tmp_path / "checkpoints",
        tables=None,
        code_version="",
    )
    fitting.fit(
        task,
        lambda: store.connect(labelled.home / "pipeline.duckdb", read_only=True),
        on_epoch=str,
        on_warning=said.append,
        on_note=str,
    )
    told = (
        "position_bias is 4, and no history has more than 3 events (max_history of samples): the "
        "biases beyond are never trained; lower position_bias or raise max_history"
    )
    assert (told in said) == (n_biases > 3)
