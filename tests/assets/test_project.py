"""``din init`` and the project that a command is typed in."""

import os
import re
from pathlib import Path

import pytest
import yaml

from din_assets.command import cli
from din_assets.command.config_files import asked_for
from din_assets.names import Names, PrefixError
from din_assets.runs import folders
from din_assets.runs.project import ProjectError, find

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A project, and the working directory in it."""
    monkeypatch.chdir(tmp_path)
    assert cli.main(["init", "shop"]) == 0
    monkeypatch.chdir("shop")
    return tmp_path / "shop"


def test_a_new_project_is_found_from_any_folder_of_it(shop, monkeypatch):
    below = shop / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert folders.project_root() == shop
    assert folders.home() == shop / "data"
    assert folders.current_names() == Names(("shop",))


def test_the_nearest_project_counts(shop, monkeypatch):
    (shop / "inner").mkdir()
    (shop / "inner" / "pyproject.toml").write_text('[tool.din]\nhome = "results"\n')
    monkeypatch.chdir(shop / "inner")
    assert folders.home() == shop / "inner" / "results"
    assert folders.current_names() == Names()


def test_a_file_of_another_tool_is_passed_over(shop, monkeypatch):
    (shop / "member").mkdir()
    (shop / "member" / "pyproject.toml").write_text('[project]\nname = "member"\n')
    monkeypatch.chdir(shop / "member")
    assert folders.project_root() == shop


def test_din_home_takes_the_place_of_the_projects(shop, monkeypatch):
    monkeypatch.setenv("DIN_HOME", "elsewhere")
    assert folders.home() == shop / "elsewhere"
    assert folders.project_of(shop / "shop" / "definitions.py").home == shop / "elsewhere"


def test_din_home_does_not_send_two_projects_to_one_folder(shop, monkeypatch):
    """Both are in one code location, which is loaded in the first of them."""
    monkeypatch.chdir(shop.parent)
    assert cli.main(["init", "other"]) == 0
    monkeypatch.chdir(shop)
    monkeypatch.setenv("DIN_HOME", "elsewhere")
    assert folders.project_of(shop).home == shop / "elsewhere"
    assert folders.project_of(shop.parent / "other").home == shop.parent / "other" / "data"


def test_without_a_project_the_checkout_counts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert folders.current_project() is None
    assert folders.project_root() == CHECKOUT
    with pytest.raises(ProjectError, match="neither this folder nor one above"):
        folders.project_of(tmp_path)


def test_the_checkout_lies_in_no_project(shop):
    assert find(CHECKOUT / "tests", below=CHECKOUT) is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[tool.din]\nprefx = 'a'\n", r"\[tool.din\] has no option 'prefx'; there are prefix"),
        ("[tool.din]\nhome = 3\n", r"\[tool.din\] home is 3; write a text"),
        ("[tool]\ndin = 1\n", r"\[tool.din\] is 1; it is a table"),
        ("[tool.din\n", "is not valid TOML: .*line 1"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path, text, sentence):
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(ProjectError, match=f"{tmp_path}/pyproject.toml.*{sentence}"):
        find(tmp_path)


def test_a_wrong_prefix_is_refused(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.din]\nprefix = "my clicks"\n')
    found = find(tmp_path)
    with pytest.raises(PrefixError, match="prefix is 'my clicks'"):
        found.names  # noqa: B018


@pytest.mark.parametrize(
    ("folder", "sentence"),
    [
        ("shop", "shop is there already, and nothing is overwritten"),
        (".", r"\. is there already"),
        ("My-Shop", "name is 'My-Shop'; as the name of a Python package"),
        ("class", "name is 'class'"),
        ("json", "there is a Python module 'json' already"),
        ("duckdb", "there is a Python module 'duckdb' already"),
    ],
)
def test_init_refuses(tmp_path, monkeypatch, capsys, folder, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "mine.txt").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    assert cli.main(["init", folder]) == 2
    assert re.search(sentence, capsys.readouterr().err)
    assert sorted(tmp_path.rglob("*")) == before


def test_init_leaves_nothing_behind_where_it_fails(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def no_space(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device", "shop")

    monkeypatch.setattr(Path, "write_text", no_space)
    assert cli.main(["init", "shop"]) == 1
    sentence = "din: shop cannot be written: No space left on device; nothing is left\n"
    assert capsys.readouterr().err == sentence
    assert list(tmp_path.iterdir()) == []


def test_a_new_project_has_the_checkouts_instance(shop):
    """Queue, run history and signs of life are set up once, in two files."""
    mine = yaml.safe_load((shop / "dagster.yaml").read_text())
    assert mine == yaml.safe_load((CHECKOUT / "dagster.yaml").read_text())


def test_a_configuration_may_name_steps_as_the_launchpad_does(shop):
    (shop / "mine.yaml").write_text("ops: {shop__din_model: {config: {n_epoch: 3}}}\n")
    asked = asked_for(shop / "mine.yaml", "best").run_config
    assert asked["ops"]["din_model"]["config"]["n_epoch"] == 3
    assert set(asked["ops"]) == {"din_model"}


def test_files_of_a_new_project_are_for_everybody_who_may_read_the_folder(shop):
    umask = os.umask(0)
    os.umask(umask)
    assert shop.stat().st_mode & 0o777 == 0o777 & ~umask
