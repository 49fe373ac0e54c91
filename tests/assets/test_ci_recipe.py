"""The recipe for CI, run as it stands: a shell, the real command, the figures of a real run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from din_assets.command import cli
from din_assets.runs import folders

RECIPE = folders.project_root() / "docs" / "ci"


@pytest.fixture
def home(finished, tmp_path, monkeypatch):
    shutil.copytree(finished.home, tmp_path / "data", symlinks=True)
    monkeypatch.setenv("DIN_HOME", str(tmp_path / "data"))
    return tmp_path / "data"


def exported(path, **changed) -> Path:
    """The figures of the finished run in a file, some of them moved."""
    assert cli.main(["metrics", "--json", str(path)]) == 0
    document = json.loads(path.read_text())
    for metric, by in changed.items():
        figure = document["figures"][metric]
        document["figures"][metric] = {end: number + by for end, number in figure.items()}
    path.write_text(json.dumps(document))
    return path


def test_figures_are_those_of_the_published_model(home, finished, tmp_path, capsys):
    main = exported(tmp_path / "main.json")
    document = json.loads(main.read_text())
    auc = finished.query(
        "select value, low, high from metrics where slice = 'all' and metric = 'auc'"
    )
    assert [tuple(document["figures"]["auc"].values())] == auc
    assert document["model_version"] == finished.versions()["din_model"]
    assert f"| auc | {auc[0][0]:.4f} |" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--json", "--against"])
@pytest.mark.parametrize(
    ("file", "says"),
    [("nowhere/main.json", "No such file or directory"), ("", "Is a directory")],
)
def test_file_that_cannot_be_is_no_model_that_got_worse(home, tmp_path, capsys, option, file, says):
    named = tmp_path / file
    assert cli.main(["metrics", option, str(named)]) == 2
    assert capsys.readouterr().err == f"din: {named}: {says}\n"


def test_figures_that_cannot_be_written_are_no_model_that_got_worse(home, capsys):
    assert cli.main(["metrics", "--json", "/dev/full"]) == 2
    assert capsys.readouterr().err == "din: /dev/full: No space left on device\n"


def test_file_that_holds_no_figures_is_no_model_that_got_worse(home, tmp_path, capsys):
    (tmp_path / "main.json").write_text("{}")
    assert cli.main(["metrics", "--against", str(tmp_path / "main.json")]) == 2
    assert "these are no figures" in capsys.readouterr().err


def test_file_of_figures_that_is_no_text_is_refused(home, tmp_path, capsys):
    (tmp_path / "main.json").write_bytes(b"\xff\xfe")
    assert cli.main(["metrics", "--against", str(tmp_path / "main.json")]) == 2
    assert "main.json is no text" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("moved", "arguments", "status"),
    [
        ({}, [], 0),
        ({"auc": 0.45}, [], 1),
        ({"auc": -0.45}, [], 0),
        ({"logloss": -0.5}, [], 0),
        ({"logloss": -0.5}, ["--by", "auc", "--by", "logloss"], 1),
    ],
)
def test_status_says_whether_the_model_got_worse(home, tmp_path, moved, arguments, status):
    main = exported(tmp_path / "main.json", **moved)
    assert cli.main(["metrics", "--against", str(main), *arguments]) == status


def test_what_cannot_be_answered_is_a_sentence(home, tmp_path, capsys, monkeypatch):
    assert cli.main(["metrics", "--by", "auc"]) == 2
    assert "--by says what --against judges by" in capsys.readouterr().err
    monkeypatch.setenv("DIN_HOME", str(tmp_path / "empty"))
    assert cli.main(["metrics"]) == 2
    assert "`din run` publishes it" in capsys.readouterr().err


@pytest.fixture
def recipe(home, tmp_path):
    """Calls the script as a workflow does; `din run` finds everything made."""
    instance = tmp_path / "instance"
    instance.mkdir()
    shutil.copy(folders.project_root() / "dagster.yaml", instance)

    def call(main: Path, **variables: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["sh", str(RECIPE / "train-and-compare.sh"), str(main), "out"],
            cwd=tmp_path,
            env={
                **os.environ,
                "DIN": f"{sys.executable} -m din_assets.command.cli",
                "DAGSTER_HOME": str(instance),
                "GITHUB_STEP_SUMMARY": str(tmp_path / "step_summary.md"),
                **variables,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    return call


def test_script_compares_with_nothing_where_there_is_nothing_yet(recipe, tmp_path):
    done = recipe(tmp_path / "main.json", DIN="echo")  # which says what it is called with
    assert done.returncode == 0, done.stderr
    called, said, *summary = done.stdout.splitlines()
    assert called == "run"
    assert said == f"{tmp_path}/main.json is not there yet: nothing is compared"
    assert summary[-1] == "metrics --json out/metrics.json"


def test_script_fails_where_the_model_got_worse(recipe, tmp_path):
    done = recipe(exported(tmp_path / "main.json", auc=0.45))
    assert done.returncode == 1, done.stderr
    assert "significantly worse than before: auc" in done.stderr
    summary = (tmp_path / "step_summary.md").read_text()
    assert summary == (tmp_path / "out" / "summary.md").read_text()
    (row,) = [line for line in summary.splitlines() if line.startswith("| auc ")]
    assert row.endswith("| worse |")
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["figures"]["auc"]


# The status of `din metrics` in this case: test_status_says_whether_the_model_got_worse.
@pytest.mark.thorough
def test_script_passes_where_nothing_is_worse(recipe, tmp_path):
    done = recipe(exported(tmp_path / "main.json"), JUDGED_BY="auc logloss")
    assert done.returncode == 0, done.stderr
    assert "Both were tested on the same samples." in done.stdout


def test_workflow_calls_the_script_that_there_is():
    workflow = yaml.safe_load((RECIPE / "github-actions.yml").read_text())
    (steps,) = [job["steps"] for job in workflow["jobs"].values()]
    (call,) = [step["run"] for step in steps if "train-and-compare.sh" in step.get("run", "")]
    assert call.split()[:3] == ["sh", "ci/train-and-compare.sh", "ci/main-metrics.json"]
    assert (RECIPE / "train-and-compare.sh").is_file()
