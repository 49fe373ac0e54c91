"""What a run goes by where it is told little: the source and the options of the last run.

Runs themselves are in test_choices_of_runs.py and test_choices_of_din_run.py.
"""

from pathlib import Path

import pytest

from din_assets.runs import choices, last_run, paths
from din_assets.runs.last_run import ChoicesError
from tests.assets.small_choices import ROWS, config
from tests.assets.small_pipeline import write_rows


@pytest.fixture
def log(tmp_path) -> Path:
    return write_rows(tmp_path / "log.csv", *ROWS)


FILE_OPTIONS = {"user_col": "user_id"}  # as the ledger keeps them where a file was read


def source(home, run_config, named=None, recorded=None):
    return choices.of_run(run_config, home).source(named, recorded)


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


def test_source_on_the_command_line_comes_before_that_of_a_file(home, log):
    def typed(named, **options):
        asked = choices.of_run(config(interactions=options), home)
        return asked.source(named, None, by=choices.COMMAND_LINE)

    sample = typed("/sample.csv", path=str(log), user_col="reviewer")
    assert sample.options == {"path": "/sample.csv", "user_col": "reviewer"}
    assert sample.origin == "the command line"
    assert sample.warnings == (f"the run configuration names {log}, too: it has no effect",)
    assert typed(str(log), path=str(log)).warnings == ()
    [warning] = typed("synthetic", amazon_category="Beauty").warnings
    assert (
        warning == "the run configuration names Amazon Reviews 2014, Beauty, too: it has no effect"
    )


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


def test_file_has_one_name_from_wherever_it_is_named(tmp_path):
    for folder in ("checkout", "elsewhere/far"):
        (tmp_path / folder).mkdir(parents=True)
    log = write_rows(tmp_path / "log.csv", *ROWS)
    assert paths.resolve_source("../log.csv", tmp_path / "checkout") == str(log)
    # Behind a link `..` leads elsewhere, and there is another file of that name.
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere" / "far")
    other = write_rows(tmp_path / "elsewhere" / "log.csv", *ROWS)
    assert Path(paths.resolve_source("../log.csv", tmp_path / "link")).samefile(other)
    assert paths.resolve_source("../gone.csv", tmp_path / "checkout").endswith("../gone.csv")


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
