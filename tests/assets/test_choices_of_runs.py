"""What runs that Dagster starts go by and remember, and what they refuse."""

import shutil
from pathlib import Path

import pytest

from din_assets.runs import choices, last_run
from din_core.config import OptionsError
from tests.assets.small_choices import ROWS, config, remembered, write_labelled
from tests.assets.small_pipeline import Pipeline, failure_of, run_history, write_rows


@pytest.fixture
def log(tmp_path) -> Path:
    return write_rows(tmp_path / "log.csv", *ROWS)


@pytest.fixture
def labelled(tmp_path) -> Path:
    return write_labelled(tmp_path / "labelled.csv")


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """A log that was read, and the home; each test goes on from a copy of it."""
    folder = tmp_path_factory.mktemp("read")
    path = write_rows(folder / "log.csv", *ROWS)
    with pytest.MonkeyPatch.context() as patch, run_history() as instance:
        patch.setenv("DIN_CSV", str(path))
        reading = ("interactions", "rejected_rows", "source_files")
        assert Pipeline(folder / "data", instance).start(*reading, config={"ops": {}}).success
    return path, folder / "data"


NO_ATTRIBUTES = {"item_attribute_cols": []}
BY_CATEGORY = {"negative_sampling": "same_category"}


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


@pytest.mark.parametrize(
    ("is_labelled", "asked", "says"),
    [
        (True, {"negatives": {"sampling_seed": 3}}, "ops: negatives: sampling_seed=3 has no effe"),
        # Another option that a labelled log leaves without effect.
        pytest.param(
            True,
            {"din_model": {"negatives": "redrawn"}},
            "negatives is 'redrawn', but the log is",
            marks=pytest.mark.thorough,
        ),
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
        # The same of training, as the line above.
        pytest.param(
            False,
            {"interactions": NO_ATTRIBUTES, "din_model": {"redrawn_sampling": "same_category"}},
            "redrawn_sampling is 'same_category', but item_attribute_cols is empty",
            marks=pytest.mark.thorough,
        ),
        (
            False,
            {"samples": {"split": "temporal", "val_from": 1.7e12, "test_from": 1.8e12}},
            "as milliseconds it would be among them",
        ),
    ],
)
def test_options_that_a_log_cannot_take_are_refused_before_it_replaces_another(
    pipeline, read, labelled, tmp_path, monkeypatch, is_labelled, asked, says
):
    log, home = read
    shutil.copytree(home, pipeline.home)
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
    reading = ("interactions", "rejected_rows", "source_files")
    assert pipeline.start(*reading, config={"ops": {}}).success
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
