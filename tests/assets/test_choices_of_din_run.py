"""What `din run` and `make run` go by and remember: the same as runs that Dagster starts."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from din_assets.command import cli
from din_assets.command.refresh import RefreshFailedError, refresh
from din_assets.runs import paths
from din_core.config import OptionsError
from tests.assets.small_choices import ROWS, config, remembered, write_labelled
from tests.assets.small_pipeline import write_rows


@pytest.fixture
def log(tmp_path) -> Path:
    return write_rows(tmp_path / "log.csv", *ROWS)


@pytest.fixture
def labelled(tmp_path) -> Path:
    return write_labelled(tmp_path / "labelled.csv")


class TestDinRun:
    """The same by `din run`, whose runs are of some steps each."""

    @pytest.fixture
    def run(self, home, pipeline, capsys):
        def run(run_config, named=None):
            capsys.readouterr()
            decisions = refresh(pipeline.instance, run_config=run_config, named=named)
            try:
                for decision in decisions:
                    if "interactions" in decision.assets:
                        break
            finally:
                decisions.close()
            return [line for line in capsys.readouterr().err.splitlines() if " source: " in line]

        return run

    @pytest.fixture(autouse=True)
    def only_ingestion(self, monkeypatch):
        """Without the steps that would be made in the same run."""
        from din_assets.command import refresh as module

        real = module._steps
        monkeypatch.setattr(
            module, "_steps", lambda defs: [s for s in real(defs) if s.op.name == "interactions"]
        )

    def test_log_says_who_named_the_source(self, run, log, monkeypatch):
        [said] = run(config(), named=str(log))
        assert said.endswith(f"source: {log} (the command line)")
        log.write_text(log.read_text() + "u9,i9,999,c1\n")
        [said] = run(config())
        assert said.endswith(f"source: {log} (the last run)")
        log.write_text(log.read_text() + "u9,i8,999,c1\n")
        [said] = run(config(interactions={"path": str(log)}))
        assert said.endswith(f"source: {log} (the run configuration)")
        monkeypatch.setenv("DIN_CSV", str(log))
        log.write_text(log.read_text() + "u9,i7,999,c1\n")
        [said] = run(config())
        assert said.endswith(f"source: {log} (DIN_CSV)")

    def test_everything_is_remembered_when_the_source_is_accepted(
        self, run, home, log, monkeypatch
    ):
        seen = []

        def dies(*_, **__):
            seen.append(remembered(home))
            raise KeyboardInterrupt

        # Committed by then; nothing else of the run has been made.
        monkeypatch.setattr("din_assets.command.one_pass._Run._decision", dies)
        with pytest.raises(KeyboardInterrupt):
            run(config(samples={"max_history": 7}), named=str(log))
        assert seen == [
            {
                "interactions": {"config": {"path": str(log)}},
                "samples": {"config": {"max_history": 7}},
            }
        ]

    def test_choice_is_remembered_although_nothing_is_read(self, run, home, log, tmp_path):
        run(config(), named=str(log))
        same = shutil.copy(log, tmp_path / "same.csv")
        assert run(config(samples={"max_history": 7}), named=str(same)) == []
        assert remembered(home) == {
            "interactions": {"config": {"path": str(same)}},
            "samples": {"config": {"max_history": 7}},
        }

    def test_options_that_the_log_cannot_take_are_refused_although_nothing_is_read(
        self, run, home, labelled, pipeline
    ):
        run(config(), named=str(labelled))
        asked = config(negatives={"sampling_seed": 3})
        says = "sampling_seed=3 has no effect: the log is label"
        for dry_run in (True, False):
            with pytest.raises(OptionsError, match=says):
                list(refresh(pipeline.instance, run_config=asked, dry_run=dry_run))
            assert remembered(home) == {"interactions": {"config": {"path": str(labelled)}}}

    def test_file_that_cannot_be_used_takes_nobodys_place(self, run, home, log, tmp_path):
        run(config(), named=str(log))
        bad = write_rows(tmp_path / "bad.csv", "1", header="user_id")
        with pytest.raises(RefreshFailedError):
            run(config(samples={"max_history": 7}), named=str(bad))
        assert remembered(home) == {"interactions": {"config": {"path": str(log)}}}


# The command line


def test_command_line_reads_paths_from_where_it_is_typed(home, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "it's a $HOME"
    folder.mkdir()
    write_rows(folder / "my log*.csv", *ROWS)
    monkeypatch.chdir(folder)
    assert cli.main(["run", "--dry-run", "--csv", "my log*.csv"]) == 0
    monkeypatch.chdir(folder)
    assert cli.main(["run", "--dry-run", "--csv", "log.csv"]) == 2
    assert f"{folder}/log.csv: there is no such file" in capsys.readouterr().err


def test_unknown_preset_is_told(home, capsys):
    assert cli.main(["run", "--preset", "tutorail"]) == 2
    assert "no preset 'tutorail'; is 'tutorial' meant?" in capsys.readouterr().err


def test_file_comes_on_top_of_a_preset(tmp_path):
    from din_assets.command.config_files import asked_for

    own = tmp_path / "my.yaml"
    own.write_text("ops: {din_model: {config: {n_epoch: 2}}, users: {config: {}}}")
    both = asked_for(own, "tutorial")
    assert both.run_config["ops"]["din_model"]["config"]["n_epoch"] == 2
    assert both.run_config["ops"]["din_model"]["config"]["embed_dim"] == 8
    assert not both.keeps_others
    assert asked_for(None, "tutorial").keeps_others
    assert asked_for(None, "default").run_config["ops"] == {"din_model": {"config": {}}}


@pytest.fixture
def make(tmp_path):
    """A function that calls make, with a stand-in for `din` that shows what it is called with."""
    place = tmp_path / "project"
    (place / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(paths.project_root() / "Makefile", place)
    shutil.copy(paths.project_root() / "pyproject.toml", place)
    stamps = [place / ".venv" / ".installed", place / ".make" / "graphviz"]
    for stamp in stamps:
        stamp.parent.mkdir(exist_ok=True)
        stamp.touch()
    for program in ("din", "dagster"):
        shown = place / ".venv" / "bin" / program
        shown.write_text(
            f"#!{sys.executable}\nimport os, sys\nprint(sys.argv[1:], os.environ.get('DIN_CSV'))\n"
        )
        shown.chmod(0o755)
    (place / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (place / "xa.csv").touch()  # what a shell would make of a pattern
    environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}

    def call(*arguments, **more):
        return subprocess.run(
            ["make", "-s", *arguments], cwd=place, env=environment | more, capture_output=True,
            text=True, check=True,
        )  # fmt: skip

    return call


@pytest.mark.parametrize(
    "name", ["my log.csv", "it's.csv", 'say "hi".csv', "a$b$$c.csv", "`x`;*?.csv", "a#b,c(d.csv"]
)
def test_make_passes_a_name_on_as_it_is(make, name):
    def shown(*arguments, **more):
        done = make(*arguments, **more)
        assert not done.stderr
        return done.stdout.strip()

    assert shown("run", f"CSV={name}") == f"{['run', '--csv', name]} None"
    assert shown("run", CSV=name) == f"{['run', '--csv', name]} None"
    assert shown("run", f"CONFIG={name}") == f"{['run', '--config', name]} None"
    assert shown("run", "PRESET=best", "ARGS=--all") == "['run', '--preset', 'best', '--all'] None"
    assert shown("ui", f"CSV={name}") == f"['ui'] {name}"
    assert shown("ui", DIN_CSV=name) == f"['ui'] {name}"
    assert shown("run", f"DIN_CSV={name.replace('$', '$$')}") == f"['run'] {name}"


@pytest.mark.parametrize("name", ["CVS", "csv", "FILE"])
def test_make_says_of_a_name_that_it_does_not_know_that_it_changes_nothing(make, name):
    done = make("run", f"{name}=log.csv")
    assert (
        f"{name} is no name of this Makefile and changes nothing here; there are CSV" in done.stderr
    )
