"""What a run goes by where it is told little: the source and the options of the last run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from din_assets.command import cli
from din_assets.command.refresh import RefreshFailedError, refresh
from din_assets.runs import choices, last_run, paths
from din_assets.runs.last_run import ChoicesError
from din_core.config import OptionsError
from tests.assets.conftest import failure_of, write_rows

FILE_OPTIONS = {"user_col": "user_id"}  # as the ledger keeps them where a file was read
ROWS = [f"u{user},i{item},{10 * item + user},c{item % 2}" for user in range(4) for item in range(5)]


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    home = tmp_path / "data"
    home.mkdir()
    monkeypatch.setenv("DIN_HOME", str(home))
    return home


@pytest.fixture
def log(tmp_path) -> Path:
    return write_rows(tmp_path / "log.csv", *ROWS)


def config(**options):
    return {"ops": {step: {"config": given} for step, given in options.items()}}


def source(home, run_config, named=None, recorded=None):
    return choices.of_run(run_config, home).source(named, recorded)


NO_ATTRIBUTES = {"item_attribute_cols": []}
BY_CATEGORY = {"negative_sampling": "same_category"}


# The source


def test_source_of_the_last_run_is_read_where_none_is_named(home, log):
    last_run.write(
        home / last_run.FILE, {"interactions": {"path": str(log), "user_col": "reviewer"}}
    )
    for run_config in ({}, config(din_model={"n_epoch": 3})):
        again = source(home, run_config, recorded=FILE_OPTIONS)
        assert again.options == {"path": str(log), "user_col": "reviewer"}
        assert again.origin == "the last run"


def test_named_source_takes_the_place_of_the_last(home, log):
    last_run.write(
        home / last_run.FILE, {"interactions": {"amazon_category": "Beauty", "item_col": "asin"}}
    )
    assert source(home, {}, named=str(log)).options == {"path": str(log), "item_col": "asin"}
    by_config = source(home, config(interactions={"path": str(log)}))
    assert by_config.options == {"path": str(log)}


def test_synthetic_log_comes_first_and_afterwards_only_by_name(home, log):
    assert source(home, {}).options["path"] == paths.SYNTHETIC
    last_run.write(home / last_run.FILE, {"interactions": {"path": str(log)}})
    assert source(home, {}, named="synthetic").options == {"path": paths.SYNTHETIC}
    assert source(home, config(interactions={"path": "synthetic"})).name == "the synthetic log"


def test_tables_of_a_forgotten_log_are_not_replaced_by_the_synthetic_one(home):
    with pytest.raises(ChoicesError, match=r"made of a log that last_run\.yaml does not name"):
        source(home, {}, recorded=FILE_OPTIONS)
    assert source(home, {}, recorded={"synthetic": {}}).name == "the synthetic log"


def test_shape_of_the_synthetic_log_does_not_name_it(home, log):
    last_run.write(home / last_run.FILE, {"interactions": {"path": str(log)}})
    with pytest.raises(ChoicesError, match=r"log\.csv is read \(the last run names it\)"):
        source(home, config(interactions={"synthetic": {"n_users": 7}}))
    # The launchpad shows every default: these are no wish.
    defaults = config(interactions={"synthetic": {"n_users": 2000}, "path": None})
    assert source(home, defaults).name == str(log)


def test_remembered_shape_of_the_synthetic_log_is_left_with_it(home, log):
    shape = {"path": "synthetic", "synthetic": {"n_users": 7}, "user_col": "user_id"}
    last_run.write(home / last_run.FILE, {"interactions": shape})
    assert source(home, {}).options == shape
    assert source(home, {}, named=str(log)).options == {"path": str(log), "user_col": "user_id"}


def test_two_sources_are_refused_or_told(home, log):
    both = config(interactions={"path": str(log), "amazon_category": "Beauty"})
    with pytest.raises(ChoicesError, match="one log is read"):
        source(home, both)
    one = source(home, config(interactions={"path": str(log)}), named="other.csv")
    assert "other.csv, too: it has no effect" in one.warnings[0]
    assert source(home, config(interactions={"path": str(log)}), named=str(log)).warnings == ()


def test_remembered_file_that_is_gone_is_told(home, log):
    last_run.write(home / last_run.FILE, {"interactions": {"path": str(log)}})
    log.unlink()
    with pytest.raises(ChoicesError, match=r"log\.csv, the source of the last run, is gone"):
        source(home, {})


def test_glob_is_found_below_a_folder_whose_name_looks_like_one(tmp_path):
    folder = tmp_path / "logs [2024]"
    folder.mkdir()
    log = write_rows(folder / "a[1].csv", *ROWS)
    assert paths.resolve_source("a[1].csv", folder) == str(log)
    assert choices.is_there(paths.resolve_source("a*.csv", folder))
    assert not choices.is_there(paths.resolve_source("b*.csv", folder))


# The options


def test_options_of_the_last_run_hold_where_no_step_is_named(home):
    last_run.write(
        home / last_run.FILE, {"samples": {"max_history": 7}, "known_ids": {"min_interactions": 2}}
    )
    asked = choices.of_run({"loggers": {}}, home)
    assert asked.options("samples") == {"max_history": 7}
    assert sorted(asked.remembered_steps()) == ["known_ids", "samples"]


def test_configuration_that_names_a_step_counts_whole(home):
    last_run.write(
        home / last_run.FILE, {"samples": {"max_history": 7}, "known_ids": {"min_interactions": 2}}
    )
    asked = choices.of_run(config(known_ids={"min_interactions": 3}), home)
    assert asked.options("samples") == {}
    assert asked.options("known_ids") == {"min_interactions": 3}
    assert asked.remembered_steps() == []


def test_preset_changes_the_steps_it_names(home):
    last_run.write(
        home / last_run.FILE, {"samples": {"max_history": 7}, "din_model": {"n_epoch": 3}}
    )
    asked = choices.of_run(config(din_model={}), home, keeps_others=True)
    assert asked.options("samples") == {"max_history": 7}
    assert asked.options("din_model") == {}


def test_damaged_memory_is_told(home):
    for text in ("ops: [", "ops: [users]", "ops: {users: {config: 3}}", "3"):
        (home / last_run.FILE).write_text(text)
        with pytest.raises(ChoicesError, match=r"last_run\.yaml: .* cannot be read"):
            choices.of_run({}, home)


# Runs that Dagster starts


def remembered(home):
    return yaml.safe_load((home / last_run.FILE).read_text())["ops"]


def test_run_without_configuration_repeats_the_last(pipeline, log, monkeypatch):
    monkeypatch.setenv("DIN_CSV", str(log))
    asked = {"ops": {"known_ids": {"config": {"min_interactions": 5}}}, "loggers": {}}
    reading = ("interactions", "rejected_rows", "source_files", "known_ids")
    assert pipeline.run(*reading, config=asked).success
    before = pipeline.versions()
    monkeypatch.delenv("DIN_CSV")
    assert pipeline.run(*reading, config={"ops": {}}).success
    assert pipeline.versions() == before
    options = pipeline.query("select options from ledger where asset = 'known_ids'")
    assert options == [('{"min_interactions": 5}',)]
    assert remembered(pipeline.home) == {
        "interactions": {"config": {"path": str(log)}},
        "known_ids": {"config": {"min_interactions": 5}},
    }


def test_run_of_some_steps_leaves_what_is_remembered_of_the_others(pipeline, log, monkeypatch):
    pipeline.home.mkdir()
    before = {"interactions": {"path": str(log)}, "din_model": {"n_epoch": 3}}
    last_run.write(pipeline.home / last_run.FILE, before)
    asked = {"ops": {"interactions": {"config": {"drop_duplicates": True}}}}
    assert pipeline.run("interactions", "rejected_rows", "source_files", config=asked).success
    assert pipeline.run(
        "known_ids", config={"ops": {"samples": {"config": {"max_history": 3}}}}
    ).success
    assert remembered(pipeline.home) == {
        "interactions": {"config": {"path": str(log), "drop_duplicates": True}},
        "din_model": {"config": {"n_epoch": 3}},
    }


def test_source_that_cannot_be_used_is_not_remembered(pipeline, log, tmp_path, monkeypatch):
    reading = ("interactions", "rejected_rows", "source_files")
    monkeypatch.setenv("DIN_CSV", str(log))
    assert pipeline.run(*reading, config={"ops": {}}).success
    monkeypatch.setenv("DIN_CSV", str(write_rows(tmp_path / "bad.csv", "1", header="user_id")))
    assert not pipeline.run(*reading, config={"ops": {}}).success
    assert remembered(pipeline.home) == {"interactions": {"config": {"path": str(log)}}}


UNTIL_NEGATIVES = (
    "interactions", "rejected_rows", "source_files", "known_ids",
    "attributes", "users", "items", "cates", "events",
    "user_sequences", "negatives",
)  # fmt: skip


def refusing(monkeypatch, table):
    """Let a step refuse its options when it comes to them."""

    def refuse(name, *_):
        if name == table:
            raise OptionsError("the step's own reason")

    monkeypatch.setattr("din_core.tables.sequences.unused_options.refuse", refuse)


def test_options_that_a_step_refuses_are_given_back_for_those_it_had(pipeline, log, monkeypatch):
    monkeypatch.setenv("DIN_CSV", str(log))
    until = UNTIL_NEGATIVES[:4]
    good = {"interactions": {"config": {}}, "known_ids": {"config": {"min_interactions": 3}}}
    assert pipeline.start(*until, config={"ops": good}).success
    refusing(monkeypatch, "known_ids")
    wrong = {"ops": {**good, "known_ids": {"config": {"min_interactions": 4}}}}
    assert not pipeline.start(*until, config=wrong).success
    assert remembered(pipeline.home) == {
        "interactions": {"config": {"path": str(log)}},
        "known_ids": {"config": {"min_interactions": 3}},
    }


def test_options_of_steps_that_were_not_reached_are_remembered(pipeline, log, monkeypatch):
    monkeypatch.setenv("DIN_CSV", str(log))
    refusing(monkeypatch, "known_ids")
    asked = {
        "known_ids": {"config": {"min_interactions": 3}},
        "din_model": {"config": {"n_epoch": 7}},
    }
    assert not pipeline.start(config={"ops": asked}).success
    assert remembered(pipeline.home) == {
        "interactions": {"config": {"path": str(log)}},
        "din_model": {"config": {"n_epoch": 7}},
    }


# Options that a log cannot take


@pytest.fixture
def labelled(tmp_path) -> Path:
    header = "user_id,item_id,time,cate_id,label"
    rows = [f"{row},{number % 2}" for number, row in enumerate(ROWS)]
    return write_rows(tmp_path / "labelled.csv", *rows, header=header)


@pytest.mark.parametrize(
    ("is_labelled", "asked", "says"),
    [
        (True, {"negatives": {"sampling_seed": 3}}, "ops: negatives: sampling_seed=3 has no effe"),
        (True, {"din_model": {"negatives": "redrawn"}}, "negatives is 'redrawn', but the log is"),
        (
            True,
            {"din_model": {"redrawn_per_positive": 3}},
            "ops: din_model: redrawn_per_positive is 3, but the log is labelled",
        ),
        (
            False,
            {"interactions": NO_ATTRIBUTES, "negatives": BY_CATEGORY},
            "negative_sampling is 'same_category', but item_attribute_cols is empty",
        ),
        (
            False,
            {"interactions": NO_ATTRIBUTES, "din_model": {"redrawn_sampling": "same_category"}},
            "redrawn_sampling is 'same_category', but item_attribute_cols is empty",
        ),
        (
            False,
            {"samples": {"split": "temporal", "val_from": 1.7e12, "test_from": 1.8e12}},
            "as milliseconds it would be among them",
        ),
    ],
)
def test_options_that_a_log_cannot_take_are_refused_before_it_replaces_another(
    pipeline, log, labelled, tmp_path, monkeypatch, is_labelled, asked, says
):
    monkeypatch.setenv("DIN_CSV", str(log))
    assert pipeline.start(
        "interactions", "rejected_rows", "source_files", config={"ops": {}}
    ).success
    before = pipeline.versions()
    dated = [row.replace(",", f",i{n}-", 1) for n, row in enumerate(ROWS)]
    dated = [",".join([*row.split(",")[:2], f"{1.6e9 + 1e7 * n:.0f}", "c1"])
             for n, row in enumerate(dated)]  # fmt: skip
    other = labelled if is_labelled else write_rows(tmp_path / "other.csv", *dated)
    monkeypatch.setenv("DIN_CSV", str(other))

    result = pipeline.start(config={"ops": config(**asked)["ops"]})

    assert says in failure_of(result)
    assert pipeline.versions() == before
    assert remembered(pipeline.home) == {"interactions": {"config": {"path": str(log)}}}


def test_options_of_another_log_that_this_one_leaves_without_effect_are_forgotten(
    pipeline, log, labelled, monkeypatch, caplog
):
    monkeypatch.setenv("DIN_CSV", str(log))
    asked = config(
        negatives={"sampling_seed": 3, "negative_sampling": "popularity"},
        din_model={"negatives": "redrawn", "redrawn_per_positive": 2, "n_epoch": 7},
        samples={"max_history": 4},
    )
    pipeline.home.mkdir()
    last_run.write(pipeline.home / last_run.FILE, choices.options_by_step(asked))
    monkeypatch.setenv("DIN_CSV", str(labelled))

    assert pipeline.start(*UNTIL_NEGATIVES, config={"ops": {}}).success

    assert remembered(pipeline.home) == {
        "interactions": {"config": {"path": str(labelled)}},
        "samples": {"config": {"max_history": 4}},
        "din_model": {"config": {"n_epoch": 7}},
    }
    [(made_with,)] = pipeline.query("select options from ledger where asset = 'negatives'")
    assert '"sampling_seed": 2022' in made_with


def test_run_that_reads_no_source_goes_by_the_log_that_was_read(pipeline, labelled, monkeypatch):
    monkeypatch.setenv("DIN_CSV", str(labelled))
    assert pipeline.start(*UNTIL_NEGATIVES, config={"ops": {}}).success
    before = pipeline.versions()
    asked = config(known_ids={"min_interactions": 5}, negatives={"sampling_seed": 3})

    result = pipeline.start("known_ids", "negatives", config=asked)

    assert "sampling_seed=3 has no effect: the log is labelled" in refusal_of(result)
    assert pipeline.versions() == before
    assert remembered(pipeline.home) == {"interactions": {"config": {"path": str(labelled)}}}
    # What is asked of a step that the run does not have is not taken, so it is not looked at.
    assert pipeline.start("known_ids", config=asked).success


def test_options_out_of_their_range_are_refused_before_anything_is_read(pipeline, log, monkeypatch):
    monkeypatch.setenv("DIN_CSV", str(log))
    asked = {"known_ids": {"config": {"min_interactions": 2**30}}}
    assert not pipeline.start(config={"ops": asked}).success
    assert not (pipeline.home / last_run.FILE).exists()
    assert not (pipeline.home / "pipeline.duckdb").exists()


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

    @pytest.mark.parametrize("dry_run", [False, True])
    def test_options_that_the_log_cannot_take_are_refused_although_nothing_is_read(
        self, run, home, labelled, pipeline, dry_run
    ):
        run(config(), named=str(labelled))
        asked = config(negatives={"sampling_seed": 3})
        with pytest.raises(OptionsError, match="sampling_seed=3 has no effect: the log is label"):
            list(refresh(pipeline.instance, run_config=asked, dry_run=dry_run))
        assert remembered(home) == {"interactions": {"config": {"path": str(labelled)}}}

    def test_file_that_cannot_be_used_takes_nobodys_place(self, run, home, log, tmp_path):
        run(config(), named=str(log))
        bad = write_rows(tmp_path / "bad.csv", "1", header="user_id")
        with pytest.raises(RefreshFailedError):
            run(config(samples={"max_history": 7}), named=str(bad))
        assert remembered(home) == {"interactions": {"config": {"path": str(log)}}}


def refusal_of(result):
    assert not result.success
    return "\n".join(
        str(event.event_specific_data) for event in result.all_events if event.is_failure
    )


@pytest.mark.parametrize(
    ("ops", "says"),
    [
        ({"sample": {"config": {"max_history": 3}}}, "no step 'sample'; is 'samples' meant?"),
        # Steps that the run does not have: Dagster looks at none of this.
        ({"samples": {"config": {"max_histori": 3}}}, "is 'max_history' meant?"),
        ({"samples": {"config": {"max_history": 0}}}, "samples: max_history is 0"),
        ({"events": {"config": {"seed": 3}}}, "no option 'seed'"),
    ],
)
def test_name_that_belongs_to_no_step_fails_before_the_source_is_read(
    pipeline, log, monkeypatch, ops, says
):
    monkeypatch.setenv("DIN_CSV", str(log))
    names = ("interactions", "rejected_rows", "source_files")
    result = pipeline.start(*names, config={"ops": ops})
    assert says in refusal_of(result)
    assert not (pipeline.home / "pipeline.duckdb").exists()


def test_option_of_a_step_that_is_not_selected_is_legitimate(pipeline, log, monkeypatch):
    monkeypatch.setenv("DIN_CSV", str(log))
    asked = {"ops": {"samples": {"config": {"max_history": 3}}}}
    assert pipeline.start("interactions", "rejected_rows", "source_files", config=asked).success
    assert "samples" not in remembered(pipeline.home)


def test_remembered_option_that_is_no_more_is_told(pipeline, log):
    pipeline.home.mkdir()
    last_run.write(
        pipeline.home / last_run.FILE, {"interactions": {"path": str(log), "colour": "red"}}
    )
    result = pipeline.start("interactions", "rejected_rows", "source_files", config={})
    assert "no option 'colour'" in refusal_of(result)
    assert last_run.FILE in refusal_of(result)


# The command line


def test_command_line_reads_paths_from_where_it_is_typed(home, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "it's a $HOME"
    folder.mkdir()
    write_rows(folder / "my log*.csv", *ROWS)
    monkeypatch.chdir(folder)
    assert cli.main(["run", "--dry-run", "--csv", "my log*.csv"]) == 0
    monkeypatch.chdir(folder)
    assert cli.main(["run", "--dry-run", "--csv", "log.csv"]) == 1
    assert f"{folder}/log.csv: there is no such file" in capsys.readouterr().err


def test_unknown_preset_is_told(home, capsys):
    assert cli.main(["run", "--preset", "tutorail"]) == 1
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


@pytest.mark.parametrize(
    "name", ["my log.csv", "it's.csv", 'say "hi".csv', "a$b$$c.csv", "`x`;*?.csv", "a#b,c(d.csv"]
)
def test_make_passes_a_name_on_as_it_is(tmp_path, name):
    """With a stand-in for `din` that shows what it is called with."""
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
    environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}

    def make(*arguments, **more):
        done = subprocess.run(
            ["make", "-s", *arguments], cwd=place, env=environment | more, capture_output=True,
            text=True, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    (place / "xa.csv").touch()  # what a shell would make of a pattern
    assert make("run", f"CSV={name}") == f"{['run', '--csv', name]} None"
    assert make("run", CSV=name) == f"{['run', '--csv', name]} None"
    assert make("run", f"CONFIG={name}") == f"{['run', '--config', name]} None"
    assert make("run", "PRESET=best", "ARGS=--all") == "['run', '--preset', 'best', '--all'] None"
    assert make("ui", f"CSV={name}") == f"['ui'] {name}"
    assert make("ui", DIN_CSV=name) == f"['ui'] {name}"


def test_edit_of_the_remembered_options_during_a_run_is_for_the_next_run(
    pipeline, write_csv, monkeypatch
):
    log = write_csv("u1,i1,1,c1", "u1,i2,2,c1", "u2,i1,3,c1")
    pipeline.home.mkdir()
    place = pipeline.home / last_run.FILE
    remembered = {"interactions": {"path": str(log)}, "known_ids": {"min_interactions": 2}}
    last_run.write(place, remembered)
    remember = last_run.Settled.remember

    def remember_and_edit(settled):
        remember(settled)
        last_run.write(place, {**remembered, "known_ids": {"min_interactions": 0}})

    monkeypatch.setattr(last_run.Settled, "remember", remember_and_edit)
    tables = ("interactions", "rejected_rows", "source_files", "known_ids")
    quiet = {"loggers": pipeline.config["loggers"]}

    assert pipeline.start(*tables, config=quiet).success
    users = "select value from known_ids where vocabulary = 'user' order by 1"
    assert pipeline.query(users) == [("u1",)]

    assert pipeline.start(*tables, config=quiet).success
    assert pipeline.query(users) == [("u1",), ("u2",)]
