"""Environment variables that were meant to say something."""

import re

import pytest

from din_assets.command import cli
from din_assets.runs import paths, variables


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("DIN_CVS", "is DIN_CSV meant?"),
        ("DIN_HOMES", "is DIN_HOME meant?"),
        ("DIN_TABLE", "is DIN_TABLES meant?"),
        (
            "DIN_PRESET",
            "there are DIN_CSV, DIN_ENGINE, DIN_FRESH_WITHIN_HOURS, DIN_HOME, DIN_TABLES",
        ),
    ],
)
def test_variable_without_effect_is_told_with_what_may_be_meant(name, hint):
    sentence = f"the environment variable {name} has no effect; {hint}"
    assert variables.without_effect([name, *variables.READ, "PATH", "DINNER"]) == [sentence]


def test_every_variable_that_the_code_reads_is_known():
    root = paths.project_root()
    code = [p for room in ("din_assets", "din_core") for p in (root / room).rglob("*.py")]
    named = {
        name
        for path in code
        for name in re.findall(r"[\"`](DIN_[A-Z_]+)", path.read_text(encoding="utf-8"))
    }
    assert variables.without_effect(named) == []
    assert set(variables.READ) <= named


def test_command_and_run_say_it(pipeline, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("DIN_CVS", str(tmp_path / "log.csv"))
    monkeypatch.setenv("DIN_HOME", str(tmp_path / "data"))
    sentence = "the environment variable DIN_CVS has no effect; is DIN_CSV meant?"
    assert cli.main(["models"]) == 2
    assert capsys.readouterr().err.splitlines()[0] == f"din: {sentence}"
    missing = {"ops": {"interactions": {"config": {"path": "/no/such/log.csv"}}}}
    pipeline.start("interactions", "rejected_rows", "source_files", config=missing)
    assert sentence in capsys.readouterr().err
