"""Kept models as MLflow runs, read back with MLflow's own client from a file of its own."""

import dataclasses
import datetime
import json

import pytest

from din_core.evaluation.intervals import Interval
from din_core.serving.publication import mlflow_runs
from tests.core.serving.test_publication import NOON, decided, model

# MLflow's store uses what sqlalchemy 2.1 will drop.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload``:DeprecationWarning")

GOOD = model(
    1,
    options={
        "din_model": {"mlp_dims": [8, 4], "seed": 1, "activation": "dice", "weight": None},
        "samples": {"max_history": 50},
    },
    artifacts={"din_model": "din_model/m1", "bundle": "bundle/b1"},
)
WORSE = model(
    2,
    decision="refused",
    reason="significantly worse",
    compared_with="b1",
    auc_difference=Interval(-0.1, -0.2, -0.05),
)
EPOCHS = [
    {"epoch": 1, "train_loss": 0.7, "val_auc": 0.5, "val_logloss": 0.69, "is_best": False},
    {"epoch": 2, "train_loss": 0.6, "val_auc": 0.75, "val_logloss": None, "is_best": True},
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Where MLflow keeps what it is told; its tables take two seconds to make."""
    folder = tmp_path_factory.mktemp("mlflow")
    return f"sqlite:///{folder / 'mlflow.db'}", (folder / "files").as_uri()


@pytest.fixture
def where(server, request):
    uri, files = server
    return mlflow_runs.Tracking(uri, f"experiment of {request.node.name}", files)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "din_model" / "m1").mkdir(parents=True)
    (tmp_path / "din_model" / "m1" / "history.json").write_text(json.dumps(EPOCHS))
    for version in ("b1", "b2"):
        (tmp_path / "bundle" / version).mkdir(parents=True)
        (tmp_path / "bundle" / version / "README.md").write_text(f"# the card of {version}\n")
        (tmp_path / "bundle" / version / "rank.onnx").write_bytes(b"large")
    return tmp_path


@pytest.fixture
def client(where):
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=where.uri)


def runs(client, where):
    found = client.search_runs([client.get_experiment_by_name(where.experiment).experiment_id])
    return {run.info.run_name: run for run in found}


def test_a_run_has_the_options_figures_curve_versions_and_card_of_its_model(client, where, root):
    found = mlflow_runs.record([GOOD], [decided(1, "published")], root, where)

    run = client.get_run(found["m1"])
    assert (run.info.run_name, run.info.status) == ("m1", "FINISHED")
    assert datetime.datetime.fromtimestamp(run.info.start_time / 1000, datetime.UTC) == (
        NOON.replace(tzinfo=datetime.UTC)
    )
    assert run.data.params == {
        "mlp_dims": "[8, 4]",
        "seed": "1",
        "activation": "dice",
        "weight": "null",
        "samples.max_history": "50",
    }
    assert run.data.metrics == {
        "test_auc": 0.75,
        "test_auc_low": 0.7,
        "test_auc_high": 0.8,
        "test_hr_at_10_all": 0.1,
        "n_test_samples": 10,
        "n_test_users": 5,
        "train_loss": 0.6,
        "val_auc": 0.75,
        "val_logloss": 0.69,
    }
    curve = client.get_metric_history(run.info.run_id, "val_auc")
    assert [(each.step, each.value) for each in curve] == [(1, 0.5), (2, 0.75)]
    own = {name: text for name, text in run.data.tags.items() if name.startswith("din.")}
    assert own == {
        "din.model_version": "m1",
        "din.bundle_version": "b1",
        "din.bundle": str(root / "bundle" / "b1"),
        "din.decision": "published",
        "din.reason": "a test",
        "din.source": "log.csv",
        "din.data.interactions": "i1",
        "din.data.samples": "s1",
        "din.code.samples": "c1",
        "din.library.duckdb": "2",
    }
    assert [each.path for each in client.list_artifacts(run.info.run_id, "bundle")] == [
        "bundle/README.md"
    ]


def test_a_refused_model_says_so_with_the_difference_to_the_published_one(client, where, root):
    both = [decided(1, "published"), decided(2, "refused")]
    mlflow_runs.record([GOOD, WORSE], both, root, where)

    found = runs(client, where)
    assert {name: run.data.tags["din.decision"] for name, run in found.items()} == {
        "m1": "published",
        "m2": "refused",
    }
    of_pair = {name: value for name, value in found["m2"].data.metrics.items() if "diff" in name}
    assert of_pair == {
        "auc_difference": -0.1,
        "auc_difference_low": -0.2,
        "auc_difference_high": -0.05,
    }
    assert found["m2"].data.tags["din.compared_with"] == "b1"


def test_a_second_recording_makes_no_second_run_and_writes_nothing(
    client, where, root, monkeypatch
):
    first = mlflow_runs.record([GOOD], [decided(1, "published")], root, where)
    monkeypatch.setattr(mlflow_runs, "_write", lambda *_: pytest.fail("it was written again"))
    again = mlflow_runs.record([GOOD], [decided(1, "published")], root, where)

    assert again == first
    assert list(runs(client, where)) == ["m1"]


def test_a_later_decision_and_a_later_bundle_reach_the_run_of_the_model(client, where, root):
    mlflow_runs.record([GOOD], [decided(1, "refused")], root, where)
    mlflow_runs.record([GOOD], [decided(1, "refused"), decided(1, "published")], root, where)
    assert runs(client, where)["m1"].data.tags["din.decision"] == "published"

    anew = dataclasses.replace(
        GOOD,
        bundle_version="b2",
        judged_at=NOON + datetime.timedelta(hours=1),
        metrics={"auc": Interval(0.77)},
        options={"din_model": {"seed": 2}},
    )
    mlflow_runs.record([GOOD, anew], [decided(1, "published")], root, where)

    [run] = runs(client, where).values()
    assert run.data.tags["din.bundle_version"] == "b2"
    assert run.data.metrics["test_auc"] == 0.77
    assert len(client.get_metric_history(run.info.run_id, "val_auc")) == 2
    assert run.data.params["seed"] == "1"  # MLflow lets none change


def test_what_a_later_bundle_no_longer_says_leaves_the_run_and_foreign_tags_stay(
    client, where, root
):
    compared = dataclasses.replace(GOOD, compared_with="b0")
    found = mlflow_runs.record([compared], [decided(1, "published")], root, where)
    client.set_tag(found["m1"], "team", "search")
    mlflow_runs.record([compared, GOOD], [decided(1, "published")], root, where)

    tags = runs(client, where)["m1"].data.tags
    assert "din.compared_with" not in tags
    assert tags["team"] == "search"


def test_a_run_that_was_cut_off_is_completed(client, where, root, monkeypatch):
    def cut_off(*_, **__):
        raise ConnectionError("it went away")

    with monkeypatch.context() as patch:
        patch.setattr(type(client), "log_artifact", cut_off)
        with pytest.raises(mlflow_runs.MLflowError, match="it went away"):
            mlflow_runs.record([GOOD], [], root, where)
    assert runs(client, where)["m1"].info.status == "RUNNING"

    mlflow_runs.record([GOOD], [], root, where)

    [run] = runs(client, where).values()
    assert run.info.status == "FINISHED"
    curve = client.get_metric_history(run.info.run_id, "val_auc")
    assert [(each.step, each.value) for each in curve] == [(1, 0.5), (2, 0.75)]


def test_a_run_that_somebody_deleted_stays_deleted(client, where, root):
    found = mlflow_runs.record([GOOD], [], root, where)
    client.delete_run(found["m1"])

    mlflow_runs.record([GOOD], [decided(1, "refused")], root, where)

    assert runs(client, where) == {}


def test_a_pruned_model_has_its_run_without_a_curve(client, where, tmp_path):
    found = mlflow_runs.record([GOOD], [], tmp_path / "nothing", where)

    run = client.get_run(found["m1"])
    assert "val_auc" not in run.data.metrics
    assert run.data.metrics["test_auc"] == 0.75
    assert client.list_artifacts(found["m1"]) == []


def test_a_server_that_does_not_answer_is_named_without_its_password(root, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    nowhere = mlflow_runs.Tracking("http://me:secret@127.0.0.1:9", "din-assets")

    with pytest.raises(mlflow_runs.MLflowError) as caught:
        mlflow_runs.record([GOOD], [], root, nowhere)

    said = str(caught.value)
    assert said.startswith("MLflow at http://127.0.0.1:9 cannot be written to: ")
    assert "secret" not in said
    assert "\n" not in said
