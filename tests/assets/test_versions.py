"""What belongs to the code version of an asset, and what does not."""

import importlib.util
import shutil
from pathlib import Path

import dagster as dg
import pytest

import din_core
from din_assets import delivery, evaluation, ingest, sequences, versions
from din_core import sql_files


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of the same name, in which ``top`` reaches the others."""
    for name, text in {
        "top": "from din_core import plain\n\ndef f():\n    from din_core.deep.inner import g\n",
        "plain": "import torch\nfrom din_core.config import Options\n",
        "config": "",
        "unused": "",
    }.items():
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "inner.py").write_text("import din_core.last\n")
    (tmp_path / "deep" / "kernel.cpp").write_text("int f();\n")
    (tmp_path / "last.py").write_text("")
    monkeypatch.setattr(versions, "_ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "file", ["top.py", "plain.py", "deep/inner.py", "deep/kernel.cpp", "last.py"]
)
def test_edit_of_whatever_a_module_reaches_changes_the_version(package, file):
    before = versions.of_modules("top")
    with (package / file).open("a") as opened:
        opened.write("\n")
    assert versions.of_modules("top") != before


@pytest.mark.parametrize("file", ["config.py", "unused.py"])
def test_edit_of_anything_else_does_not(package, file):
    before = versions.of_modules("top")
    (package / file).write_text("x = 1\n")
    assert versions.of_modules("top") == before


def test_what_is_left_out_exists():
    root = Path(din_core.__file__).parent
    names = versions._PLUMBING
    assert names == {
        each for each in names if (root / each).is_dir() or (root / f"{each}.py").exists()
    }


def test_training_reaches_the_learner_and_its_kernels(monkeypatch):
    read = []
    monkeypatch.setattr(versions, "_digest", lambda *parts: read.extend(parts) or "")
    versions.of_modules("training")
    root = Path(din_core.__file__).parent
    for file in ("learner.py", "averaging.py", "sampling.py", "kernels/backward.hpp"):
        assert (root / file).read_bytes() in read


@pytest.fixture
def spelled_out(monkeypatch):
    """Code versions by asset, nothing hashed: the names of SQL files, and the text of others."""
    monkeypatch.setattr(sql_files, "fingerprint", lambda name: f"{name}.sql")
    monkeypatch.setattr(versions, "_digest", lambda *parts: b"\n".join([b"", *parts, b""]).decode())
    found = {}
    for module in (ingest, sequences, evaluation):
        spec = importlib.util.spec_from_file_location("a_second_time", module.__file__)
        again = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(again)
        for value in vars(again).values():
            if isinstance(value, dg.AssetsDefinition):
                found |= {
                    key.to_user_string(): text for key, text in value.code_versions_by_key.items()
                }
    return found


@pytest.mark.parametrize(
    ("asset", "file"),
    [
        ("interactions", "source_summary.sql"),
        ("rejected_rows", "source_summary.sql"),
        ("interactions", "sources/parquet_rows.py"),
        ("interactions", "synthetic.py"),
        ("interactions", "amazon/interactions.py"),
        ("users", "sequences.py"),
        ("negatives", "sequences.py"),
        ("samples", "split_moment.sql"),
        ("samples", "sample_bounds.sql"),
        ("test_predictions", "evaluation.py"),
    ],
)
def test_file_that_decides_content_belongs_to_the_asset(spelled_out, asset, file):
    part = file if file.endswith(".sql") else (versions._ROOT / file).read_text()
    assert f"\n{part}\n" in spelled_out[asset]


def test_training_does_not_decide_what_the_sequence_tables_hold(spelled_out):
    for asset in ("users", "items", "events", "user_sequences", "negatives", "samples"):
        for file in ("training.py", "learner.py", "models/din.py", "evaluation.py"):
            assert (versions._ROOT / file).read_text() not in spelled_out[asset]


SQL_ROOT = sql_files.SQL_ROOT
EVERY_SQL_FILE = [
    path
    for path in sorted(SQL_ROOT.rglob("*"))
    # `users_left_out` is a figure for the tests of Spark; no asset asks for it.
    if path.is_file() and path.stem != "users_left_out"
]


@pytest.fixture(scope="module")
def names_in_versions():
    """Names of the SQL files that the assets say they are made by."""
    names = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(versions, "of_sql", lambda *given: names.update(given) or "")
        for module in (ingest, sequences, evaluation, delivery):
            spec = importlib.util.spec_from_file_location("a_second_time", module.__file__)
            spec.loader.exec_module(importlib.util.module_from_spec(spec))
    return sorted(names)


@pytest.mark.parametrize("path", EVERY_SQL_FILE, ids=lambda path: path.name)
def test_edit_of_any_file_below_sql_changes_the_version_of_an_asset(
    names_in_versions, path, tmp_path, monkeypatch
):
    def versions_now():
        sql_files._environment.cache_clear()
        sql_files._schemas.cache_clear()
        return [versions.of_sql(name) for name in names_in_versions]

    copy = tmp_path / "sql"
    shutil.copytree(SQL_ROOT, copy)
    monkeypatch.setattr(sql_files, "SQL_ROOT", copy)
    try:
        before = versions_now()
        edited = copy / path.relative_to(SQL_ROOT)
        text = edited.read_text()
        edited.write_text(
            text.replace("description: ", "description: Indeed, ", 1)
            if path.suffix == ".yml"
            else text + "\n-- edited\n"
        )
        assert versions_now() != before
    finally:
        monkeypatch.undo()
        sql_files._environment.cache_clear()
        sql_files._schemas.cache_clear()
