"""A log that grows, run by run: ids keep their indices, and other logs do not inherit them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from din_assets.command import cli
from din_assets.runs import last_run
from din_core.store import sql_files
from tests.assets.small_pipeline import Pipeline, failure_of, run_history, write_rows

KNOWN = ("interactions", "rejected_rows", "source_files", "known_ids")
ITEMS = ("attributes", "items")


@pytest.fixture
def read(pipeline):
    """Read a source, and make its known ids, from which each vocabulary is made."""

    def run(path, **options):
        pipeline.config["ops"]["interactions"]["config"] = {"path": str(path), **options}
        result = pipeline.run(*KNOWN)
        assert result.success
        return {
            key.to_user_string(): event.metadata
            for event in (
                each.event_specific_data.materialization
                for each in result.all_events
                if each.is_step_materialization
            )
            for key in [event.asset_key]
        }

    return run


@pytest.fixture(scope="module")
def first_load(tmp_path_factory):
    """A folder with a log of two rows, and the home after it was read once."""
    folder = tmp_path_factory.mktemp("first_load")
    path = write_rows(folder / "log.csv", "1,9,1,1", "1,8,2,1")
    with run_history() as instance:
        options = {"interactions": {"config": {"path": str(path)}}}
        assert Pipeline(folder / "data", instance).start(*KNOWN, config={"ops": options}).success
    return folder


@pytest.fixture
def loaded(first_load, pipeline, read, tmp_path):
    """The log in the test's folder, as if it had been read once from there; its path."""
    shutil.copytree(first_load / "data", pipeline.home)
    path = Path(shutil.copy(first_load / "log.csv", tmp_path))
    remembered = pipeline.home / last_run.FILE
    remembered.write_text(remembered.read_text().replace(str(first_load), str(tmp_path)))
    pipeline.config["ops"]["interactions"]["config"] = {"path": str(path)}
    return path


def indices(pipeline, vocabulary="item"):
    known = f"select cast(value as bigint), idx from known_ids where vocabulary = '{vocabulary}'"
    return dict(pipeline.query(known))


def test_landing_files_extend_the_vocabularies_and_a_corrected_one_is_told(
    pipeline, read, tmp_path
):
    days = tmp_path / "incoming"
    days.mkdir()
    for number in (1, 2):
        rows = [f"{50 - number},{90 - number},{number},{number}", f"1,99,{number},7"]
        write_rows(days / f"2024-01-0{number}.csv", *rows)
        made = read(days / "*.csv")
        assert made["interactions"]["load"].value == number
        assert indices(pipeline) == {99: 2} | {
            90 - day: 1 if day == 1 else day + 1 for day in range(1, number + 1)
        }
    write_rows(days / "2024-01-01.csv", "49,5,1,1")
    made = read(days / "*.csv")
    [said] = [each for each in made["interactions"]["files"].value if "was changed" in each]
    assert said.startswith("2024-01-01.csv was changed since load 1 read it")
    assert indices(pipeline) == {89: 1, 99: 2, 88: 3, 5: 4}
    assert made["known_ids"]["ids_not_in_log"].value == 1
    assert pipeline.query("select load from source_files order by file") == [(3,), (2,)]


def test_another_path_is_another_log_unless_told_otherwise(pipeline, read, tmp_path):
    one = write_rows(tmp_path / "one.csv", "1,9,1,1", "1,8,2,1")
    two = write_rows(tmp_path / "two.csv", "1,5,1,1", "1,9,2,1")
    three = write_rows(tmp_path / "three.csv", "1,4,1,1", "1,9,2,1")
    read(one)
    made = read(two, vocabularies="keep")
    assert indices(pipeline) == {8: 1, 9: 2, 5: 3}
    assert "known ids keep their indices" in made["interactions"]["vocabularies"].value
    made = read(three)
    assert indices(pipeline) == {4: 1, 9: 2}
    assert "this is another log than before" in made["interactions"]["vocabularies"].value
    # Named by nobody, the log is that of the last run, and grows.
    write_rows(three, "1,4,1,1", "1,9,2,1", "1,3,3,1")
    pipeline.config["ops"]["interactions"]["config"] = {}
    assert pipeline.start(*KNOWN, *ITEMS, config={"ops": {}}).success
    table = pipeline.query("select item_id, item_idx from items order by item_idx")
    assert table == [(4, 1), (9, 2), (3, 3)]


def test_failed_check_of_the_ids_leaves_them_as_they_were(pipeline, loaded, monkeypatch):
    before = pipeline.query("from known_ids")
    write_rows(loaded, "1,9,1,1", "1,8,2,1", "1,3,3,1")
    right, render = "coalesce(last_indices.last_idx, 0) + new_ids.place", sql_files.render

    def render_wrong(name, **options):
        return render(name, **options).replace(right, f"{right} + 1")

    with monkeypatch.context() as patch:
        patch.setattr(sql_files, "render", render_wrong)
        assert "known_ids_dense" in failure_of(pipeline.run(*KNOWN))
    assert pipeline.query("from known_ids") == before
    assert pipeline.run(*KNOWN).success
    assert indices(pipeline) == {8: 1, 9: 2, 3: 3}


def test_compact_of_no_ids_says_so(pipeline, monkeypatch, capsys):
    monkeypatch.setenv("DIN_HOME", str(pipeline.home))
    assert cli.main(["vocabulary", "compact"]) == 0
    assert "knows no ids: nothing to forget" in capsys.readouterr().out


def test_compact_forgets_and_the_next_run_numbers_anew(pipeline, read, loaded, monkeypatch, capsys):
    monkeypatch.setenv("DIN_HOME", str(pipeline.home))
    write_rows(loaded, "1,9,1,1", "1,3,3,1")
    read(loaded)
    assert indices(pipeline) == {8: 1, 9: 2, 3: 3}
    assert cli.main(["vocabulary", "compact"]) == 0
    out = capsys.readouterr().out
    # A user, three items, a category; item 8 left with its row.
    assert "5 known ids are forgotten, 1 of them no longer in the log" in out
    assert "where an id gets another index, trains the model again" in out
    read(loaded)
    assert indices(pipeline) == {3: 1, 9: 2}


# Ids that are forgotten end as without a past, in test_exactness.py, the same indices included.
@pytest.mark.thorough
def test_ids_that_get_the_same_indices_after_they_were_forgotten_change_nothing(
    pipeline, read, loaded, monkeypatch
):
    monkeypatch.setenv("DIN_HOME", str(pipeline.home))
    assert pipeline.run(*ITEMS).success
    before = pipeline.versions()
    assert cli.main(["vocabulary", "compact"]) == 0
    read(loaded)
    assert pipeline.run(*ITEMS).success
    after = pipeline.versions()
    assert {name for name in before if before[name] != after[name]} <= {"known_ids"}


def test_a_vocabulary_that_starts_anew_is_told_once(pipeline, read, loaded, capsys, caplog):
    pipeline.config["loggers"] = {"console": {"config": {"log_level": "WARNING"}}}
    write_rows(loaded, "u1,9,1,1", "u1,8,2,1")
    read(loaded)
    anew = "the ids of the vocabulary 'user' were integers and are text now"
    [told] = [line for line in capsys.readouterr().err.splitlines() if anew in line]
    assert told.startswith("WARNING known_ids: ")
    assert anew not in caplog.text  # which a terminal shows as well


def test_ids_of_another_column_of_the_log_are_told(pipeline, read, tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user_id,session,item_id,time,cate_id\n1,7,9,1,1\n2,8,9,2,1\n")
    read(path)
    made = read(path, user_col="session")["interactions"]
    [told] = made["files"].value
    assert told.startswith("user_col is 'session' and was 'user_id': known ids keep their indices")
    assert indices(pipeline, "user") == {1: 1, 2: 2, 7: 3, 8: 4}
    made = read(path, user_col="session", vocabularies="anew")["interactions"]
    assert "files" not in made
    assert indices(pipeline, "user") == {7: 1, 8: 2}
