"""Every command, option and query that a page shows does what the page says, or is understood.

What reads is typed as it stands there, in a folder that stands for the project's. What makes is run
by other tests; here its words are held against the program that takes them.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys

import click
import duckdb
import pytest
import yaml
from starlette.testclient import TestClient

from din_assets.command import cli, config_files
from din_assets.definitions import build_defs
from din_assets.starting import refresh_config
from din_core.evaluation import exported_figures
from din_core.serving.server.application import create_app
from tests import documents

#: Commands of `din` that make, replace, wait or serve.
MAKES = {"run", "refresh", "serve"}

#: A version as a page shows it: the beginning of one.
VERSION = re.compile(r"[0-9a-f]{4}")


def kind_of(command):
    """What a command is of, without variables before it and folders in it."""
    words = shlex.split(command.text)
    while "=" in words[0]:
        words.pop(0)
    return words[0].rpartition("/")[2], words[1:]


def of_kind(*kinds, but=()):
    found = [
        each for each in documents.commands() if kind_of(each)[0] in kinds and each.page not in but
    ]
    return pytest.mark.parametrize("command", found, ids=map(str, found))


@pytest.fixture(scope="module")
def project(finished, tmp_path_factory):
    """A folder like the project's, after a run, with the files that the pages name."""
    folder = tmp_path_factory.mktemp("project")
    (folder / ".venv").symlink_to(sys.prefix, target_is_directory=True)
    # A copy, since some commands decide about its models.
    shutil.copytree(finished.home, folder / "data", symlinks=True)
    with duckdb.connect(str(folder / "data" / "warehouse.duckdb"), read_only=True) as con:
        figures = exported_figures.read(con)
    (folder / "main-metrics.json").write_text(figures.to_json(), encoding="utf-8")
    (folder / "ids.txt").write_text("1\n2\n", encoding="utf-8")
    duckdb.sql("select 1 as user_id, 2 as item_id").write_parquet(str(folder / "pairs.parquet"))
    return folder


@of_kind("make")
def test_make_knows_its_targets(command):
    done = subprocess.run(
        ["make", "-n", *kind_of(command)[1]],
        cwd=documents.ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    given = dict(word.split("=", 1) for word in kind_of(command)[1] if "=" in word)
    assert given.keys() <= {"CSV", "PRESET", "CONFIG", "ARGS", "PORT", "BENCH"}
    config_files.asked_for(None, given.get("PRESET"))  # refuses one that there is not


@of_kind("din")
def test_din_understands_its_words_or_answers(command, project, monkeypatch):
    _, words = kind_of(command)
    if not words or words[0] in MAKES:
        asked = cli._parser(words).parse_args(words)
        config_files.asked_for(None, getattr(asked, "preset", None))
        return
    monkeypatch.chdir(project)
    monkeypatch.setenv("DIN_HOME", str(project / "data"))
    version = model_version(project)
    assert cli.main([version if VERSION.fullmatch(word) else word for word in words]) == 0


def model_version(project):
    """The beginning of the model's version, as a page shows one."""
    with duckdb.connect(str(project / "data" / "warehouse.duckdb"), read_only=True) as con:
        return con.sql("select left(model_version, 4) from model_versions").fetchall()[0][0]


@of_kind("torchrun")
def test_torchrun_understands_its_words(command):
    """What they start is run by test_launching.py, by way of the asset."""
    from torch.distributed.run import get_args_parser

    asked = get_args_parser().parse_args(kind_of(command)[1])
    assert asked.training_script.endswith(".py")


@of_kind("sh")
def test_recipe_is_there_and_hands_words_to_din_run_that_it_understands(command):
    """It is run by test_ci_recipe.py."""
    _, (script, _main, _out, *handed_on) = kind_of(command)
    assert (documents.ROOT / script).is_file()
    cli._parser(["run"]).parse_args(["run", *handed_on])


@of_kind("python")
def test_python_answers(command, project):
    _, words = kind_of(command)
    done = subprocess.run(
        [sys.executable, *words], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


#: That page asks for the table of an ablation, which test_ablation.py makes and reads.
@of_kind("duckdb", but=["docs/evidence.md"])
def test_duckdb_answers(command, project):
    _, words = kind_of(command)
    assert words[0] == "-readonly"
    with duckdb.connect(str(project / words[1]), read_only=True) as con:
        for query in words[2:]:
            assert con.sql(query).columns


@of_kind("curl")
def test_the_server_answers(command, project):
    _, words = kind_of(command)
    [path] = [word.partition("/")[2] for word in words if word.startswith("localhost:8000/")]
    sent = words[words.index("-d") + 1] if "-d" in words else None
    with TestClient(create_app(project / "data" / "artifacts" / "bundle" / "current")) as client:
        method = "GET" if sent is None else "POST"
        headers = {"content-type": "application/json"}
        assert client.request(method, f"/{path}", content=sent, headers=headers).is_success


@of_kind("dagster", "dg")
def test_dagster_knows_its_commands_and_options(command):
    program, words = kind_of(command)
    group = _dagster() if program == "dagster" else _dg()
    while isinstance(group, click.Group):
        group = group.get_command(click.Context(group), words.pop(0))
    group.make_context(group.name, words, resilient_parsing=True)
    known = {option for each in group.params for option in (*each.opts, *each.secondary_opts)}
    assert {word.partition("=")[0] for word in words if word.startswith("-")} <= known
    for selection in (words[i + 1] for i, word in enumerate(words) if word == "--select"):
        names = {key.to_user_string() for key in build_defs().resolve_all_asset_keys()}
        # That page shows an asset of a team's, and makes it (test_wheel.py).
        assert selection in {"*", *names} or command.page == "docs/in-your-project.md"


def _dagster():
    from dagster._cli import create_dagster_cli

    return create_dagster_cli()


def _dg():
    from dagster_dg_cli.cli import create_dg_cli

    return create_dg_cli()


def test_every_command_is_tried_by_one_of_these():
    tried = {"make", "din", "python", "duckdb", "dagster", "dg", "curl", "sh", "torchrun"}
    others = {
        *("pip", "tensorboard", "docker", "cp", "cd", "mkdir", "node", "npx", "git", "head"),
        "sed",  # run by test_analytics.py
    }
    assert [
        str(each) for each in documents.commands() if kind_of(each)[0] not in tried | others
    ] == []
    assert len(documents.commands()) > 30


OPTIONS = [
    each for each in documents.blocks("yaml") if each.text.startswith(("ops:", "resources:"))
]


@pytest.mark.parametrize("block", OPTIONS, ids=map(str, OPTIONS))
def test_options_that_are_shown_exist(block):
    given = yaml.safe_load(block.text)
    refresh_config.check_names(given)
    # That step has a code location of its own, and no part in this job.
    given["ops"] = {step: of for step, of in given.get("ops", {}).items() if step != "ablation"}
    refresh_config.check(given, build_defs().resolve_job_def("full_run"))


#: Two pages have tests of their own. docs/analysts.md is held against its answers
#: (tests/sql/test_analytics.py); docs/bring-your-own-data.md is run on the files that it shows
#: (tests/sql/test_bring_your_own_data.py).
QUERIES = [
    each
    for each in documents.blocks("sql")
    if each.page not in {"docs/analysts.md", "docs/bring-your-own-data.md"}
]


@pytest.mark.parametrize("block", QUERIES, ids=map(str, QUERIES))
def test_queries_that_are_shown_are_answered(block, finished):
    with duckdb.connect(str(finished.home / "warehouse.duckdb"), read_only=True) as con:
        for query in re.split(r";\s*$", block.text, flags=re.MULTILINE):
            if query.strip():
                assert con.sql(query).columns


@pytest.mark.parametrize("block", documents.blocks("python"), ids=str)
def test_python_that_is_shown_is_python(block):
    compile(block.text, str(block), "exec")
