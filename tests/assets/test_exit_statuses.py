"""With which status each command ends: one rule, and all of it in one table."""

import re

import pytest

from din_assets.command import cli
from din_assets.runs.folders import project_root

#: What is said, and with which status, where no run has made anything yet.
BEFORE_A_RUN = {
    # Nothing to do is done.
    "--help": (0, "usage: din"),
    "score --help": (0, "usage: din score"),
    "prune": (0, "holds no results"),
    "vocabulary compact": (0, "nothing to forget"),
    # What is not there yet.
    "report": (2, "holds no report; `din run` makes one"),
    "models": (2, "holds no models yet"),
    "models --pin 0123": (2, "holds no models yet"),
    "rollback 0123": (2, "holds no models yet"),
    "metrics": (2, "is not there yet: `din run` publishes it"),
    "rank": (2, "no such folder; make the bundle"),
    "explain --item 1": (2, "no such folder; make the bundle"),
    "score pairs.parquet --out scores.parquet": (2, "no such folder; make the bundle"),
    "serve": (2, "no such folder; make the bundle"),
    # A word, an option, a file or a setting that is wrong.
    "": (2, "usage: din"),
    "prun": (2, "invalid choice: 'prun'"),
    "run --tables": (2, "unrecognized arguments: --tables"),
    "run --csv nowhere.csv": (2, "nowhere.csv: there is no such file"),
    "run --preset bes": (2, "there is no preset 'bes'; is 'best' meant?"),
    "run -c nowhere.yaml": (2, "nowhere.yaml: No such file"),
    "run -c wrong.yaml": (2, "no step 'sample'; is 'samples' meant?"),
    "refresh --dry-run -c wrong.yaml": (2, "no step 'sample'; is 'samples' meant?"),
    "metrics --by auc": (2, "--by says what --against judges by"),
    "vocabulary forget": (2, "invalid choice: 'forget'"),
    "init json": (2, "there is a Python module 'json' already"),
    "ui --port x": (2, "invalid int value: 'x'"),
    # What is there, and damaged.
    "models --json": (1, "damaged, or not a DuckDB database"),
}
DAMAGED = {"models --json": "warehouse.duckdb"}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DIN_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.yaml").write_text("ops: {sample: {config: {}}}")
    return tmp_path / "data"


@pytest.mark.parametrize("line", BEFORE_A_RUN)
def test_status_says_whether_what_was_asked_was_wrong_or_failed(home, capsys, line):
    if name := DAMAGED.get(line):
        home.mkdir()
        (home / name).write_bytes(b"damage" * 10_000)
    status, sentence = BEFORE_A_RUN[line]
    assert cli.main(line.split()) == status
    said = "".join(capsys.readouterr())
    assert sentence in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("variable", "sentence"),
    [("DIN_ENGINE", "DIN_ENGINE is 'postgres', must be 'duckdb' or 'spark'")],
)
def test_setting_that_is_wrong_is_wrongly_asked_for(home, capsys, monkeypatch, variable, sentence):
    monkeypatch.setenv(variable, "postgres")
    assert cli.main(["run", "--dry-run", "--synthetic"]) == 2
    assert sentence in capsys.readouterr().err


def test_table_has_every_command():
    assert {line.partition(" ")[0] for line in BEFORE_A_RUN} >= {*cli._MODULES}


def test_page_says_what_each_status_means():
    page = (project_root() / "docs" / "running.md").read_text(encoding="utf-8")
    section = page.partition("\n## How a command ends\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| (\d+) \|", section, flags=re.M) == ["0", "1", "2", "130", "141"]


@pytest.mark.parametrize("home", ["nowhere", "a_file", "relative"])
def test_a_history_in_no_folder_is_told(tmp_path, monkeypatch, capsys, home):
    (tmp_path / "a_file").touch()
    named = home if home == "relative" else str(tmp_path / home)
    monkeypatch.setenv("DAGSTER_HOME", named)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run", "--synthetic"]) == 2
    assert f"DAGSTER_HOME is '{named}', which is not the full path of a folder" in (
        capsys.readouterr().err
    )
