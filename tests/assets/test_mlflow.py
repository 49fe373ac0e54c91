"""The option `mlflow`: off by default, and never in the way of a model."""

from __future__ import annotations

import copy
import shutil
import sys

import duckdb
import pytest

from din_assets.assets.publication import model_versions
from din_assets.command import changes
from din_assets.runs.resources import StoreResource
from din_core.store import ledger
from tests.assets.small_pipeline import SMALL_RUN

# MLflow's store uses what sqlalchemy 2.1 will drop.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload``:DeprecationWarning")


@pytest.fixture
def pipeline(finished, pipeline, monkeypatch):
    """A copy of the finished pipeline; its model was recorded nowhere."""
    shutil.copytree(finished.home, pipeline.home, symlinks=True)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    return pipeline


def run_config(options):
    config = copy.deepcopy(SMALL_RUN)
    config["ops"]["model_versions"] = {"config": options}
    config["loggers"]["console"]["config"]["log_level"] = "WARNING"
    return config


def judge(pipeline, **options):
    """Judge the model once more; return what Dagster shows of it, and the option as it is kept."""
    config = run_config(options)
    result = pipeline.run("model_versions", config=config)
    assert result.success
    [(kept,)] = pipeline.query(
        "select options -> 'mlflow' from ledger where asset = 'model_versions'"
    )
    [made] = result.asset_materializations_for_node("model_versions")
    return made, kept


def test_it_is_off_by_default_and_not_imported(pipeline, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)  # an import would fail
    made, kept = judge(pipeline)
    assert kept == "false"
    assert "mlflow_run" not in made.metadata
    assert not (pipeline.home / "mlflow").exists()


def test_a_kept_model_is_a_run_in_a_file_of_the_log_and_a_second_time_the_same_one(pipeline):
    from mlflow.tracking import MlflowClient

    first, kept = judge(pipeline, mlflow=True)
    assert kept == "true"
    again, _ = judge(pipeline, mlflow=True)

    client = MlflowClient(tracking_uri=f"sqlite:///{pipeline.home}/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("din-assets")
    [run] = client.search_runs([experiment.experiment_id])
    assert first.metadata["mlflow_run"].value == again.metadata["mlflow_run"].value
    assert run.info.run_id == first.metadata["mlflow_run"].value
    [(model, auc, epochs)] = pipeline.query(
        "select model_version, auc, options -> 'din_model' ->> 'n_epoch' from model_versions"
    )
    assert run.data.tags["din.model_version"] == model
    assert run.data.tags["din.decision"] == "published"
    assert run.data.metrics["test_auc"] == auc
    assert run.data.params["n_epoch"] == epochs == "2"
    curve = client.get_metric_history(run.info.run_id, "val_auc")
    assert [each.step for each in curve] == [1, 2]
    assert {each.path for each in client.list_artifacts(run.info.run_id, "bundle")} == {
        "bundle/README.md",
        "bundle/manifest.json",
    }


def test_a_server_that_does_not_answer_costs_a_warning_and_the_next_run_tries_again(
    pipeline, monkeypatch, capsys
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    made, kept = judge(pipeline, mlflow=True)

    assert "mlflow_run" not in made.metadata
    assert made.metadata["decision"].value == "published"
    [said] = warnings(capsys)
    assert "MLflow at http://127.0.0.1:9 cannot be written to: " in said
    assert said.endswith("The model is kept; the next `din run` tries it again")
    assert kept == "false"
    assert reasons(pipeline) == ["mlflow: false → true"]


def test_what_is_not_installed_is_said_with_the_command_that_installs_it(
    pipeline, monkeypatch, capsys
):
    for name in [each for each in sys.modules if each.partition(".")[0] == "mlflow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    _, kept = judge(pipeline, mlflow=True)

    [said] = warnings(capsys)
    assert "pip install mlflow-skinny" in said
    assert kept == "false"


def warnings(capsys):
    return [line for line in capsys.readouterr().err.splitlines() if "mlflow" in line.lower()]


def reasons(pipeline):
    """Which of its options would make `model_versions` again with the next `din run`."""
    with duckdb.connect(str(pipeline.home / "pipeline.duckdb"), read_only=True) as con:
        state = changes.State(ledger.entries(con))
    resource = StoreResource(home=str(pipeline.home))
    found = changes.own_reasons(
        model_versions, "model_versions", state, run_config({"mlflow": True}), resource
    )
    return [each for each in found if ": " in each]
